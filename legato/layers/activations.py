"""The lectures' non-linearities, their slopes, and two meters of what goes wrong with them."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "logistic": torch.sigmoid,  # 1 / (1 + e⁻ˣ)
    "tanh": torch.tanh,
    "relu": torch.relu,  # x H(x)
    "leaky relu": F.leaky_relu,  # x H(x) + 0.01 x H(−x)
}


def slope(activation: Callable[[Tensor], Tensor], x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The derivative of an elementwise function at each x."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(activation(x).sum(), x)
    return gradient


def saturated(y: Float[Tensor, "..."], low: float, high: float, margin: float = 0.05) -> float:
    """The share of outputs so near an asymptote that hardly any gradient passes.

    The asymptotes are 0 and 1 for logistic units, −1 and 1 for tanh; near is closer than `margin` of the range between.
    """
    near = margin * (high - low)
    return ((y < low + near) | (y > high - near)).double().mean().item()


def dead(y: Float[Tensor, "b c *map"]) -> float:
    """The share of ReLU units (channels) that give 0 for every example, everywhere: they cannot learn any more."""
    return (y == 0).transpose(0, 1).flatten(1).all(1).double().mean().item()
