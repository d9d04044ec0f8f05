"""Cells through time, slowly and obviously right. Time comes first: (t, b, …). `fast.scan` must equal this."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from legato.recurrent.cells import Cell, State

Xs = Float[Tensor, "t b i"]
Hs = Float[Tensor, "t b n"]
Mask = Bool[Tensor, "t b"]


class Lookup(NamedTuple):
    """A sequence whose x_t is a row of a table, as after an embedding: `fast.scan` weighs words, not steps."""

    table: Float[Tensor, "v i"]
    ids: Int[Tensor, "t b"]

    def xs(self) -> Xs:
        return self.table[self.ids]


def scan(
    cell: Cell, xs: Xs | Lookup, state: State | None = None, mask: Mask | None = None, reverse: bool = False
) -> tuple[Hs, State]:
    """Carry a cell over a sequence, forwards or backwards: every h, and the state at the end.

    Where `mask` is False there is no word: the state waits, so padding changes nothing, in either direction.
    """
    xs = xs.xs() if isinstance(xs, Lookup) else xs
    state = cell.start(xs[0]) if state is None else state
    hs: list[Tensor] = [xs] * len(xs)
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        new = cell(xs[t], state)
        state = new if mask is None else tuple(torch.where(mask[t, :, None], n, s) for n, s in zip(new, state))
        hs[t] = state[0]
    return torch.stack(hs), state


def forced(cell: Cell, xs: Xs, ys: Hs, state: State | None = None) -> tuple[Hs, State]:
    """Teacher forcing, for a cell whose state begins with its output (`Jordan`): each step is told the true y_{t−1}.

    Every step then stands alone, so no gradient goes back through time.
    """
    state = cell.start(xs[0]) if state is None else state
    hs: list[Tensor] = []
    for x, y in zip(xs, ys):
        state = cell(x, state)
        hs.append(state[0])
        state = (y, *state[1:])
    return torch.stack(hs), state


def mask_of(lengths: Int[Tensor, "b"], steps: int) -> Mask:
    """(steps, b): True where a sequence of this length still has a word."""
    return torch.arange(steps, device=lengths.device)[:, None] < lengths
