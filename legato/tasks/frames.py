"""Pictures of any sizes in one tensor, and what is said of their pixels."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from legato.values.turning import stood


class Framed(NamedTuple):
    """Pictures of any sizes in one tensor, each in the upper left corner of its frame."""

    pixels: Float[Tensor, "b c h w"]  # in [0, 1]
    sizes: Int64[Tensor, "b 2"]  # height and width of each


def framed(parts: Sequence[Tensor], sizes: Int64[Tensor, "b 2"], value: int) -> UInt8[Tensor, "b ..."]:
    """All in one tensor as large as the largest, filled up at the right and below."""
    height, width = sizes.amax(dim=0).tolist()
    return torch.stack([F.pad(p, (0, width - p.shape[-1], 0, height - p.shape[-2]), value=value) for p in parts])


def stood_up(sizes: Int64[Tensor, "b 2"], k: int, maps: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c _ _"]:
    """Maps of pictures of these sizes, lying in the k-th way in their frames, as maps of the pictures as they were."""
    alone = [stood(m[..., :height, :width], k) for m, (height, width) in zip(maps, sizes.tolist())]
    height, width = (max(m.shape[axis] for m in alone) for axis in (-2, -1))
    return torch.stack([F.pad(m, (0, width - m.shape[-1], 0, height - m.shape[-2])) for m in alone])
