"""How far back a gradient reaches: its norm by the step, and the singular value that decides it.

∂h_T/∂h_t is a product of T - t Jacobians. Largest singular value of W_hh above 1: it may explode; below 1: it must
vanish (Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013). An LSTM's memory has ∂c_t/∂c_{t−1} = f, its
forget gate, and nothing else in between while the gates stand still.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from legato.recurrent.cells import Cell, State
from legato.recurrent.scan import Xs


def jacobian_norms(cell: Cell, xs: Xs, state: State | None = None, which: int = 0) -> Float[Tensor, "t"]:
    """‖∂s_T/∂s_t‖₂ for t = 1 … T, on every path; s is the state's tensor `which` (0 is h, 1 an LSTM's c).

    Of the first sequence of the batch.
    """
    with torch.enable_grad():
        xs = xs[:, :1].detach()
        state = tuple(s[:1].detach().requires_grad_() for s in (cell.start(xs[0]) if state is None else state))
        passed: list[Tensor] = []
        for x in xs:
            state = cell(x, state)
            passed.append(state[which])
        eye = torch.eye(cell.width, dtype=xs.dtype, device=xs.device)[:, None]
        jacobians = torch.autograd.grad(passed[-1], passed, eye, is_grads_batched=True)
    return torch.stack([torch.linalg.matrix_norm(j[:, 0], 2) for j in jacobians])


def recurrent_weights(cell: Cell) -> dict[str, Float[Tensor, "m n"]]:
    """The columns of each matrix that see h: W_hh, a view; {"ifog": (4n, n)} for an LSTM."""
    found = {}
    for gate, parts in cell.sees.items():
        if "h" in parts:
            start = sum(cell.inputs if part == "x" else cell.width for part in parts[: parts.index("h")])
            found["".join(gate)] = getattr(cell, "".join(gate)).weight[:, start : start + cell.width]
    return found


def largest_singular_value(cell: Cell) -> dict[str, float]:
    """Of each W_hh, for a plot beside the loss."""
    return {name: float(torch.linalg.matrix_norm(w.detach(), 2)) for name, w in recurrent_weights(cell).items()}


@torch.no_grad()
def set_singular_value(cell: Cell, value: float) -> None:
    """Scale each W_hh so that its largest singular value is this."""
    for weight in recurrent_weights(cell).values():
        weight *= value / torch.linalg.matrix_norm(weight, 2)
