"""What each pixel adds to the answer on the way from an empty picture to this one: integrated gradients.

Sundararajan, Taly & Yan 2017, "Axiomatic attribution for deep networks", arXiv:1703.01365, sections 3 and 5.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from legato.explain.saliency import Score, mean_gradient, shares
from legato.explain.subject import Shown, Subject, method, scored_pictures

STEPS, MOST = 50, 1600  # along the way: at first, and at most
COMPLETE = 0.01  # of the difference may be missing


class Attribution(NamedTuple):
    """What each number of the picture adds, what all add, what they should add, and in how many steps."""

    values: Float[Tensor, "b c h w"]
    sums: Float[Tensor, "b"]
    differences: Float[Tensor, "b"]
    steps: int

    @property
    def missing(self) -> float:
        """The largest share of a difference that the sum does not reach."""
        return float(((self.sums - self.differences).abs() / self.differences.abs().clamp(min=1e-6)).max())


def integrated_gradients(
    score: Score, x: Float[Tensor, "b c h w"], baseline: Tensor | None = None, steps: int = STEPS
) -> Float[Tensor, "b c h w"]:
    """(x − x′) ∫₀¹ ∂ score (x′ + α (x − x′)) / ∂ x dα, by Gauss and Legendre; x′ is black unless given (equation 1)."""
    start = torch.zeros_like(x) if baseline is None else baseline
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    alpha = torch.from_numpy((nodes + 1) / 2).to(x)[:, None, None, None, None]
    path = lambda first, last: start + alpha[first:last] * (x - start)
    return (x - start) * mean_gradient(score, path, (weights / 2).tolist(), x[:, 0].numel())


def complete_gradients(score: Score, x: Float[Tensor, "b c h w"], baseline: Tensor | None = None) -> Attribution:
    """The same in as many steps as it takes for the sum to be the score's difference within 1 % (proposition 1).

    Steps double from 50 up to 1600; what is missing then is in `missing`.
    """
    start = torch.zeros_like(x) if baseline is None else baseline
    with torch.no_grad():
        differences = score(x) - score(start)
    steps = STEPS
    while True:
        values = integrated_gradients(score, x, start, steps)
        found = Attribution(values, values.sum(dim=(1, 2, 3)), differences, steps)
        if found.missing <= COMPLETE or steps >= MOST:
            return found
        steps *= 2


@method("integrated", fits=scored_pictures)
def show_integrated(subject: Subject) -> list[Shown]:
    """Integrated gradients: what each pixel adds to the answer, from black to this picture."""
    x = subject.pixels
    found = complete_gradients(subject.score_of, x)
    line = (
        f"pixels add up to {float(found.sums):.4g} of a difference of {float(found.differences):.4g} "
        f"({found.missing:.1%} missing, {found.steps} steps)"
    )
    return [shares(x[0], found.values[0].sum(dim=0), f"Integrated gradients: {subject.target}", line)]
