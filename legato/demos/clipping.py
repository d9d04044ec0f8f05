"""Clipping the gradient, as lecture 000 prints it and as it is meant (erratum E2): by the norm, not by its square."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from legato.demos.registry import Demo, demo
from legato.picture.page import Lines, page

Vector = Float[Tensor, "n"]
THRESHOLD, START, STEPS = 1.0, 4.0, 120


def printed(gradient: Vector) -> Vector:
    """grad_norm = np.sum(grad * grad); if grad_norm > threshold: grad *= threshold / grad_norm."""
    norm = (gradient * gradient).sum()
    return gradient * THRESHOLD / norm if norm > THRESHOLD else gradient


def meant(gradient: Vector) -> Vector:
    """g · min(1, threshold / ‖g‖), as `torch.nn.utils.clip_grad_norm_` and legato's `--clip-norm` do."""
    return gradient * (THRESHOLD / gradient.norm()).clamp(max=1)


def course(clip: Callable[[Vector], Vector], w: Vector, steps: int, rate: float) -> list[float]:
    """‖w‖ on the way down L = ‖w‖⁴ / 4, whose gradient ‖w‖² w grows fast."""
    norms = []
    for _ in range(steps):
        norms.append(float(w.norm()))
        w = w - rate * clip(w.square().sum() * w)
    return norms


@demo("E2")
def clipping() -> Demo:
    """Gradient clipping as printed (by the squared norm) and as meant (by the norm).

    As printed, the norm becomes threshold / ‖g‖: the larger the gradient, the smaller the step.
    """
    direction, sizes = torch.nn.functional.normalize(torch.randn(5).double(), dim=0), torch.logspace(-1, 2, 61).double()
    rules = {"meant": meant, "printed": printed}
    after = {name: (sizes, torch.stack([rule(s * direction).norm() for s in sizes])) for name, rule in rules.items()}
    courses = {name: course(rule, START * direction, STEPS, 0.1) for name, rule in rules.items()}
    free = course(lambda g: g, START * direction, 4, 0.2)
    panels = [
        Lines(after, "size of the clipped gradient", "‖g‖", "‖clipped‖", log="xy"),
        Lines({name: (range(STEPS), ws) for name, ws in courses.items()}, "down L = ‖w‖⁴ / 4 from 4", "step", "‖w‖"),
    ]
    lines = []
    for s in (0.5, 2.0, 10.0, 100.0):
        clipped = [float(rule(s * direction).norm()) for rule in rules.values()]
        lines.append(f"‖g‖ = {s:5}: clipped as meant to {clipped[0]:.3f}, as printed to {clipped[1]:.3f}")
    lines += [f"{name:8} ‖w‖ from {ws[0]:.0f} to {ws[-1]:.3f} in {STEPS - 1} steps" for name, ws in courses.items()]
    lines += [f"without clipping, at twice the rate: {', '.join(f'{w:.3g}' for w in free)} …"]
    numbers = {name: ws[-1] for name, ws in courses.items()}
    return Demo(page(panels, "Clipping: what the printed code does", side=3.6, height=2.9), lines, numbers)
