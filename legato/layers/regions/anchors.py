"""Anchors: boxes of a few sizes and shapes at every position of a map, which a network is asked to change into objects.

Ren et al. 2015, "Faster R-CNN" (arXiv:1506.01497), section 3.1.1; shapes fitted to the data as in Redmon & Farhadi
2017, "YOLO9000" (arXiv:1612.08242), section 2.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def shapes(sides: Sequence[float], ratios: Sequence[float]) -> Float[Tensor, "a 2"]:
    """Width and height in pixels of each anchor: area side², height / width = ratio; sides outer, ratios inner."""
    side = torch.tensor(sides, dtype=torch.float32)[:, None]
    root = torch.tensor(ratios, dtype=torch.float32).sqrt()
    return torch.stack([side / root, side * root], dim=-1).flatten(0, 1)


def anchors(
    height: int, width: int, stride: int, shapes: Float[Tensor, "a 2"]
) -> Float[Tensor, "{height}*{width}*a 4"]:
    """All anchors of a map whose positions are `stride` pixels apart: row by row, the shapes innermost.

    Each stands on the middle of the stride × stride pixels that its position covers.
    """
    y = (torch.arange(height, device=shapes.device) + 0.5) * stride
    x = (torch.arange(width, device=shapes.device) + 0.5) * stride
    centre = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).flatten(0, 1)[:, None]
    return torch.cat([centre - shapes / 2, centre + shapes / 2], dim=-1).flatten(0, 1)


def fitted_shapes(sizes: Float[Tensor, "n 2"], count: int, rounds: int = 30) -> Float[Tensor, "{count} 2"]:
    """Width and height of the `count` shapes nearest to these, by k-means with 1 − IoU as distance, small ones first.

    Begins with quantiles of the area, so that the same sizes always give the same shapes.
    """
    by_area = sizes[sizes.prod(dim=1).argsort(stable=True)]
    fitted = by_area[((torch.arange(count) + 0.5) / count * len(sizes)).long()].clone()
    for _ in range(rounds):
        both = torch.minimum(sizes[:, None], fitted).prod(dim=-1)
        nearest = (both / (sizes.prod(dim=1)[:, None] + fitted.prod(dim=1) - both)).argmax(dim=1)
        for k in nearest.unique().tolist():
            fitted[k] = sizes[nearest == k].median(dim=0).values
    return fitted[fitted.prod(dim=1).argsort(stable=True)]
