"""A locally connected layer: each output sees a small window, and no two share their weights."""

from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.layers.size import output_size


class LocallyConnected2d(nn.Module):
    """A convolution without sharing, hence for pictures of one size: (b, inputs, height, width) → (b, outputs, h', w').

    h'·w'·outputs·(size²·inputs + 1) parameters: 32×32 grey pixels seen through 3×3 windows make 30²·(3² + 1) = 9000.
    """

    def __init__(self, inputs: int, outputs: int, height: int, width: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.size, self.stride = size, stride
        h, w = output_size(height, size, stride), output_size(width, size, stride)
        bound = 1 / sqrt(inputs * size * size)  # as nn.Conv2d begins
        self.weight = nn.Parameter(torch.empty(h, w, outputs, inputs, size, size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs, h, w).uniform_(-bound, bound))

    def forward(self, x: Float[Tensor, "b i height width"]) -> Float[Tensor, "b o h w"]:
        windows = x.unfold(2, self.size, self.stride).unfold(3, self.size, self.stride)  # (b, i, h, w, size, size)
        return torch.einsum("bihwyx,hwoiyx->bohw", windows, self.weight) + self.bias
