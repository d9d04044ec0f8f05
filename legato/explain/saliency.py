"""Which pixels would change the answer most (Simonyan, Vedaldi & Zisserman 2013, section 3)."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def saliency(evidence: Callable[[Tensor], Tensor], x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b h w"]:
    """max over channels of |∂ evidence / ∂ x|; `evidence` maps x to (b,), each from its own picture alone."""
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(evidence(x).sum(), x)
    return gradient.abs().amax(dim=1)
