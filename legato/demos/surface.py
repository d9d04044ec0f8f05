"""Empirical risk (lecture 003): convex in w for a linear predictor, hilly for a network."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from legato.demos.learning import minimise
from legato.demos.registry import Demo, demo
from legato.picture.page import Field, page

Risk = Callable[[Tensor], Tensor]  # w → L
UNITS = 3


def network(w: Float[Tensor, "units 4"], x: Float[Tensor, "n 2"]) -> Float[Tensor, "n"]:
    """v · tanh(U x + c); a row of w is a hidden unit: two numbers of U, one of c, one of v."""
    U, c, v = w[:, :2], w[:, 2], w[:, 3]
    return (x @ U.T + c).tanh() @ v


def lowest(risk: Risk, w: Tensor) -> Tensor:
    """Down from w into the nearest valley; a little weight decay keeps it from running off to infinity."""
    minimise(lambda: risk(w) + 1e-3 * w.square().sum(), [w])
    return w.detach()


def hills(risk: Risk, ends: Float[Tensor, "n 2 *shape"]) -> float:
    """The share of segments whose middle lies higher than the mean of their ends: 0 for a convex function."""
    return sum(float(risk((a + b) / 2) > (risk(a) + risk(b)) / 2 + 1e-12) for a, b in ends) / len(ends)


@demo("F7")
def surface() -> Demo:
    """Empirical risk on a plane through weight space: a linear predictor's and a network's.

    A convex function has no segment whose middle is higher: from anywhere, descent ends in the one valley.
    A network's hidden units can be exchanged: the same function again, and a hill between.
    """
    x = 2 * torch.rand(80, 2).double() - 1
    y, axis = (x[:, 0] * x[:, 1] < 0).double(), torch.linspace(-0.5, 1.5, 61).double()
    linear: Risk = lambda w: cross_entropy(x @ w[:2] + w[2], y)
    deep: Risk = lambda w: cross_entropy(network(w, x), y)
    w, v = lowest(linear, torch.randn(3).double()), lowest(deep, torch.randn(UNITS, 4).double())
    cuts = {
        "linear": (linear, w, w + 3 * torch.randn(3).double(), "0: the minimum, 1: elsewhere"),
        "network": (deep, v, v.roll(1, 0), "0 and 1: the same minimum, units exchanged"),
    }
    panels, numbers = [], {}
    for name, (risk, one, other, words) in cuts.items():
        across, up = other - one, torch.randn(one.shape).double()
        up = up * across.norm() / up.norm()
        plane = torch.stack([torch.stack([risk(one + a * across + (b - 0.5) * up) for a in axis]) for b in axis])
        numbers[name] = hills(risk, 3 * torch.randn(1000, 2, *one.shape).double())
        panels.append(Field(plane, (-0.5, 1.5, -1, 1), f"{name}, {one.numel()} weights", words, "", "L", levels=14))
    lines = [
        f"{name:8} of 1,000 segments {s:.1%} have a middle above the mean of their ends" for name, s in numbers.items()
    ]
    return Demo(page(panels, "Empirical risk, cut along a plane of weights", side=3.9, height=3.2), lines, numbers)
