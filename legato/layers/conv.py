"""Convolutions as papers draw them: the layer together with what follows it. The maps keep their size at stride 1.

Weights begin as rectifiers want them, N(0, 2 / inputs of a unit), and biases at 0 (He et al. 2015, arXiv:1502.01852).
ReLUs are never in place here: whoever looks at a convolution's output finds it as it was.
"""

from collections import OrderedDict
from typing import TypeVar

from torch import nn

Weighted = TypeVar("Weighted", nn.Conv2d, nn.Linear)


class ConvRelu(nn.Sequential):
    """Convolve, add a bias, rectify: (b, inputs, h, w) → (b, outputs, h/stride, w/stride)."""

    conv: nn.Conv2d

    def __init__(
        self, inputs: int, outputs: int, size: int, stride: int = 1, padding: int | None = None, groups: int = 1
    ) -> None:
        conv = rectified(nn.Conv2d(inputs, outputs, size, stride, around(size, padding), groups=groups))
        super().__init__(OrderedDict(conv=conv, relu=nn.ReLU()))


class ConvNorm(nn.Sequential):
    """Convolve and normalise over the batch, whose shift stands for the bias."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, padding: int | None = None) -> None:
        conv = rectified(nn.Conv2d(inputs, outputs, size, stride, around(size, padding), bias=False))
        super().__init__(OrderedDict(conv=conv, norm=nn.BatchNorm2d(outputs)))


class ConvNormRelu(ConvNorm):
    """Convolve, normalise over the batch (Ioffe & Szegedy 2015, arXiv:1502.03167), rectify."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, padding: int | None = None) -> None:
        super().__init__(inputs, outputs, size, stride, padding)
        self.relu = nn.ReLU()


def around(size: int, padding: int | None) -> int:
    """Zeros on each side: as many as keep the size, unless said otherwise."""
    return size // 2 if padding is None else padding


def rectified(layer: Weighted) -> Weighted:
    """The layer, with weights as a rectifier behind it wants them."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
