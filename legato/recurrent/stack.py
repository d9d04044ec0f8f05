"""Cells on top of one another, and both ways: depth, directions, dropout between layers, learnt first states."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import dropout

from legato.recurrent import fast
from legato.recurrent.cells import Cell, State
from legato.recurrent.scan import Hs, Lookup, Mask, Xs
from legato.recurrent.scan import scan as slow_scan

States = tuple[State, ...]


class Stack(nn.Module):
    """`depth` layers of a cell: h_t^l sees h_{t−1}^l and h_t^{l−1} (lectures: W^l of n × 2n, 4n × 2n for the LSTM).

    states come one a scan: layer by layer, in each layer forwards before backwards. With `both` directions the output
    is 2n wide. `drop` is the probability that a number passed from one layer to the next is 0; `same_mask` draws it
    once a sequence instead of once a step (Gal & Ghahramani 2016). `learn_start` makes the first state a parameter.
    `slow` runs the reference, cell by cell: what hooks (`watch`) need, and second derivatives.
    """

    def __init__(
        self,
        cell: type[Cell],
        inputs: int,
        width: int,
        depth: int = 1,
        both: bool = False,
        drop: float = 0.0,
        same_mask: bool = False,
        learn_start: bool = False,
        slow: bool = False,
    ) -> None:
        super().__init__()
        self.ways = 2 if both else 1
        self.drop, self.same_mask, self.slow = drop, same_mask, slow
        sizes = [inputs] + [width * self.ways] * (depth - 1)
        self.cells = nn.ModuleList(cell(size, width) for size in sizes for _ in range(self.ways))
        self.starts = nn.ParameterList(
            nn.Parameter(torch.zeros(cell.memories, width)) for _ in self.cells if learn_start
        )
        self.outputs = width * self.ways

    def forward(
        self, xs: Xs | Lookup, states: States | None = None, mask: Mask | None = None
    ) -> tuple[Float[Tensor, "t b m"], States]:
        """Every h of the last layer (m = n, or 2n both ways), and all states at the end."""
        if states is None and len(self.starts):
            states = self.first(xs.ids.shape[1] if isinstance(xs, Lookup) else xs.shape[1])
        scan, finals, below = slow_scan if self.slow else fast.scan, [], xs
        for layer in range(0, len(self.cells), self.ways):
            below = self.dropped(below) if layer else below
            hs: list[Hs] = []
            for way in range(self.ways):
                state = None if states is None else states[layer + way]
                h, final = scan(self.cells[layer + way], below, state, mask, reverse=way == 1)  # type: ignore[arg-type]
                hs.append(h)
                finals.append(final)
            below = torch.cat(hs, dim=-1) if self.ways > 1 else hs[0]
        return below, tuple(finals)  # type: ignore[return-value]

    def first(self, rows: int) -> States:
        """The learnt first states, for `rows` sequences."""
        return tuple(tuple(s.expand(rows, -1) for s in start) for start in self.starts)

    def dropped(self, hs: Xs | Lookup) -> Xs:
        assert isinstance(hs, Tensor)  # only the lowest layer may be given a Lookup
        if not (self.training and self.drop):
            return hs
        return hs * dropout(hs.new_ones(1 if self.same_mask else len(hs), *hs.shape[1:]), self.drop)
