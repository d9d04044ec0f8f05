"""Boxes as numbers: how much two of them share, and how one is told as a change of another.

Everywhere x1 y1 x2 y2 in pixels on a continuous plane, as in `legato.values.Boxes`.
"""

from math import log

import torch
from jaxtyping import Float
from torch import Tensor

LARGEST = log(
    1000 / 16
)  # of a change of size: a 16-pixel anchor never grows beyond 1,000 pixels, and exp never overflows


def area(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """Square pixels; 0 for a box turned inside out."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def intersection(a: Float[Tensor, "n 4"], b: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    """Square pixels that box i of a and box j of b have in common."""
    ax1, ay1, ax2, ay2 = a.mT.contiguous()[..., None]  # planes of one coordinate: what vector units like
    bx1, by1, bx2, by2 = b.mT.contiguous()
    width = torch.minimum(ax2, bx2).sub_(torch.maximum(ax1, bx1)).clamp_(min=0)
    height = torch.minimum(ay2, by2).sub_(torch.maximum(ay1, by1)).clamp_(min=0)
    return width.mul_(height)


def iou(a: Float[Tensor, "n 4"], b: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    """Intersection over union of every pair; 0 where both are empty."""
    both = intersection(a, b)
    union = (area(a)[:, None] + area(b)).sub_(both).clamp_(min=torch.finfo(both.dtype).tiny)
    return both / union


def encode(boxes: Float[Tensor, "*n 4"], targets: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """How `boxes` must change to become `targets` (Girshick et al. 2014, arXiv:1311.2524, equations 6 to 9).

    t = ((gx − px) / pw, (gy − py) / ph, ln(gw / pw), ln(gh / ph)), from centres and sizes.
    """
    p, p_size = centre_and_size(boxes)
    g, g_size = centre_and_size(targets)
    return torch.cat([(g - p) / p_size, (g_size / p_size).log()], dim=-1)


def decode(boxes: Float[Tensor, "*#n 4"], deltas: Float[Tensor, "*#n 4"]) -> Float[Tensor, "... 4"]:
    """The boxes after these changes: the inverse of `encode` (equations 1 to 4). Batches of either are broadcast."""
    p, p_size = centre_and_size(boxes)
    centre = p + deltas[..., :2] * p_size
    half = p_size * deltas[..., 2:].clamp(max=LARGEST).exp() / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def centre_and_size(boxes: Float[Tensor, "*n 4"]) -> tuple[Float[Tensor, "*n 2"], Float[Tensor, "*n 2"]]:
    low, high = boxes[..., :2], boxes[..., 2:]
    return (low + high) / 2, high - low


def clip(boxes: Float[Tensor, "*n 4"], height: float, width: float) -> Float[Tensor, "*n 4"]:
    """The part of each box that lies on a picture of this size."""
    return boxes.clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))
