"""Pooling beyond torch's own max and mean: p-norms, whole maps, and the way back from a maximum."""

from math import expm1, inf, isinf, log

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from legato.errors import UsageError
from legato.layers.size import output_size


class PNormPool2d(nn.Module):
    """(Σ |x|ᵖ)^(1/p) over each window, 1 ≤ p ≤ ∞: p = 1 adds up absolute values, p = ∞ is the largest of them."""

    def __init__(self, size: int, stride: int, p: float = 2.0) -> None:
        super().__init__()
        if not p >= 1:
            raise UsageError(f"a p-norm needs p ≥ 1, not {p}: below 1 it is no norm")
        self.size, self.stride, self.p = size, stride, p

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c _h _w"]:
        if isinf(self.p):
            return F.max_pool2d(x.abs(), self.size, self.stride)
        return p_norm(windows(x, self.size, self.stride), self.p)


class LearnedNormPool2d(nn.Module):
    """A p-norm pool that learns p = 1 + softplus(ρ) ≥ 1 for each channel (Gulcehre et al. 2014, arXiv:1311.1780)."""

    def __init__(self, channels: int, size: int, stride: int, p: float = 2.0) -> None:
        super().__init__()
        if not 1 < p < inf:
            raise UsageError(f"a learnt p begins between 1 and ∞, not at {p}")
        self.size, self.stride = size, stride
        self.rho = nn.Parameter(torch.full((channels, 1, 1, 1), log(expm1(p - 1))))

    @property
    def p(self) -> Float[Tensor, "c 1 1 1"]:
        return 1 + F.softplus(self.rho)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c _h _w"]:
        return p_norm(windows(x, self.size, self.stride), self.p)


class GlobalAverage(nn.Module):
    """The mean of each map: (b, c, h, w) → (b, c), whatever the picture's size (Lin et al. 2014, arXiv:1312.4400)."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
        return x.mean((-2, -1))


class GlobalMax(nn.Module):
    """The largest value of each map: (b, c, h, w) → (b, c). "I found a cat somewhere"."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c"]:
        return x.amax((-2, -1))


def windows(x: Float[Tensor, "b c h w"], size: int, stride: int) -> Float[Tensor, "b c _h _w taps"]:
    output_size(min(x.shape[-2:]), size, stride)  # says so when the window does not fit
    return x.unfold(2, size, stride).unfold(3, size, stride).flatten(-2)


def p_norm(x: Float[Tensor, "*shape taps"], p: float | Float[Tensor, "..."]) -> Float[Tensor, "*shape"]:
    """‖x‖ₚ over the last axis for any finite p: neither overflows nor underflows, and its gradient at 0 is 0."""
    x = x.abs()
    largest = x.amax(-1, keepdim=True).detach()  # it cancels out, so it needs no gradient
    alive = largest > 0
    ratios = torch.where(alive, x / torch.where(alive, largest, 1), 1)  # the root of a sum of zeros has no gradient
    return torch.where(alive, largest * (ratios**p).sum(-1, keepdim=True) ** (1 / p), 0).squeeze(-1)


def max_pool_where(
    x: Float[Tensor, "b c h w"], size: int, stride: int, padding: int = 0
) -> tuple[Float[Tensor, "b c _h _w"], Int[Tensor, "b c _h _w"]]:
    """Max-pool, and where each maximum stood: its index into the flattened map (h·w). Of equals the first."""
    return F.max_pool2d(x, size, stride, padding, return_indices=True)


def max_unpool(
    pooled: Float[Tensor, "b c h w"], where: Int[Tensor, "b c h w"], height: int, width: int
) -> Float[Tensor, "b c {height} {width}"]:
    """Put each value back where its maximum stood, among zeros; where windows overlap and agree on a place, the larger.

    Unlike `F.max_unpool2d` it gives the same answer every time when indices repeat.
    """
    flat = pooled.new_zeros(*pooled.shape[:2], height * width)
    flat = flat.scatter_reduce(-1, where.flatten(2), pooled.flatten(2), "amax", include_self=False)
    return flat.unflatten(-1, (height, width))
