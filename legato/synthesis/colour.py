"""Lightness and colour apart, and the colours of one picture brought to those of another (Gatys et al. 2017,
"Controlling perceptual factors in neural style transfer", arXiv:1611.07865, section 5)."""

import torch
from jaxtyping import Float
from torch import Tensor

from legato.errors import UsageError

#                     R      G       B       NTSC, FCC 1953: luma, and two differences of colour
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], dtype=torch.float64)


def luminance(pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Y of YIQ."""
    return torch.einsum("c,bchw->bhw", YIQ[0].to(pixels), pixels)[:, None]


def chrominance(pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 2 h w"]:
    """I and Q of YIQ."""
    return torch.einsum("dc,bchw->bdhw", YIQ[1:].to(pixels), pixels)


def with_luminance(pixels: Float[Tensor, "b 3 h w"], luma: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 3 h w"]:
    """The colours of a picture in [0, 1], lit anew: I and Q stay as they are, to rounding.

    Where no colour in [0, 1] has that luma beside these I and Q, the nearest luma that has one is taken.
    """
    coloured = pixels - luminance(
        pixels
    )  # since grey has neither I nor Q, adding the same to R, G and B changes Y alone
    least, most = -coloured.amin(dim=1, keepdim=True), 1 - coloured.amax(dim=1, keepdim=True)
    return coloured + torch.minimum(torch.maximum(luma, least), most)


def matched_luminance(luma: Float[Tensor, "b 1 h w"], to: Float[Tensor, "b 1 _h _w"]) -> Float[Tensor, "b 1 h w"]:
    """The luma of a painting with mean and standard deviation of that of the content."""
    return (luma - luma.mean()) * (to.std() / luma.std().clamp(min=1e-6)) + to.mean()


def matched_colours(pixels: Float[Tensor, "1 3 h w"], to: Float[Tensor, "1 3 _h _w"]) -> Float[Tensor, "1 3 h w"]:
    """x ↦ A x + b with the mean and covariance of `to`: A = Σ_to^½ Σ^−½ (the symmetric root).

    A colour that varies nowhere in `pixels` cannot be made to vary. Numbers may leave [0, 1].
    """
    (mean, covariance), (aim, spread) = moments(pixels), moments(to)
    a = power(spread, 0.5) @ power(covariance, -0.5)
    flat = a @ (pixels[0].flatten(1).double() - mean) + aim
    return flat.to(pixels.dtype).view_as(pixels)


def moments(pixels: Float[Tensor, "1 c h w"]) -> tuple[Float[Tensor, "c 1"], Float[Tensor, "c c"]]:
    """Mean and covariance over the places of a picture, in double precision."""
    flat = pixels[0].flatten(1).double()
    mean = flat.mean(dim=1, keepdim=True)
    return mean, (flat - mean) @ (flat - mean).T / flat.shape[1]


def power(symmetric: Float[Tensor, "c c"], exponent: float) -> Float[Tensor, "c c"]:
    """Of a symmetric matrix without negative eigenvalues; directions of eigenvalue 0 are left out."""
    values, vectors = torch.linalg.eigh(symmetric)
    there = values > 1e-8
    return (vectors * torch.where(there, values.clamp(min=1e-8) ** exponent, 0.0)) @ vectors.T


def coloured(pixels: Tensor, why: str) -> None:
    """Raises UsageError for a picture that has no colours."""
    if pixels.shape[1] != 3:
        raise UsageError(f"{why}: pictures of {pixels.shape[1]} channels have no colours; this network sees grey")
