"""Pictures against pictures: squared errors, and the signal-to-noise ratio made of them."""

from math import log10

import torch
from jaxtyping import Float
from torch import Tensor


def tally(outputs: Float[Tensor, "b c h w"], targets: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
    """Σ over examples of the mean squared error of a pixel in [0, 1]."""
    error = (outputs.double() - targets.double()).square().mean(dim=(1, 2, 3))
    return {"squared": error.sum(), "count": torch.tensor(len(targets), device=targets.device)}


def scores(tally: dict[str, Tensor]) -> dict[str, float]:
    """psnr (dB, −10 log₁₀ mse for pixels in [0, 1]), mse, count."""
    mse = float(tally["squared"] / tally["count"])
    return {"psnr": -10 * log10(max(mse, 1e-12)), "mse": mse, "count": int(tally["count"])}
