"""Steps on an input along a gradient, held within a ball around where they began: attacks and adversarial training.

Pictures have their pixels in [0, 1] and stay there. What comes out is within the ball to the last bit, not only up to
rounding: |x − centre| ≤ ε holds for the numbers as they are stored.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from legato.errors import UsageError

Objective = Callable[[Tensor], Tensor]  # x (b, …) → (b,) or their sum: no example looks at another
Batch = Float[Tensor, "b ..."]


def gradient(objective: Objective, x: Batch) -> Batch:
    """∂ Σ objective(x) / ∂x, which is each example's own. The gradients of weights are neither computed nor touched."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(objective(x).sum(), x)
    return slope


@dataclass(frozen=True)
class LInf:
    """‖x − centre‖∞ ≤ ε: no number changes by more than ε."""

    epsilon: float

    def steepest(self, slope: Batch) -> Batch:
        """The d with ‖d‖∞ ≤ 1 along which the objective rises most: sign ∇."""
        return slope.sign()

    def limit(self, change: Batch) -> Batch:
        """The nearest change of at most that size."""
        return change.clamp(-self.epsilon, self.epsilon)

    def project(self, x: Batch, centre: Batch) -> Batch:
        """The nearest picture in the ball."""
        reach = floor(self.epsilon, centre)
        low, high = (torch.nextafter(edge, centre) for edge in (centre - reach, centre + reach))  # sums are rounded
        return x.clamp(low, high).clamp(0, 1)

    def anywhere(self, centre: Batch, rng: Generator | None = None) -> Batch:
        """A picture drawn evenly from the ball."""
        noise = 2 * torch.rand(centre.shape, generator=rng).to(centre) - 1
        return self.project(centre + self.epsilon * noise, centre)

    def size(self, change: Batch) -> Float[Tensor, "b"]:
        """‖change‖∞ of each example."""
        return change.flatten(1).abs().amax(1)


@dataclass(frozen=True)
class L2:
    """‖x − centre‖₂ ≤ ε: the sum of all squared changes is at most ε²."""

    epsilon: float

    def steepest(self, slope: Batch) -> Batch:
        """The d with ‖d‖₂ ≤ 1 along which the objective rises most: ∇ / ‖∇‖."""
        return slope / column(self.size(slope), slope).clamp(min=torch.finfo(slope.dtype).tiny)

    def limit(self, change: Batch) -> Batch:
        """The nearest change of at most that size."""
        size = column(self.size(change), change).clamp(min=torch.finfo(change.dtype).tiny)
        return change * (self.epsilon / size).clamp(max=1)

    def project(self, x: Batch, centre: Batch) -> Batch:
        """The nearest point of the ball, its pixels then cut to [0, 1], which only brings it nearer to the centre."""
        change = self.limit(x - centre)
        held, slack = (centre + change).clamp(0, 1), 1e-7
        while (over := self.size(exact(held) - exact(centre)) > self.epsilon).any():  # sums are rounded
            change, slack = change * max(0, 1 - slack), 2 * slack
            held = torch.where(column(over, held), (centre + change).clamp(0, 1), held)
        return held

    def anywhere(self, centre: Batch, rng: Generator | None = None) -> Batch:
        """A picture drawn evenly from the ball: a direction, and a radius ε u^(1/n)."""
        direction = self.steepest(torch.randn(centre.shape, generator=rng).to(centre))
        radius = torch.rand(len(centre), generator=rng).to(centre) ** (1 / centre[0].numel())
        return self.project(centre + self.epsilon * column(radius, centre) * direction, centre)

    def size(self, change: Batch) -> Float[Tensor, "b"]:
        """‖change‖₂ of each example."""
        return change.flatten(1).norm(dim=1)


Ball = LInf | L2
BALLS: dict[str, type[LInf] | type[L2]] = {"linf": LInf, "l2": L2}


def share(text: str) -> float:
    """A share of the range of pixels as one writes it: 8/255 or 0.03. Raises UsageError for anything else."""
    above, slash, below = text.partition("/")
    try:
        number = float(above) / (float(below) if slash else 1)
    except (ValueError, ZeroDivisionError):
        number = nan
    if not 0 <= number < inf:
        raise UsageError(f"{text!r} is no distance: pixels are in [0, 1], so write 8/255 or 0.03")
    return number


def floor(number: float, like: Tensor) -> Tensor:
    """The largest number not above this one that the tensor's type can hold."""
    held = torch.tensor(number, dtype=like.dtype)
    return (held if float(held) <= number else torch.nextafter(held, torch.zeros_like(held))).to(like.device)


def exact(x: Tensor) -> Tensor:
    """So that differences of float32 lose nothing."""
    return x.cpu().double() if x.device.type == "mps" else x.double()  # Apple's GPUs have no float64


def column(numbers: Tensor, like: Tensor) -> Tensor:
    """(b,) → (b, 1, 1, 1), to be multiplied with pictures."""
    return numbers.view(-1, *(1,) * (like.dim() - 1))


def step_size(ball: Ball, steps: int) -> float:
    """So that `steps` of them reach every edge: 2.5 ε / steps (Mądry et al. 2018, section 5), a single one 1.25 ε
    (Wong, Rice & Kolter 2020, "Fast is better than free", arXiv:2001.03994, section 4)."""
    return min(2.5 / steps, 1.25) * ball.epsilon


def ascend(objective: Objective, x: Batch, centre: Batch, ball: Ball, step: float, steps: int) -> Batch:
    """x ← Π(x + α · steepest ∇objective(x)), `steps` times: projected gradient ascent.

    Mądry et al. 2018, "Towards deep learning models resistant to adversarial attacks", arXiv:1706.06083, section 2.1.
    """
    for _ in range(steps):
        x = ball.project(x + step * ball.steepest(gradient(objective, x)), centre)
    return x
