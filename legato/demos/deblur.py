"""Deconvolution as signal processing means it (lecture 004): a blurred picture becomes a good one.

A network's layer of that name, the transposed convolution, is the blur's adjoint, not its inverse.
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.fft import fft2, ifft2

from legato.demos.registry import Demo, demo
from legato.picture.page import Photo, page

Picture = Float[Tensor, "h w"]
Spectrum = Complex[Tensor, "h w"]
NOISE = 0.004  # deviation of the camera's noise; white is 1


def bell(h: int, w: int, sigma: float) -> Spectrum:
    """The spectrum H of a Gaussian blur that goes round the edges."""
    y, x = (torch.minimum(torch.arange(n), n - torch.arange(n)).double() for n in (h, w))
    spread = torch.exp(-(y[:, None] ** 2 + x**2) / (2 * sigma**2))
    return fft2(spread / spread.sum())


def through(x: Picture, H: Spectrum) -> Picture:
    """x ∗ h, as a product of spectra."""
    return ifft2(fft2(x) * H).real


def wiener(y: Picture, H: Spectrum, balance: float) -> Picture:
    """X̂ = H* Y / (|H|² + noise/signal): the inverse where the blur let something through, 0 where it did not."""
    return through(y, H.conj() / (H.abs() ** 2 + balance))


def richardson_lucy(y: Picture, H: Spectrum, steps: int) -> Picture:
    """x ← x · hᵀ ∗ (y / (h ∗ x)): the likeliest picture under photon noise (Richardson 1972, Lucy 1974)."""
    x = torch.full_like(y, 0.5)
    for _ in range(steps):
        x = x * through(y / through(x, H).clamp(min=1e-6), H.conj())
    return x


def decibels(z: Picture, x: Picture) -> float:
    """Peak signal to noise, white being 1."""
    return float(-10 * (z.clamp(0, 1) - x).square().mean().log10())


@demo("C20", on_picture=True)
def deblur(photo: Float[Tensor, "3 h w"]) -> Demo:
    """Signal deconvolution: Wiener and Richardson–Lucy beside the transposed convolution.

    Wiener divides by the blur's spectrum where it can; Richardson–Lucy asks again and again what would blur so.
    The transposed convolution is the blur's adjoint, not its inverse: it blurs once more.
    """
    x = photo.double().mean(0)
    h, w = x.shape
    H = bell(h, w, sigma=2.0)
    y = (through(x, H) + NOISE * torch.randn(x.shape).double()).clamp(0, 1)
    found = {
        "blurred": y,
        "transposed convolution": through(y, H.conj()),
        "Wiener": wiener(y, H, float(NOISE / y.std()) ** 2),
        "Richardson–Lucy": richardson_lucy(y, H, 60),
    }
    quality = {name: decibels(z, x) for name, z in found.items()}
    panels = [Photo(x, "the picture"), *(Photo(z, f"{name}: {quality[name]:.1f} dB") for name, z in found.items())]
    lines = [f"blurred by a Gaussian of deviation 2 pixels; noise of {NOISE:.1%} of white"]
    lines += [f"{name:24} {value:.2f} dB" for name, value in quality.items()]
    drawn = page(panels, "Blurred picture → deconvolution → good picture", 5, side=2.4, height=2.4 * h / w + 0.4)
    return Demo(drawn, lines, quality)
