"""Maps of several scales, all of them as deep in meaning as the last (Lin et al. 2017, "FPN", arXiv:1612.03144)."""

from collections.abc import Sequence
from math import gcd

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from legato.layers.regions.boxes import area
from legato.layers.regions.roi import roi_align_levels


class EvenScale(nn.Module):
    """Each map normalised in groups of channels (Wu & He 2018, arXiv:1803.08494), so that what is hung on a trunk need
    not know how large its numbers are: those of published networks differ by a factor of a hundred."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(gcd(32, n), n) for n in channels)

    def forward(self, maps: Sequence[Float[Tensor, "b _c _h _w"]]) -> list[Float[Tensor, "b _c _h _w"]]:
        return [norm(x) for norm, x in zip(self.norms, maps)]


class FeaturePyramid(nn.Module):
    """Maps fine to coarse (b, inputs[i], hᵢ, wᵢ) → as many maps (b, width, hᵢ, wᵢ): figure 3.

    Each is its own map through a 1×1 convolution plus the next coarser result, enlarged; a 3×3 convolution smooths.
    """

    def __init__(self, inputs: Sequence[int], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(n, width, 1) for n in inputs)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in inputs)
        self.even = EvenScale([width] * len(inputs))
        for conv in (*self.lateral, *self.smooth):
            nn.init.kaiming_uniform_(conv.weight, a=1)
            nn.init.zeros_(conv.bias)

    def forward(self, maps: Sequence[Float[Tensor, "b _c _h _w"]]) -> list[Float[Tensor, "b width _h _w"]]:
        merged = self.even([lateral(x) for lateral, x in zip(self.lateral, maps)])
        for fine in range(len(merged) - 2, -1, -1):
            merged[fine] = merged[fine] + F.interpolate(merged[fine + 1], merged[fine].shape[2:], mode="nearest")
        return [smooth(x) for smooth, x in zip(self.smooth, merged)]


def level_of(boxes: Float[Tensor, "r 4"], strides: Sequence[int]) -> Int64[Tensor, "r"]:
    """The map each box is cut from: k = ⌊k₀ + log₂(√(w h) / 224)⌋, where 224 pixels belong to stride 16 (equation 1).

    So that 7 × 7 bins of two positions each, as the equation has it, fit: an object of 112 pixels at stride 8.
    """
    coarser = torch.log2(area(boxes).clamp(min=1e-6).sqrt() / 224 + 1e-6).floor()
    finest = torch.tensor(float(strides[0])).log2()
    return (4 - finest + coarser).clamp(0, len(strides) - 1).long()


def crop_levels(
    maps: Sequence[Float[Tensor, "b c _h _w"]],
    boxes: Sequence[Float[Tensor, "_r 4"]],
    size: int,
    strides: Sequence[int],
    offsets: Sequence[float],
) -> Float[Tensor, "_n c {size} {size}"]:
    """The regions of each picture, one picture after another, each cut by `roi_align` from the map of its level.

    `offsets`: how many pixels each map's positions stand to the right of and below the middle of their cells.
    """
    every = torch.cat(list(boxes))
    counts = torch.tensor([len(b) for b in boxes], device=every.device)
    picture = torch.arange(len(boxes), device=every.device).repeat_interleave(counts)
    level = level_of(every, strides) if len(maps) > 1 else torch.zeros_like(picture)
    shift = every.new_tensor(offsets)[level, None]
    return roi_align_levels(maps, every - shift, picture, level, size, strides)
