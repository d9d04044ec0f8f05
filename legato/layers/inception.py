"""The inception module (Szegedy et al. 2014, arXiv:1409.4842, figure 2b)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.layers.conv import ConvRelu
from legato.layers.stages import stages


class Inception(nn.Module):
    """Four views of the same place, side by side: through 1×1, 3×3 and 5×5 convolutions, and pooled.

    The arguments are the columns of the paper's table 1, in its order; `r` is a reduction by a 1×1 convolution.
    (b, inputs, h, w) → (b, one + three + five + pool, h, w).
    """

    def __init__(self, inputs: int, one: int, three_r: int, three: int, five_r: int, five: int, pool: int) -> None:
        super().__init__()
        self.one = ConvRelu(inputs, one, 1)
        self.three = stages(reduce=ConvRelu(inputs, three_r, 1), conv=ConvRelu(three_r, three, 3))
        self.five = stages(reduce=ConvRelu(inputs, five_r, 1), conv=ConvRelu(five_r, five, 5))
        self.pool = stages(pool=nn.MaxPool2d(3, stride=1, padding=1), project=ConvRelu(inputs, pool, 1))

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)
