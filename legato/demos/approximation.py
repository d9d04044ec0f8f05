"""One hidden layer is enough (universal approximation, lecture 001), written down instead of learnt.

With a ReLU unit at each knot tᵢ, f̂(x) = f(0) + Σ (sᵢ − sᵢ₋₁) relu(x − tᵢ) is the line through f's values at the knots;
sᵢ is its slope behind tᵢ. Its error is at most max|f″| h² / 8, h the distance of knots (any text on interpolation).
"""

from collections.abc import Callable
from math import pi

import torch
from jaxtyping import Float
from torch import Tensor

from legato.demos.registry import Demo, demo
from legato.picture.page import Lines, page

BEND = (3 * pi) ** 2 + (7 * pi) ** 2 / 4  # no less than max|f″|


def f(x: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    return (3 * pi * x).sin() + (7 * pi * x).cos() / 4


def network(f: Callable[[Tensor], Tensor], units: int) -> tuple[Float[Tensor, "units"], Float[Tensor, "units"]]:
    """The knots, and what each unit weighs in the output."""
    t = torch.linspace(0, 1, units + 1).double()
    s = f(t).diff() / t.diff()
    return t[:-1], torch.cat([s[:1], s.diff()])


def output(f: Callable[[Tensor], Tensor], units: int, x: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    t, v = network(f, units)
    return f(torch.zeros(1).double()) + (x[:, None] - t).relu() @ v


@demo("F11")
def approximation() -> Demo:
    """Universal approximation: one hidden layer of n ReLU units, its weights written down.

    Twice the units, a quarter of the error: one layer is enough, for a function of one number.
    For d numbers knots form a grid, n^d of them: hence more layers (`legato demo depth`).
    """
    x, counts = torch.linspace(0, 1, 2001).double(), [4, 8, 16, 32, 64, 128, 256]
    fits = {"f": (x, f(x))} | {f"{n} units": (x, output(f, n, x)) for n in (5, 10, 20)}
    errors = [float((output(f, n, x) - f(x)).abs().max()) for n in counts]
    bounds = [BEND / (8 * n**2) for n in counts]
    pieces = {f"_{k}": (x, v * (x - t).relu()) for k, (t, v) in enumerate(zip(*network(f, 10)))}
    panels = [
        Lines(fits, "f, and networks that approach it", "x", legend="lower left"),
        Lines(pieces, "ten units, each weighed", "x", legend=""),
        Lines({"largest error": (counts, errors), "max|f″| / 8n²": (counts, bounds)}, "error", "units n", log="xy"),
    ]
    lines = [f"{n:4} units: largest error {e:.5f}, no more than {b:.5f}" for n, e, b in zip(counts, errors, bounds)]
    drawn = page(panels, "One hidden layer approximates any continuous function")
    return Demo(drawn, lines, {str(n): e for n, e in zip(counts, errors)})
