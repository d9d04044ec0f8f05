"""Bringing numbers to one scale: the pixels of a picture, and the responses of neighbouring channels."""

from collections.abc import Sequence
from typing import overload

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, float32, nn, tensor

from legato.layers.stages import Sided, stages


class Normalize(nn.Module):
    """(x − mean) / sd in each channel, x in [0, 1]. The numbers are saved with the network, and never trained."""

    mean: Tensor
    sd: Tensor

    def __init__(self, mean: Sequence[float], sd: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", tensor(mean, dtype=float32).view(-1, 1, 1))
        self.register_buffer("sd", tensor(sd, dtype=float32).view(-1, 1, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return (x - self.mean) / self.sd


@overload
def with_normalization(net: nn.Sequential, mean: Sequence[float], sd: Sequence[float]) -> nn.Sequential: ...
@overload
def with_normalization(net: nn.Module, mean: Sequence[float], sd: Sequence[float]) -> nn.Module: ...
def with_normalization(net: nn.Module, mean: Sequence[float], sd: Sequence[float]) -> nn.Module:
    """The same network behind a stage `normalize`, so that it takes pixels in [0, 1]: a network for its own pictures.

    Stages, weights and side heads keep their names; what has no stages becomes one, `network`.
    """
    normalize = Normalize(mean, sd)
    match net:
        case Sided():
            return Sided(stages(normalize=normalize, **dict(net.trunk.named_children())), dict(net.sides.items()))
        case nn.Sequential():
            return stages(normalize=normalize, **dict(net.named_children()))
        case _:
            return stages(normalize=normalize, network=net)


class LocalResponseNorm(nn.Module):
    """bᵢ = aᵢ / (k + α Σⱼ aⱼ²)^β over the n channels around i (Krizhevsky et al. 2012, section 3.3).

    α is the paper's: `nn.LocalResponseNorm` divides its own by n. This one is 2 to 3 × as fast on a CPU.
    """

    def __init__(self, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75) -> None:
        super().__init__()
        self.n, self.k, self.alpha, self.beta = n, k, alpha, beta

    def forward(self, a: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        channels = a.shape[1]
        squares = F.pad(a.square(), (0, 0, 0, 0, self.n // 2, (self.n - 1) // 2))
        around = sum((squares[:, j : j + channels] for j in range(1, self.n)), squares[:, :channels])
        return a * (self.k + self.alpha * around) ** -self.beta
