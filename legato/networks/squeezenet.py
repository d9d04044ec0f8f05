"""SqueezeNet (Iandola et al. 2016, "AlexNet-level accuracy with 50x fewer parameters", arXiv:1602.07360, table 1 and
figure 1): 1×1 convolutions squeeze the maps before 3×3 convolutions look at them; no dense layer at all.

`squeezenet` is version 1.1 from the authors' repository, which pools earlier and computes 2.4 × less.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from legato.layers.conv import ConvRelu, rectified
from legato.layers.pooling import GlobalAverage
from legato.layers.stages import stages
from legato.networks.registry import network


class Fire(nn.Module):
    """Squeeze by 1×1, then expand by 1×1 and by 3×3 side by side: (b, inputs, h, w) → (b, 2 expand, h, w)."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = rectified(nn.Conv2d(inputs, squeeze, 1))
        self.expand1x1 = rectified(nn.Conv2d(squeeze, expand, 1))
        self.expand3x3 = rectified(nn.Conv2d(squeeze, expand, 3, padding=1))

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        x = F.relu(self.squeeze(x))
        return F.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))


@network(paper="arXiv:1602.07360", params=1_235_496, size=227)
def squeezenet(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """SqueezeNet 1.1: AlexNet's accuracy with a fiftieth of its parameters. 1 235 496 parameters."""
    return stages(
        conv1=ConvRelu(channels, 64, 3, stride=2, padding=0),    # (b,   64, 113, 113)
        pool1=halve(),                                           # (b,   64,  56,  56)
        fire2=Fire(64, 16, 64),                                  # (b,  128,  56,  56)
        fire3=Fire(128, 16, 64),                                 # (b,  128,  56,  56)
        pool3=halve(),                                           # (b,  128,  28,  28)
        fire4=Fire(128, 32, 128),                                # (b,  256,  28,  28)
        fire5=Fire(256, 32, 128),                                # (b,  256,  28,  28)
        pool5=halve(),                                           # (b,  256,  14,  14)
        fire6=Fire(256, 48, 192),                                # (b,  384,  14,  14)
        fire7=Fire(384, 48, 192),                                # (b,  384,  14,  14)
        fire8=Fire(384, 64, 256),                                # (b,  512,  14,  14)
        fire9=Fire(512, 64, 256),                                # (b,  512,  14,  14)
        dropout=nn.Dropout(0.5),
        conv10=last(ConvRelu(512, classes, 1)),                  # (b, 1000,  14,  14)
        average=GlobalAverage(),                                 # (b, 1000)
    )  # fmt: skip


@network(paper="arXiv:1602.07360", params=1_235_496, size=227)
def squeezenet_linear(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """SqueezeNet 1.1 for transfer: the same trunk, its features averaged, brought to one scale, and weighed linearly.

    As a logistic regression on standardised features; a rectified class, as in the paper, is harder to learn anew.
    """
    trunk = list(squeezenet(classes, channels).named_children())[:-3]
    return stages(
        **dict(trunk),                       # (b,  512,  14,  14)
        average=GlobalAverage(),             # (b,  512)
        scale=nn.BatchNorm1d(512, affine=False),
        classify=nn.Linear(512, classes),    # (b, 1000)
    )  # fmt: skip


@network(paper="arXiv:1602.07360", params=1_248_424, size=227)
def squeezenet1_0(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """SqueezeNet as in table 1 of the paper. 1 248 424 parameters."""
    return stages(
        conv1=ConvRelu(channels, 96, 7, stride=2, padding=0),    # (b,   96, 111, 111)
        pool1=halve(),                                           # (b,   96,  55,  55)
        fire2=Fire(96, 16, 64),                                  # (b,  128,  55,  55)
        fire3=Fire(128, 16, 64),                                 # (b,  128,  55,  55)
        fire4=Fire(128, 32, 128),                                # (b,  256,  55,  55)
        pool4=halve(),                                           # (b,  256,  27,  27)
        fire5=Fire(256, 32, 128),                                # (b,  256,  27,  27)
        fire6=Fire(256, 48, 192),                                # (b,  384,  27,  27)
        fire7=Fire(384, 48, 192),                                # (b,  384,  27,  27)
        fire8=Fire(384, 64, 256),                                # (b,  512,  27,  27)
        pool8=halve(),                                           # (b,  512,  13,  13)
        fire9=Fire(512, 64, 256),                                # (b,  512,  13,  13)
        dropout=nn.Dropout(0.5),
        conv10=last(ConvRelu(512, classes, 1)),                  # (b, 1000,  13,  13)
        average=GlobalAverage(),                                 # (b, 1000)
    )  # fmt: skip


def halve() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def last(layer: ConvRelu) -> ConvRelu:
    """Its weights as the authors draw them, N(0, 0.01): features are large, and a class rectified to 0 stays there."""
    nn.init.normal_(layer.conv.weight, std=0.01)
    assert layer.conv.bias is not None
    nn.init.zeros_(layer.conv.bias)
    return layer
