"""How much of the answer is lost when a patch is covered (Zeiler & Fergus 2013, section 4.2)."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


@torch.no_grad()
def occlusion(
    evidence: Callable[[Tensor], Tensor],
    x: Float[Tensor, "1 c h w"],
    patch: int = 0,
    stride: int = 0,
    batch_size: int = 64,
) -> Float[Tensor, "h w"]:
    """Evidence lost, for each pixel the mean over all patches that cover it; patches take the picture's mean colour.

    patch, stride: in pixels; by default an eighth of the side, and half of that.
    """
    h, w = x.shape[2:]
    patch = patch or max(1, min(h, w) // 8)
    stride = stride or max(1, patch // 2)
    corners = [(i, j) for i in starts(h, patch, stride) for j in starts(w, patch, stride)]
    colour = x.mean(dim=(2, 3), keepdim=True)
    lost, covered = x.new_zeros(h, w), x.new_zeros(h, w)
    whole = evidence(x)
    for first in range(0, len(corners), batch_size):
        some = corners[first : first + batch_size]
        hidden = x.repeat(len(some), 1, 1, 1)
        for k, (i, j) in enumerate(some):
            hidden[k, :, i : i + patch, j : j + patch] = colour[0]
        for (i, j), value in zip(some, (whole - evidence(hidden)).tolist()):
            lost[i : i + patch, j : j + patch] += value
            covered[i : i + patch, j : j + patch] += 1
    return lost / covered


def starts(length: int, patch: int, stride: int) -> list[int]:
    """Where patches begin: every `stride`, the last one flush with the edge."""
    return sorted({*range(0, length - patch + 1, stride), length - patch})
