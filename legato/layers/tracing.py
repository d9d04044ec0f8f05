"""Follow a picture through a network without computing: on the meta device, where tensors have shapes and no numbers.

All is counted where PyTorch runs it, below the modules, so that it does not matter how a network is written.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from legato.layers.locally_connected import LocallyConnected2d
from legato.layers.modes import evaluating
from legato.layers.pooling import LearnedNormPool2d, PNormPool2d
from legato.layers.reach import PIXEL, Reach

aten = torch.ops.aten
Reaches = tuple[Reach, Reach]  # down and across
WINDOWED = (LocallyConnected2d, PNormPool2d, LearnedNormPool2d)  # layers of ours that cut windows out of the map


class Trace(TorchDispatchMode):
    """Counts `macs` (multiplications of a weight, or of two activations, as they happen) and knows what tensors see."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype  # of the pictures
        self.macs = 0
        self.overhang = 0  # positions that a window has read beyond the edge of its map, at most
        self.known: dict[int, tuple[Tensor, Reaches]] = {}  # the tensor is kept, so that its id stays its own

    def picture(self, shape: Sequence[int]) -> Tensor:
        """A batch of one of this shape; of (c, h, w) it is followed what sees which pixel."""
        x = torch.empty(1, *shape, dtype=self.dtype, device="meta")
        if len(shape) == 3:
            self.learn(x, (PIXEL, PIXEL))
        return x

    def learn(self, tensor: Tensor, reaches: Reaches) -> None:
        self.known[id(tensor)] = tensor, reaches

    def reaches(self, tensor: Tensor) -> Reaches | None:
        """What each place of a map sees, down and across; None if nothing of the picture."""
        return self.known[id(tensor)][1] if id(tensor) in self.known else None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out, op = func(*args, **kwargs), func.overloadpacket
        if op in flop_registry:
            self.macs += flop_registry[op](*args, **kwargs, out_val=out) // 2
        if seen := [x for x in tensors(args) if id(x) in self.known]:
            for y in tensors(out):
                self.learn(y, self.through(op, args, seen, y))
        return out

    def through(self, op: Any, args: Sequence[Any], seen: list[Tensor], y: Tensor) -> Reaches:
        before = [self.known[id(x)][1] for x in seen]
        if op in RULES:
            self.notice(RULES[op]((PIXEL, PIXEL), y, *args), seen[0], y)
            return RULES[op](before[0], y, *args)

        def along(axis: int) -> Reach:
            reaches, lengths = [r[axis] for r in before], [side(x, axis) for x in seen]
            if not mixes_places(op, args) and all(
                n == side(y, axis) and r.keeps_pace(reaches[0]) for r, n in zip(reaches, lengths)
            ):
                return reduce(Reach.beside, reaches)
            return reduce(Reach.beside, map(Reach.whole, reaches, lengths))

        return along(0), along(1)

    def notice(self, reads: Reaches, x: Tensor, y: Tensor) -> None:
        """What places of y read of the map x, and whether they read beyond it."""
        for axis, reach in enumerate(reads):
            last = reach.at(side(y, axis) - 1)[1]
            self.overhang = max(self.overhang, -reach.at(0)[0], last - side(x, axis) + 1)


@contextmanager
def tracing(net: nn.Module) -> Iterator[Trace]:
    """A `Trace` of all that runs inside, with net in eval mode."""
    trace = Trace(next((p.dtype for p in net.parameters() if p.is_floating_point()), torch.get_default_dtype()))

    def window(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if before := trace.reaches(inputs[0]):
            trace.learn(output, both(Reach.window, before, layer.size, layer.stride))

    hooks = [layer.register_forward_hook(window) for layer in net.modules() if isinstance(layer, WINDOWED)]
    try:
        with evaluating(net), torch.no_grad(), trace:
            yield trace
    finally:
        for hook in hooks:
            hook.remove()


def on_meta(net: nn.Module, *inputs: Tensor) -> Any:
    """net(*inputs), with stand-ins for its weights: net itself is neither read nor copied, however large it is."""
    held = [*net.named_parameters(), *net.named_buffers()]
    return functional_call(net, {name: torch.empty_like(t, device="meta") for name, t in held}, inputs)


def receptive_field(net: nn.Module, shape: tuple[int, int, int]) -> int:
    """Pixels along the longer side of what one output of net sees of a (c, h, w) picture, padding included."""
    with tracing(net) as trace:
        out = next(tensors(on_meta(net, trace.picture(shape))))
    reaches = trace.reaches(out)
    return max(reach.size for reach in reaches) if reaches else 0


def tensors(values: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and dictionaries, in order."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (tuple, list, dict)):
        for value in values.values() if isinstance(values, dict) else values:
            yield from tensors(value)


def side(x: Tensor, axis: int) -> int:
    """Height (axis 0) or width (1) of a map; 1 where there is none."""
    return x.shape[axis - 2] if x.dim() > 1 else 1


# What places of the output y see, from what those of the input see `before`: for PyTorch's operations on maps, with
# their own arguments. All others are thought to look at the same place if the map keeps its size, otherwise at all.


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
    before: Reaches,
    y: Tensor,
    x: Tensor,
    axis: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Reaches:
    start, *_ = slice(start, end).indices(x.shape[axis])
    down, across = before
    if axis % x.dim() == x.dim() - 2:
        return down.window(1, step, -start), across
    return (down, across.window(1, step, -start)) if axis % x.dim() == x.dim() - 1 else before


def mixes_places(op: Any, args: Sequence[Any]) -> bool:
    """Matrix products and norms over the map: what their outputs see is no window, although the size may stay."""
    in_training = op in BATCH_NORMS and any(argument is True for argument in args)  # so do instance norms
    return in_training or op in flop_registry or op in (aten.native_group_norm, aten.native_layer_norm)


def both(move: Callable[..., Reach], before: Reaches, *arguments: int | Sequence[int]) -> Reaches:
    """`move` down and across; an argument is one number for both, or (down, across)."""
    pairs = [(a, a) if isinstance(a, int) else (a[0], a[-1]) for a in arguments]
    return move(before[0], *(a[0] for a in pairs)), move(before[1], *(a[1] for a in pairs))


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
