"""Cells that torch's own layers know, by those: on a GPU cuDNN takes all steps in one launch.

Equal to `scan.scan` up to rounding; the weights are the cell's, put in torch's order for the call. A mask is not known
there: packing would take rows out one by one.
"""

from typing import Any

import torch
from torch import Tensor

from legato.recurrent.cells import LSTM, RNN, Cell, CudnnGRU, ReluRNN, State
from legato.recurrent.scan import Hs, Mask, Xs

KNOWN = (LSTM, RNN, ReluRNN, CudnnGRU)


def knows(cell: Cell, mask: Mask | None) -> bool:
    """Whether there is a layer of torch's that computes exactly this."""
    return mask is None and type(cell) in KNOWN


def scan(cell: Cell, xs: Xs, state: State | None = None, reverse: bool = False) -> tuple[Hs, State]:
    """Every h, and the state at the end; see `scan.scan`."""
    xs = xs.flip(0) if reverse else xs
    start = cell.start(xs[0]) if state is None else state
    first = tuple(s[None].contiguous() for s in start)  # torch's layers are stacks: of one here
    told: Any = (weights(cell), True, 1, 0.0, cell.training, False, False)  # biases, layers, dropout, …, batch first
    match cell:
        case LSTM():
            hs, *last = torch.lstm(xs, first, *told)
        case RNN():
            hs, *last = torch.rnn_tanh(xs, first[0], *told)
        case ReluRNN():
            hs, *last = torch.rnn_relu(xs, first[0], *told)
        case _:
            hs, *last = torch.gru(xs, first[0], *told)
    return hs.flip(0) if reverse else hs, tuple(s[0] for s in last)


def weights(cell: Cell) -> list[Tensor]:
    """W_ih, W_hh, b_ih, b_hh in torch's order of gates, and in one piece, as cuDNN wants them."""
    n, zeros = cell.width, torch.zeros_like
    if isinstance(cell, CudnnGRU):
        rz, x, h = cell.rz, cell.x, cell.h
        W, U = torch.cat([rz.weight[:, n:], x.weight]), torch.cat([rz.weight[:, :n], h.weight])
        b, d = torch.cat([rz.bias, x.bias]), torch.cat([zeros(rz.bias), h.bias])
    else:
        gate = cell.ifog if isinstance(cell, LSTM) else cell.h
        both = torch.cat([gate.weight, gate.bias[:, None]], 1)
        if isinstance(cell, LSTM):
            i, f, o, g = both.chunk(4)
            both = torch.cat([i, f, g, o])
        U, W, b = both[:, :n], both[:, n:-1], both[:, -1]
        d = zeros(b)
    flat = torch.cat([part.flatten() for part in (W, U, b, d)])
    return [piece.view_as(part) for piece, part in zip(flat.split([p.numel() for p in (W, U, b, d)]), (W, U, b, d))]
