"""Regions of interest: a piece of a map, of any size, brought to a fixed size."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int32, Int64
from torch import Tensor
from torch.nn import functional as F


def roi_align(
    maps: Float[Tensor, "b c h w"],
    boxes: Float[Tensor, "r 4"],
    picture: Int64[Tensor, "r"],
    size: int,
    stride: float,
    samples: int = 2,
) -> Float[Tensor, "r c {size} {size}"]:
    """Each box in size × size bins, each bin the mean of samples × samples points read bilinearly from the map.

    He et al. 2017, "Mask R-CNN" (arXiv:1703.06870), section 3, with the half pixel of later releases ("aligned"):
    position (i, j) of a map holds what stands at pixel ((j + ½) stride, (i + ½) stride). Points up to one position
    beyond the map read its edge, further ones 0. `boxes` in pixels of the picture; `picture` says which of the batch.
    """
    return roi_align_levels([maps], boxes, picture, torch.zeros_like(picture), size, [stride], samples)


def roi_align_levels(
    maps: Sequence[Float[Tensor, "b c _h _w"]],
    boxes: Float[Tensor, "r 4"],
    picture: Int64[Tensor, "r"],
    level: Int64[Tensor, "r"],
    size: int,
    strides: Sequence[float],
    samples: int = 2,
) -> Float[Tensor, "r c {size} {size}"]:
    """The same where each box is cut from one of several maps: maps[level].

    All maps are one table of positions and each bin a weighted bag of some, so that nothing is sorted by level and put
    together again; what is summed here is what autograd distributes there.
    """
    b, c = maps[0].shape[:2]
    sizes = torch.tensor([x.shape[2:] for x in maps], dtype=torch.int32, device=boxes.device)  # half of int64's bytes
    table = torch.cat([x.permute(0, 2, 3, 1).reshape(-1, c) for x in maps])
    begins = F.pad((b * sizes.prod(dim=1)).cumsum(0), (1, 0))[level].int()
    heights, widths = sizes[level].unbind(1)
    stride = boxes.new_tensor(strides)[level]
    x1, y1, x2, y2 = (boxes / stride[:, None]).unbind(1)
    row, row_weights = readings(y1, y2, size, samples, heights)
    column, column_weights = readings(x1, x2, size, samples, widths)
    row = (row + (picture.int() * heights)[:, None, None]) * widths[:, None, None] + begins[:, None, None]
    position = row[:, :, None, :, None] + column[:, None, :, None, :]  # (r, size, size, 2 samples, 2 samples)
    weight = row_weights[:, :, None, :, None] * column_weights[:, None, :, None, :]
    bags = (len(boxes) * size * size, (2 * samples) ** 2)
    weights = weight.reshape(bags).to(table.dtype)
    pooled = F.embedding_bag(position.reshape(bags), table, per_sample_weights=weights, mode="sum")
    return pooled.view(len(boxes), size, size, c).permute(0, 3, 1, 2)


def readings(
    low: Float[Tensor, "r"], high: Float[Tensor, "r"], size: int, samples: int, length: Int32[Tensor, "r"]
) -> tuple[Int32[Tensor, "r {size} 2*{samples}"], Float[Tensor, "r {size} 2*{samples}"]]:
    """Along one axis of `length` positions, from `low` to `high` in positions: which ones each bin reads, and how much
    each counts."""
    share = (torch.arange(size * samples, device=low.device) + 0.5) / (size * samples)
    last = length[:, None] - 1
    at = low[:, None] + (high - low)[:, None] * share - 0.5
    counts = ((at >= -1) & (at <= last + 1)).to(at.dtype) / samples
    at = at.clamp(min=0).minimum(last)
    first = at.floor().minimum((last - 1).clamp(min=0))
    beyond = at - first
    index = torch.stack([first, (first + 1).minimum(last)], dim=-1).int()
    weight = torch.stack([(1 - beyond) * counts, beyond * counts], dim=-1)
    return index.view(len(low), size, 2 * samples), weight.view(len(low), size, 2 * samples)


def roi_pool(
    maps: Float[Tensor, "b c h w"], boxes: Float[Tensor, "r 4"], picture: Int64[Tensor, "r"], size: int, stride: float
) -> Float[Tensor, "r c {size} {size}"]:
    """Each box in size × size bins, each bin the largest of its positions.

    Girshick 2015, "Fast R-CNN" (arXiv:1504.08083), section 2.1. As published the box is first rounded to whole
    positions, its last one included, and a bin reaches from the floor of its beginning to the ceiling of its end.
    """
    h, w = maps.shape[2:]
    corner = (boxes / stride).round().long()
    x1, x2 = corner[:, 0].clamp(0, w - 1), corner[:, 2].clamp(0, w - 1)
    y1, y2 = corner[:, 1].clamp(0, h - 1), corner[:, 3].clamp(0, h - 1)
    places = torch.stack([picture, y1, torch.maximum(y1, y2) + 1, x1, torch.maximum(x1, x2) + 1], dim=1).tolist()
    pieces = [F.adaptive_max_pool2d(maps[i, :, top:bottom, left:right], size) for i, top, bottom, left, right in places]
    return torch.stack(pieces) if pieces else maps.new_zeros(0, maps.shape[1], size, size)
