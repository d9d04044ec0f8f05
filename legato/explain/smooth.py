"""Gradients without their noise: the mean over noisy copies of the picture (SmoothGrad).

Smilkov, Thorat, Kim, Viégas & Wattenberg 2017, "SmoothGrad: removing noise by adding noise", arXiv:1706.03825.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from legato.draws import generator
from legato.explain.saliency import Score, beside, mean_gradient
from legato.explain.subject import Shown, Subject, method, scored_pictures

NOISE = 0.15  # σ as a share of the picture's range: the paper finds 10 to 20 % best (section 3.3)
SAMPLES = 50  # beyond which the paper sees little change


def smooth_gradient(
    score: Score, x: Float[Tensor, "b c h w"], noise: float = NOISE, samples: int = SAMPLES, seed: int = 0
) -> Float[Tensor, "b c h w"]:
    """1/n Σ ∂ score (x + ε) / ∂ x, ε of N(0, σ²), σ = noise · (max x − min x) of each picture."""
    sigma = noise * (x.amax(dim=(1, 2, 3), keepdim=True) - x.amin(dim=(1, 2, 3), keepdim=True))
    g = generator("smooth", seed)
    noisy = lambda first, last: x + sigma * torch.randn((last - first, *x.shape), generator=g).to(x)
    return mean_gradient(score, noisy, [1 / samples] * samples, x[:, 0].numel())


@method("smooth", fits=scored_pictures)
def show_smooth(subject: Subject) -> list[Shown]:
    """SmoothGrad: the gradient, averaged over 50 noisy copies of the picture."""
    x = subject.pixels
    found = smooth_gradient(subject.score_of, x)[0].abs().amax(dim=0)
    return [beside(x[0], found, f"SmoothGrad: {subject.target}", f"|mean ∂ score / ∂ pixel|, {SAMPLES} noisy copies")]
