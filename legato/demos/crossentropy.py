"""Cross-entropy, its gradient by the chain rule, and the sign that lecture 003 prints (erratum E1)."""

import torch
from jaxtyping import Float
from torch import Tensor

from legato.demos.registry import Demo, demo
from legato.picture.page import Lines, page

W = Float[Tensor, "m n"]
V = Float[Tensor, "n"]
Y = Float[Tensor, "m"]


def loss(y: Tensor, p: Tensor) -> Tensor:
    """L = −Σ (y log ŷ + (1 − y) log(1 − ŷ)): the sum is over both terms, which the slide's brackets leave open."""
    return -(y * p.log() + (1 - y) * (1 - p).log()).sum()


def gradient(w: W, v: V, y: Y) -> W:
    """∂L/∂W = (ŷ − y) vᵀ, of ŷ = σ(W v)."""
    return torch.outer((w @ v).sigmoid() - y, v)


def printed(w: W, v: V, y: Y) -> W:
    """The slide's (y − ŷ) vᵀ, which is the negative of the product of its own factors."""
    return torch.outer(y - (w @ v).sigmoid(), v)


@demo("F8 E1")
def crossentropy() -> Demo:
    """Cross-entropy and its gradient; as printed, W − α ∂L/∂W goes uphill.

    ∂L/∂z = ŷ − y: the slope of σ cancels, so a unit that is wrong and sure learns fastest.
    In the squared error that slope stays: such a unit hardly learns (in the middle).
    """
    z = torch.linspace(-6, 6, 241).double()
    p = z.sigmoid()
    losses = {"y = 1": (z, -p.log()), "y = 0": (z, -(1 - p).log())}
    slopes = {"y = 1": (z, p - 1), "y = 0": (z, p), "squared, y = 1": (z, (p - 1) * p * (1 - p))}
    start, v, y = torch.randn(2, 4).double(), torch.rand(4).double(), torch.tensor([1.0, 0.0]).double()
    courses = {}
    for name, rule in (("true sign", gradient), ("as printed", printed)):
        w, course = start, []
        for _ in range(21):
            course.append(float(loss(y, (w @ v).sigmoid())))
            w = w - 0.5 * rule(w, v, y)
        courses[name] = (range(21), course)
    panels = [
        Lines(losses, "L, for ŷ = σ(z)", "z", "L"),
        Lines(slopes, "∂L/∂z", "z", legend="upper left"),
        Lines(courses, "W ← W − α ∂L/∂W", "step", "L", legend="upper left"),
    ]
    lines = [
        f"{name:10} L from {course[0]:.3f} to {course[-1]:.3f} in 20 steps" for name, (_, course) in courses.items()
    ]
    numbers = {"start": courses["true sign"][1][0]} | {name: course[-1] for name, (_, course) in courses.items()}
    return Demo(page(panels, "Cross-entropy and the sign of its gradient"), lines, numbers)
