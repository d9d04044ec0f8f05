"""“Numerical solvers are recurrence relations!” (lecture 003): h ← h + Δt f(h) is a recurrent cell; f can be learnt."""

from math import pi

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.demos.learning import minimise
from legato.demos.registry import Demo, demo
from legato.picture.page import Lines, page
from legato.recurrent.cells import Cell, Euler, RungeKutta
from legato.recurrent.scan import scan

Hs = Float[Tensor, "t b 2"]
TURN = torch.tensor([[0.0, 1.0], [-1.0, 0.0]]).double()


def solve(cell: Cell, start: Float[Tensor, "b 2"], steps: int) -> Hs:
    """All states of a cell that hears nothing."""
    return scan(cell, start.new_zeros(steps, len(start), 1), (start,))[0]


def error(solver: type[Euler], steps: int, time: float) -> float:
    """On the circle h′ = (h₂, −h₁), after `time` in so many steps."""
    cell = solver(1, 2)
    cell.dt, cell.f = time / steps, lambda h, x: h @ TURN.T  # type: ignore[misc, method-assign]
    start = torch.tensor([[1.0, 0.0]]).double()
    return float((solve(cell, start, steps)[-1, 0] - torch.linalg.matrix_exp(time * TURN) @ start[0]).norm())


class Pendulum(RungeKutta):
    """θ′ = ω, ω′ = −sin θ − ω / 10."""

    def f(self, h: Tensor, x: Tensor) -> Tensor:
        angle, speed = h.unbind(1)
        return torch.stack([speed, -angle.sin() - 0.1 * speed], 1)


class Learnt(RungeKutta):
    """f(h) = V tanh(W h), with 16 hidden units: legato's own cell has as many as h."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width)
        self.w, self.v = nn.Linear(width, 16), nn.Linear(16, width)

    def f(self, h: Tensor, x: Tensor) -> Tensor:
        return self.v(self.w(h).tanh())


@demo("R2")
def solver() -> Demo:
    """Solvers as recurrent cells: orders of Euler and Runge–Kutta, and a pendulum learnt.

    h_t = h_{t−1} + Δt f(h_{t−1}): one cell, the same weights at each step. A ResNet steps so through its layers.
    """
    counts = [8, 16, 32, 64, 128]
    errors = {kind.__name__: [error(kind, n, pi) for n in counts] for kind in (Euler, RungeKutta)}
    cell, real, start = Learnt(1, 2).double(), Pendulum(1, 2).double(), 4 * torch.rand(24, 2).double() - 2
    swings = solve(real, start, 20)
    minimise(lambda: (solve(cell, start, 20) - swings).square().mean(), cell.parameters(), steps=80)
    new, times = torch.tensor([[1.5, 0.0]]).double(), real.dt * torch.arange(1, 101)
    with torch.no_grad():
        both = {"true": solve(real, new, 100)[:, 0], "learnt": solve(cell, new, 100)[:, 0]}
    panels = [
        Lines({name: (counts, e) for name, e in errors.items()}, "error after half a turn", "steps", log="xy"),
        Lines({n: (times, h[:, 0]) for n, h in both.items()}, "a swing never seen", "time, s", "angle, rad"),
        Lines({n: tuple(h.T) for n, h in both.items()}, "by angle and speed", "angle, rad", "speed, rad/s", legend=""),
    ]
    numbers = {name: e[-2] / e[-1] for name, e in errors.items()}
    lines = [f"{name:10} half the step, {ratio:.1f} times less error" for name, ratio in numbers.items()]
    numbers["off"] = float((both["true"] - both["learnt"]).norm(dim=1).max())
    lines += [f"h′ = f(h) learnt from 24 swings of 2 s; a new one of 10 s is followed within {numbers['off']:.3f}"]
    return Demo(page(panels, "Numerical solvers are recurrence relations"), lines, numbers)
