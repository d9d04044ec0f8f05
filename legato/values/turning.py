"""A raster turned about its middle."""

from math import cos, radians, sin
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional as F

QUARTERS = (0, 2, 1, 3)  # turns, those first after which a picture has the shape it had


def turned(
    raster: Float[Tensor, "c h w"], degrees: float, mode: Literal["bilinear", "nearest"] = "bilinear"
) -> Float[Tensor, "c h w"]:
    """Counter-clockwise, in its frame; 0 comes in at the corners. Quarter turns of squares are exact."""
    height, width = raster.shape[-2:]
    c, s = cos(radians(degrees)), sin(radians(degrees))
    matrix = torch.tensor([[c, -s * height / width, 0], [s * width / height, c, 0]])  # in halves of the frame's sides
    grid = F.affine_grid(matrix[None], [1, len(raster), height, width], align_corners=False)
    return F.grid_sample(raster[None], grid.to(raster), mode, align_corners=False)[0]


def lying(raster: Shaped[Tensor, "*c h w"], k: int) -> Shaped[Tensor, "*c _ _"]:
    """The k-th of eight ways in which it can lie: odd ones mirrored, after k // 2 quarter turns; exact. 2 and 3 keep
    its shape where it is no square, as 0 and 1 do."""
    turned = raster.rot90(QUARTERS[k // 2 % 4], (-2, -1))
    return turned.flip(-1) if k % 2 else turned


def stood(raster: Shaped[Tensor, "*c h w"], k: int) -> Shaped[Tensor, "*c _ _"]:
    """What lay in the k-th way, as it was."""
    return (raster.flip(-1) if k % 2 else raster).rot90(-QUARTERS[k // 2 % 4], (-2, -1))
