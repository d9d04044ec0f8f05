"""Cells with weights worth testing, sequences, and a loss that touches everything."""

import torch
from torch import Tensor

from legato.recurrent.cells import CELLS, Cell


def cell_of(name: str, inputs: int = 5, width: int = 5, dtype: torch.dtype = torch.float64, scale: float = 0.5) -> Cell:
    generator = torch.Generator().manual_seed(len(name))
    cell = CELLS[name](width if CELLS[name].adds_x else inputs, width).to(dtype)
    for parameter in cell.parameters():
        parameter.data.normal_(0, scale, generator=generator)
    return cell


def sequence(cell: Cell, steps: int = 4, rows: int = 3, seed: int = 0) -> tuple[Tensor, tuple[Tensor, ...]]:
    generator, dtype = torch.Generator().manual_seed(seed), next(cell.parameters()).dtype
    xs = torch.randn(steps, rows, cell.inputs, generator=generator, dtype=dtype)
    state = tuple(torch.randn(rows, cell.width, generator=generator, dtype=dtype) for _ in range(cell.memories))
    return xs, state


def everything(scan, cell, xs, state, **how):
    """hs, the last state, and the gradients of x, the first state and all parameters."""
    xs, state = xs.detach().requires_grad_(), tuple(s.detach().requires_grad_() for s in state)
    hs, final = scan(cell, xs, state, **how)
    loss = hs.float().sin().sum() + sum((k + 2) * s.float().cos().sum() for k, s in enumerate(final))
    if hs.dtype == torch.float64:
        loss = hs.sin().sum() + sum((k + 2) * s.cos().sum() for k, s in enumerate(final))
    wanted = [xs, *state, *cell.parameters()]
    return [hs.detach(), *(s.detach() for s in final), *torch.autograd.grad(loss, wanted, materialize_grads=True)]


def relative(a: Tensor, b: Tensor) -> float:
    a, b = a.detach(), b.detach()
    return float((a.double() - b.double()).norm() / b.double().norm().clamp(min=1e-300))
