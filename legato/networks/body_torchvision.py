"""ResNet-50 under torchvision's own names (layer1.0.conv1 …), as its detectors and segmenters carry it in their files.

Strides stand in the 3×3 convolutions. Detectors keep batch statistics fixed; segmenters keep stride 8 and dilate
instead (`dilated`): what would halve the maps in layer3 and layer4 spreads the 3×3 filters by 2 and 4 (Yu & Koltun
2016, arXiv:1511.07122), the first block of each by what the layer before had.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.layers.conv import rectified

Norm = Callable[[int], nn.Module]
BLOCKS = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # width, how many, stride of the first
CHANNELS = (256, 512, 1024, 2048)


class FixedNorm(nn.Module):
    """Batch normalisation with statistics, scale and shift that are not learnt: numbers from a file.

    ε is 0, as torchvision sets it for its published detectors.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name, start in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), start))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        scale = self.weight * self.running_var.rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]


class NamedBottleneck(nn.Module):
    """(b, inputs, h, w) → (b, 4 width, h/stride, w/stride)."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int, norm: Norm) -> None:
        super().__init__()
        self.conv1, self.bn1 = convolution(inputs, width, 1), norm(width)
        self.conv2, self.bn2 = convolution(width, width, 3, stride, dilation), norm(width)
        self.conv3, self.bn3 = convolution(width, 4 * width, 1), norm(4 * width)
        if inputs != 4 * width:
            self.downsample = nn.Sequential(convolution(inputs, 4 * width, 1, stride), norm(4 * width))

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o _h _w"]:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class NamedBody(nn.Module):
    """Pictures, normalised → what comes out of layer1 … layer4: strides 4, 8, 16, 32; dilated 4, 8, 8, 8."""

    def __init__(self, norm: Norm, channels: int = 3, dilated: bool = False) -> None:
        super().__init__()
        self.conv1, self.bn1 = convolution(channels, 64, 7, 2), norm(64)
        inputs, spread = 64, 1
        for i, (width, count, stride) in enumerate(BLOCKS):
            before = spread
            if dilated and i >= 2:
                spread, stride = spread * stride, 1
            first = NamedBottleneck(inputs, width, stride, before, norm)
            others = (NamedBottleneck(4 * width, width, 1, spread, norm) for _ in range(1, count))
            self.add_module(f"layer{i + 1}", nn.Sequential(first, *others))
            inputs = 4 * width

    def forward(self, x: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _c _h _w"]]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        seen = []
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = self.get_submodule(name)(x)
            seen.append(x)
        return seen


def convolution(inputs: int, outputs: int, size: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Without a bias: a norm follows."""
    around = size // 2 * dilation
    return rectified(nn.Conv2d(inputs, outputs, size, stride, around, dilation, bias=False))
