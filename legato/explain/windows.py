"""Where in the picture a unit looks: its receptive field as a box of pixels."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import nn

from legato.errors import UsageError
from legato.explain.features import front
from legato.layers.reach import Reach
from legato.layers.tracing import on_meta, tensors, tracing
from legato.watch import watch


class Box(NamedTuple):
    """Pixels from the first to the last, the last not included."""

    top: int
    left: int
    bottom: int
    right: int


def seen_by(net: nn.Module, stage: str, shape: Sequence[int]) -> Callable[[int], Box]:
    """Place of a map, counted row by row → its receptive field in a (c, h, w) picture.

    Where the field hangs over the edge it is moved inside, or is the whole side: patches of a stage have one size.
    """
    with tracing(net) as trace, watch(net, stage) as seen:
        on_meta(front(net, stage), trace.picture(shape))
        out = next(tensors(seen[stage][0]))
        reaches = trace.reaches(out)
    if reaches is None:
        raise UsageError(f"{stage} does not look at the picture")
    (down, across), columns = reaches, out.shape[-1] if out.dim() == 4 else 1

    def box(place: int) -> Box:
        row, column = divmod(place, columns)
        (top, bottom), (left, right) = inside(down, row, shape[1]), inside(across, column, shape[2])
        return Box(top, left, bottom, right)

    return box


def inside(reach: Reach, position: int, length: int) -> tuple[int, int]:
    """First and last (not included) of the pixels a position sees, moved between 0 and `length`."""
    size = min(reach.size, length)
    first = min(max(reach.at(position)[0], 0), length - size)
    return first, first + size
