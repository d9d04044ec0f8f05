"""Both directions in real time: a backward cell that sees only so far ahead."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.recurrent import fast
from legato.recurrent.cells import Cell, State
from legato.recurrent.scan import Xs, mask_of


class Lookahead(nn.Module):
    """Real-time BLSTM with limited look-ahead: y_t sees x_1 … x_{t+ahead}, and is out `ahead` steps later.

    The way back starts `ahead` steps after each chunk, and is then forgotten. The windows are the same in training and
    in use, so what is pushed piece by piece equals what is scanned at once. `chunk=1` answers every step by itself;
    a chunk of c costs (c + ahead) / c scans back instead of 1 + ahead.
    """

    def __init__(self, forth: Cell, back: Cell, chunk: int, ahead: int, scan: fast.Scan = fast.scan) -> None:
        super().__init__()
        self.forth, self.back, self.chunk, self.ahead, self.scan = forth, back, chunk, ahead, scan

    def forward(self, xs: Xs, state: State | None = None) -> tuple[Float[Tensor, "t b m"], State]:
        hs, state = self.scan(self.forth, xs, state)
        size = self.chunk + self.ahead
        windows = [xs[start : start + size] for start in range(0, len(xs), self.chunk)]
        if self.scan is fast.scan:
            back = self.side_by_side(windows, size)
        else:
            back = [self.scan(self.back, window, reverse=True)[0][: self.chunk] for window in windows]
        return torch.cat((hs, torch.cat(back)), dim=-1), state

    def side_by_side(self, windows: list[Tensor], size: int) -> list[Tensor]:
        """All windows as rows of one batch. The fast product of a row does not depend on its neighbours: same bits."""
        batch = torch.cat([padded(window, size) for window in windows], dim=1)  # (size, windows · b, i)
        lengths = torch.tensor([len(w) for w in windows], device=batch.device).repeat_interleave(windows[0].shape[1])
        hs, _ = self.scan(self.back, batch, mask=mask_of(lengths, size), reverse=True)
        return [h[: min(len(w), self.chunk)] for h, w in zip(hs.chunk(len(windows), dim=1), windows)]

    def push(self, xs: Xs, state: State | None) -> tuple[Float[Tensor, "c b m"], State]:
        """One chunk, with the `ahead` steps after it in sight: what comes out of it, and the state at its end."""
        hs, state = self.scan(self.forth, xs[: self.chunk], state)
        back, _ = self.scan(self.back, xs, reverse=True)
        return torch.cat((hs, back[: self.chunk]), dim=-1), state


def padded(xs: Xs, size: int) -> Float[Tensor, "{size} b i"]:
    return torch.cat((xs, xs.new_zeros(size - len(xs), *xs.shape[1:]))) if len(xs) < size else xs
