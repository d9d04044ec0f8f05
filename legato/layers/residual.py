"""Residual blocks (He et al. 2015, arXiv:1512.03385): a branch learns what is to be added to its input.

The parts of a branch are called a, b, c, as in the authors' own release (res2a_branch2a, …2b, …2c).
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from legato.layers.conv import ConvNorm, ConvNormRelu
from legato.layers.stages import stages


class Residual(nn.Module):
    """y = relu(F(x) + S(x)), equations 1 and 2: F is the branch, S the shortcut around it."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch, self.shortcut = branch, shortcut

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o _h _w"]:
        return F.relu(self.branch(x) + self.shortcut(x), inplace=True)  # in place of the sum, which nobody else holds


class BasicBlock(Residual):
    """Two 3×3 convolutions, figure 5 left: (b, inputs, h, w) → (b, width, h/stride, w/stride)."""

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__(two_convolutions(inputs, width, stride), projection(inputs, width, stride))


class Bottleneck(Residual):
    """1×1 down, 3×3, 1×1 up, figure 5 right: (b, inputs, h, w) → (b, 4 width, h/stride, w/stride).

    As published, the stride is in the first 1×1 convolution; torchvision moved it into the 3×3.
    """

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        branch = stages(
            a=ConvNormRelu(inputs, width, 1, stride),
            b=ConvNormRelu(width, width, 3),
            c=ConvNorm(width, 4 * width, 1),
        )
        super().__init__(branch, projection(inputs, 4 * width, stride))


class PaddedShortcut(nn.Module):
    """Option A of section 3.3, free of parameters: every `stride`th pixel, and zeros for the channels x lacks."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.missing, self.stride = outputs - inputs, stride

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o _h _w"]:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))


def two_convolutions(inputs: int, width: int, stride: int = 1) -> nn.Sequential:
    """The branch of a basic block: 3×3, normalise, rectify, 3×3, normalise."""
    return stages(a=ConvNormRelu(inputs, width, 3, stride), b=ConvNorm(width, width, 3))


def projection(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """Option B of section 3.3: the identity, or a 1×1 convolution where channels or size change."""
    return nn.Identity() if inputs == outputs and stride == 1 else ConvNorm(inputs, outputs, 1, stride)
