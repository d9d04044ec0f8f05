"""Pictures and what stands on them, as tensors: what detectors are given, what they are told, and what they answer."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

MOST = 100  # boxes a picture may have in an answer, as COCO counts them


class Canvas(NamedTuple):
    """Pictures of any size on one canvas: padded below and to the right with black."""

    pixels: Float[Tensor, "b c h w"]  # in [0, 1]
    sizes: Int64[Tensor, "b 2"]  # height and width of each picture on it
    scales: Float[Tensor, "b 2"]  # what each was enlarged by, down and across
    regions: list[Float[Tensor, "_r 4"]]  # proposed by somebody else; empty where the network proposes


class Truth(NamedTuple):
    """What is on one picture, in the canvas's pixels. Objects not `sure` are neither right nor wrong to find."""

    boxes: Float[Tensor, "n 4"]
    labels: Int64[Tensor, "n"]
    sure: Bool[Tensor, "n"]
    bitmaps: Bool[Tensor, "_n _h _w"]  # outlines, where they are known; else (0, 0, 0)


class Detections(NamedTuple):
    """What was found on one picture, surest first, in the canvas's pixels."""

    boxes: Float[Tensor, "n 4"]
    labels: Int64[Tensor, "n"]
    scores: Float[Tensor, "n"]
    bitmaps: Bool[Tensor, "_n _h _w"]


def sample(mask: Bool[Tensor, "n"], most: int) -> Int64[Tensor, "_k"]:
    """Up to `most` of the places where it is true, each as likely as the others."""
    places = mask.nonzero().squeeze(1)
    return places[torch.randperm(len(places), device=mask.device)[:most]]


def none_outlined(device: torch.device | str = "cpu") -> Bool[Tensor, "0 0 0"]:
    return torch.zeros(0, 0, 0, dtype=torch.bool, device=device)
