"""Which pixels would change the answer most (Simonyan, Vedaldi & Zisserman 2013, section 3)."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from legato import picture
from legato.errors import UsageError
from legato.explain.subject import Shown, Subject, method, scored_pictures

CACHE = 2**18  # pixels of a batch: in one of 32 pictures of 227 × 227 each takes 1.7 times as long as in one of 4
CLIP = 0.99  # the share of values that colours tell apart
FINEST = 56  # blocks to a side in which what pixels add is shown
Score = Callable[[Tensor], Tensor]  # pictures (b, c, h, w) → (b,), each from its own picture alone


def gradient(score: Score, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """∂ score / ∂ x of each picture. Raises UsageError where no gradient reaches x, as behind a choice of regions."""
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        value = score(x).sum()
        found = torch.autograd.grad(value, x, allow_unused=True)[0] if value.requires_grad else None
    if found is None:
        raise UsageError("no gradient leads from this answer to the picture; occlusion needs none")
    return found


def mean_gradient(
    score: Score, variants: Callable[[int, int], Tensor], weights: Sequence[float], pixels: int
) -> Float[Tensor, "b c h w"]:
    """Σ wₙ ∂ score / ∂ x over variants of x, as many at a time as a CPU's cache likes.

    variants(first, last) makes those: (last − first, b, c, h, w). pixels: of one of them, b · h · w.
    """
    size, total = max(1, CACHE // pixels), None
    for first in range(0, len(weights), size):
        some = variants(first, min(first + size, len(weights)))
        found = gradient(score, some.flatten(0, 1)).unflatten(0, some.shape[:2])
        w = torch.tensor(weights[first : first + len(some)], device=found.device, dtype=found.dtype)
        part = torch.einsum("n,nbchw->bchw", w, found)
        total = part if total is None else total + part
    assert total is not None, "no variants"
    return total


def saliency(score: Score, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
    """max over channels of |∂ score / ∂ x|."""
    return gradient(score, x).abs().amax(dim=1)


def gradient_times_input(score: Score, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
    """Σ over channels of x · ∂ score / ∂ x: of a linear score, what each pixel adds (Shrikumar et al. 2016, 2.2)."""
    return (x * gradient(score, x)).sum(dim=1)


@method("saliency", fits=scored_pictures)
def show_saliency(subject: Subject) -> list[Shown]:
    """Which pixels would change the answer most: the largest of a pixel's gradients."""
    x = subject.pixels
    found = saliency(subject.score_of, x)[0]
    return [beside(x[0], found, f"Gradient: {subject.target}", "|∂ score / ∂ pixel|")]


@method("gradient-input", fits=scored_pictures)
def show_gradient_times_input(subject: Subject) -> list[Shown]:
    """Gradient times input: what each pixel adds to the answer, as if the network were linear."""
    x = subject.pixels
    found = gradient_times_input(subject.score_of, x)[0]
    return [shares(x[0], found, f"Gradient × input: {subject.target}")]


def shares(image: Float[Tensor, "c h w"], found: Float[Tensor, "h w"], title: str, *lines: str) -> Shown:
    """The picture, and what its pixels add to the score; of large pictures blocks of them, which one can see."""
    block = max(1, min(found.shape) // FINEST)
    added = F.avg_pool2d(found[None, None], block, divisor_override=1)[0, 0]
    each = f"{block} × {block} pixels add" if block > 1 else "a pixel adds"
    drawn = picture.panels(image, [("", added)], title, f"what {each} to the score", signed=True, clip=CLIP)
    return Shown(drawn, lines=lines)


def beside(
    image: Float[Tensor, "c h w"],
    found: Float[Tensor, "h w"],
    title: str,
    unit: str,
) -> Shown:
    """The picture, and a map of its pixels, whose largest hundredth is cut off: gradients have long tails."""
    return Shown(picture.panels(image, [("", found)], title, unit, over=False, clip=CLIP))
