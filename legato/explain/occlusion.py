"""How much of the answer is lost when a patch is covered (Zeiler & Fergus 2013, section 4.2)."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from legato import picture
from legato.explain.saliency import CACHE
from legato.explain.subject import Shown, Subject, likely_pictures, method


@torch.no_grad()
def occlusion(
    evidence: Callable[[Tensor], Tensor],
    x: Float[Tensor, "1 c h w"],
    patch: int = 0,
    stride: int = 0,
    batch_size: int = 0,
    cover: float | None = None,
) -> Float[Tensor, "h w"]:
    """Evidence lost, for each pixel the mean over all patches that cover it.

    patch, stride: in pixels; by default an eighth of the side, and half of that. Patches take the picture's mean
    colour, or the number `cover`. batch_size: 0 for as many as a CPU's cache likes, 4 of 227 × 227 pixels.
    """
    h, w = x.shape[2:]
    patch = patch or max(1, min(h, w) // 8)
    stride = stride or max(1, patch // 2)
    batch_size = batch_size or max(1, min(256, CACHE // (h * w)))
    corners = [(i, j) for i in starts(h, patch, stride) for j in starts(w, patch, stride)]
    colour = x.mean(dim=(2, 3), keepdim=True) if cover is None else torch.full_like(x[:, :, :1, :1], cover)
    lost, covered = x.new_zeros(h, w), x.new_zeros(h, w)
    whole = evidence(x)
    for first in range(0, len(corners), batch_size):
        some = corners[first : first + batch_size]
        hidden = x.repeat(len(some), 1, 1, 1).contiguous(memory_format=torch.channels_last)
        for k, (i, j) in enumerate(some):
            hidden[k, :, i : i + patch, j : j + patch] = colour[0]
        for (i, j), value in zip(some, (whole - evidence(hidden)).tolist()):
            lost[i : i + patch, j : j + patch] += value
            covered[i : i + patch, j : j + patch] += 1
    return lost / covered


def starts(length: int, patch: int, stride: int) -> list[int]:
    """Where patches begin: every `stride`, the last one flush with the edge."""
    return sorted({*range(0, length - patch + 1, stride), length - patch})


def smoothed(values: Float[Tensor, "h w"], cell: int) -> Float[Tensor, "h w"]:
    """Linear between the middles of cells of equal values, where it was steps: a mean over a window of their size."""
    border = (cell // 2, (cell - 1) // 2)
    padded = F.pad(values[None, None], border * 2, mode="replicate")
    return F.avg_pool2d(padded, cell, stride=1)[0, 0]


@method("occlusion", fits=likely_pictures)
def show_occlusion(subject: Subject) -> list[Shown]:
    """What of the answer is lost where a patch covers the picture; works for every network."""
    x = subject.pixels
    lost = occlusion(subject.evidence_of, x).cpu()
    with torch.no_grad():
        whole = float(subject.evidence_of(x))
    mostly_lost = bool(-lost.min() < lost.max() / 4)  # else covering helps somewhere, which one should see
    row, column = divmod(int(lost.argmax()), lost.shape[1])
    line = f"{whole:.3g} as it is; most is lost, {float(lost.max()):.3g}, where row {row}, column {column} is covered"
    shown = smoothed(lost.clamp(min=0) if mostly_lost else lost, max(1, min(lost.shape) // 16))
    title, unit = f"Occlusion: {subject.target}", "evidence lost under a patch"
    drawn = picture.heat(shown, x[0], title, unit, signed=not mostly_lost)
    return [Shown(drawn, lines=(line,))]
