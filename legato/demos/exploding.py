"""Gradients through time explode or vanish with W's singular values (lectures 000 and 003; Bengio et al. 1994, Pascanu
et al. 2013).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from legato.demos.registry import Demo, demo
from legato.picture.page import Lines, page
from legato.recurrent.cells import CELLS
from legato.recurrent.gradient_flow import jacobian_norms, set_singular_value

STEPS, WIDTH = 50, 32


def linear_norms(W: Float[Tensor, "n n"], steps: int) -> Float[Tensor, "t"]:
    """‖∂h_T/∂h_t‖ = ‖W^(T−t)‖ of h_t = W h_{t−1} + x_t, for T − t = 0 … steps − 1."""
    powers = [torch.eye(len(W)).double()]
    for _ in range(steps - 1):
        powers.append(W @ powers[-1])
    return torch.stack([torch.linalg.matrix_norm(P, 2) for P in powers])


@demo("R6")
def exploding() -> Demo:
    """Exploding and vanishing gradients by the largest singular value, and what an LSTM does about it.

    Below 1 it must vanish; above 1 it may explode (tanh, whose slope is below 1, works against it).
    An LSTM's memory passes its gradient on times f, its forget gate, and little else.
    """
    Q, random = (torch.randn(WIDTH, WIDTH).double() for _ in range(2))
    Q, random = torch.linalg.qr(Q)[0], random / torch.linalg.matrix_norm(random, 2)
    linear = {f"σ = {v}, rotation": linear_norms(v * Q, STEPS) for v in (1.2, 1.0, 0.8)}
    linear["σ = 1.2, random"] = linear_norms(1.2 * random, STEPS)
    xs = 0.1 * torch.randn(STEPS, 1, 8).double()
    tanh_, lstm = CELLS["rnn"](8, WIDTH).double(), CELLS["lstm"](8, WIDTH).double()
    set_singular_value(lstm, 0.5)
    lstm.ifog.bias.data[WIDTH : 2 * WIDTH] = 3.0  # an open forget gate: σ(3) = 0.95
    cells = {"LSTM's c, f ≈ 0.95": jacobian_norms(lstm, xs, which=1).flip(0)}
    for value in (2.5, 1.5, 0.5):
        set_singular_value(tanh_, value)
        cells[f"tanh, σ = {value}"] = jacobian_norms(tanh_, xs).flip(0)
    spectrum = {"": (range(1, WIDTH + 1), torch.linalg.svdvals(random))}
    panels = [
        Lines({n: (range(STEPS), v) for n, v in linear.items()}, "‖∂h_T/∂h_t‖, linear", "steps back, T − t", log="y"),
        Lines({n: (range(STEPS), v) for n, v in cells.items()}, "tanh and LSTM cells", "steps back, T − t", log="y"),
        Lines(spectrum, "singular values of a random W", "k", "share of the largest"),
    ]
    ends = {name: float(norms[-1]) for name, norms in (linear | cells).items()}
    lines = [f"{name:20} after {STEPS - 1} steps back: {end:.2e}" for name, end in ends.items()]
    return Demo(page(panels, "How far back a gradient reaches"), lines, ends)
