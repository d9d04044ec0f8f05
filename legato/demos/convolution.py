"""Convolution flips the kernel, then shifts it; cross-correlation only shifts (lecture 004)."""

import torch
from jaxtyping import Float
from torch import Tensor

from legato.demos.registry import Demo, demo
from legato.picture.page import Lines, page

Signal = Float[Tensor, "n"]
Kernel = Float[Tensor, "k"]


def correlate(f: Signal, g: Kernel) -> Float[Tensor, "m"]:
    """(f ⋆ g)(t) = Σ_τ f(t + τ) g(τ), wherever the kernel overlaps the signal: m = n + k − 1."""
    margin = f.new_zeros(len(g) - 1)
    padded = torch.cat([margin, f, margin])
    return torch.stack([padded[t : t + len(g)] @ g for t in range(len(f) + len(g) - 1)])


def convolve(f: Signal, g: Kernel) -> Float[Tensor, "m"]:
    """(f ∗ g)(t) = Σ_τ f(τ) g(t − τ)."""
    out = f.new_zeros(len(f) + len(g) - 1)
    for tau, value in enumerate(f):
        out[tau : tau + len(g)] += value * g
    return out


@demo("C12")
def convolution() -> Demo:
    """Convolution and cross-correlation: equal exactly for even kernels.

    (f ∗ g)(t) = Σ f(τ) g(t − τ): the kernel is flipped, then shifted. (f ⋆ g)(t) = Σ f(t + τ) g(τ): only shifted.
    After the impulse at 12 the convolution shows g itself, the correlation g backwards.
    A network learns its kernels, so that it may do either; `nn.Conv2d` correlates, `TrueConv2d` convolves.
    """
    f, tau = torch.zeros(60).double(), torch.arange(13).double()
    f[12], f[34:46] = 1.0, 0.6
    kernels = {"decay": (-tau / 3).exp(), "bell": (-(((tau - 6) / 2.5) ** 2)).exp()}
    inputs = {"f": (range(60), f)} | {f"g: a {name}": (tau, g) for name, g in kernels.items()}
    panels, apart = [Lines(inputs, "a signal, two kernels", "t")], {}
    for name, g in kernels.items():
        both = {"convolution f ∗ g": convolve(f, g), "correlation f ⋆ g": correlate(f, g)}
        apart[name] = float((convolve(f, g) - correlate(f, g)).abs().max())
        panels.append(Lines({n: (range(72), y) for n, y in both.items()}, f"g: a {name}", "t"))
    apart["flipped"] = float((convolve(f, kernels["decay"]) - correlate(f, kernels["decay"].flip(0))).abs().max())
    lines = [
        f"largest difference of the two, g a decay: {apart['decay']:.3f}; g a bell, which is even: {apart['bell']:.0e}",
        f"convolution with g against correlation with g flipped: {apart['flipped']:.0e}",
    ]
    return Demo(page(panels, "Flip, then shift; or only shift"), lines, apart)
