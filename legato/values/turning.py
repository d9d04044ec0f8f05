"""A raster turned about its middle."""

from math import cos, radians, sin
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def turned(
    raster: Float[Tensor, "c h w"], degrees: float, mode: Literal["bilinear", "nearest"] = "bilinear"
) -> Float[Tensor, "c h w"]:
    """Counter-clockwise, in its frame; 0 comes in at the corners. Quarter turns of squares are exact."""
    height, width = raster.shape[-2:]
    c, s = cos(radians(degrees)), sin(radians(degrees))
    matrix = torch.tensor([[c, -s * height / width, 0], [s * width / height, c, 0]])  # in halves of the frame's sides
    grid = F.affine_grid(matrix[None], [1, len(raster), height, width], align_corners=False)
    return F.grid_sample(raster[None], grid.to(raster), mode, align_corners=False)[0]
