"""What PyTorch's operations on maps see: from what places of their input see `before`, what places of the output y see.

Behind these two each rule takes the operation's own arguments, in the order of PyTorch's native_functions.yaml.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

from legato.layers.reach import Reach

aten = torch.ops.aten
Reaches = tuple[Reach, Reach]  # down and across


def side(x: Tensor, axis: int) -> int:
    """Height (axis 0) or width (1) of a map; 1 where there is none."""
    return x.shape[axis - 2] if x.dim() > 1 else 1


def both(move: Callable[..., Reach], before: Reaches, *arguments: int | Sequence[int]) -> Reaches:
    """`move` down and across; an argument is one number for both, or (down, across)."""
    pairs = [(a, a) if isinstance(a, int) else (a[0], a[-1]) for a in arguments]
    return move(before[0], *(a[0] for a in pairs)), move(before[1], *(a[1] for a in pairs))


def convolution(
    before: Reaches, y: Tensor, x: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any,
    transposed: bool, *_: Any,
) -> Reaches:  # fmt: skip
    return both(Reach.stamps if transposed else Reach.window, before, weight.shape[-2:], stride, padding, dilation)


def max_pool(
    before: Reaches, y: Tensor, x: Tensor, size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, *_: Any
) -> Reaches:
    return both(Reach.window, before, size, stride or size, padding, dilation)


def mean_pool(before: Reaches, y: Tensor, x: Tensor, size: Any, stride: Any = (), padding: Any = 0, *_: Any) -> Reaches:
    return both(Reach.window, before, size, stride or size, padding)


def resize(before: Reaches, y: Tensor, x: Tensor, *_: Any) -> Reaches:
    return both(resized, before, x.shape[-2:], y.shape[-2:])


def resize_bilinear(before: Reaches, y: Tensor, x: Tensor, *_: Any) -> Reaches:
    return both(resized_bilinear, before, x.shape[-2:], y.shape[-2:])


def pad(before: Reaches, y: Tensor, x: Tensor, margins: Sequence[int], *_: Any) -> Reaches:
    left, top = [*margins, 0, 0][0:3:2]
    return both(Reach.window, before, 1, 1, (top, left))


def crop(
    before: Reaches, y: Tensor, x: Tensor, axis: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Reaches:
    (down, across), (first, *_) = before, slice(start, end).indices(x.shape[axis])
    if axis % x.dim() == x.dim() - 2:
        return down.window(1, step, -first), across
    return (down, across.window(1, step, -first)) if axis % x.dim() == x.dim() - 1 else before


def mixes_places(op: Any, args: Sequence[Any]) -> bool:
    """Matrix products and norms over the map: what their outputs see is no window, although the size may stay."""
    in_training = op in BATCH_NORMS and any(argument is True for argument in args)  # so do instance norms
    return in_training or op in flop_registry or op in (aten.native_group_norm, aten.native_layer_norm)


def resized(reach: Reach, length: int, to: int) -> Reach:
    """An adaptive pool, or up-sampling that repeats: by whole factors windows and stamps, by others anything."""
    if length % to == 0:
        return reach.window(length // to, length // to)
    return reach.stamps(to // length, to // length) if to % length == 0 else reach.whole(length)


def resized_bilinear(reach: Reach, length: int, to: int) -> Reach:
    factor = to // length
    return reach.stamps(2 * factor - factor % 2, factor, factor // 2) if to % length == 0 else reach.whole(length)


BATCH_NORMS = (aten.native_batch_norm, aten._native_batch_norm_legit)
RULES: dict[Any, Callable[..., Reaches]] = {
    aten.convolution: convolution,
    aten.max_pool2d_with_indices: max_pool,
    aten.avg_pool2d: mean_pool,
    aten._adaptive_avg_pool2d: resize,
    aten.adaptive_max_pool2d: resize,
    aten.upsample_nearest2d: resize,
    aten.upsample_bilinear2d: resize_bilinear,
    aten.constant_pad_nd: pad,
    aten.reflection_pad2d: pad,
    aten.replication_pad2d: pad,
    aten.slice: crop,
}
