"""Follow a picture through a network without computing: on the meta device, where tensors have shapes and no numbers.

All is counted where PyTorch runs it, below the modules, so that it does not matter how a network is written.
"""

from collections.abc import Iterator, Sequence
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
from legato.layers.operations import RULES, Reaches, both, mixes_places, side
from legato.layers.pooling import LearnedNormPool2d, PNormPool2d
from legato.layers.reach import PIXEL, Reach

WINDOWED = (LocallyConnected2d, PNormPool2d, LearnedNormPool2d)  # layers of ours that cut windows out of the map


class Trace(TorchDispatchMode):
    """Counts the multiply-accumulates of convolutions and matrix products, and knows what each tensor sees."""

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
        """What places of y see: an operation without a rule looks at the same place if the map keeps its size."""
        before = [self.known[id(x)][1] for x in seen]
        if op in RULES:
            self.notice(RULES[op]((PIXEL, PIXEL), y, *args), seen[0], y)
            return RULES[op](before[0], y, *args)

        local = not mixes_places(op, args)

        def along(axis: int) -> Reach:
            reaches, lengths = [r[axis] for r in before], [side(x, axis) for x in seen]
            aligned = all(n == side(y, axis) and r.keeps_pace(reaches[0]) for r, n in zip(reaches, lengths))
            return reduce(Reach.beside, reaches if local and aligned else map(Reach.whole, reaches, lengths))

        return along(0), along(1)

    def notice(self, reads: Reaches, x: Tensor, y: Tensor) -> None:
        """Whether what places of y read of the map x lies beyond its edge."""
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
    """The tensors in nested tuples, lists and dictionaries, in their order."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (tuple, list, dict)):
        for value in values.values() if isinstance(values, dict) else values:
            yield from tensors(value)
