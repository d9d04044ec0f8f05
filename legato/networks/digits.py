"""Networks of our own for handwritten digits, (b, 1, 28, 28): one that is fast, one that is good.

Both are VGG's idea (3×3 convolutions, more maps as they shrink) with batch normalisation, drawn for two CPU cores.
"""

from torch import nn

from legato.layers.conv import ConvNormRelu
from legato.layers.stages import stages
from legato.networks.registry import network


@network(paper="legato", params=44_658, size=28)
def quicknet(classes: int = 10, channels: int = 1) -> nn.Sequential:
    """A small network that reads 99 % of MNIST after seconds of training: 3 convolutions, a wide stride at first."""
    return stages(
        conv1=ConvNormRelu(channels, 24, 5, stride=2),    # (b,  24, 14, 14)
        conv2=ConvNormRelu(24, 48, 3),                    # (b,  48, 14, 14)
        pool2=nn.MaxPool2d(2),                            # (b,  48,  7,  7)
        conv3=ConvNormRelu(48, 64, 3),                    # (b,  64,  7,  7)
        pool3=nn.MaxPool2d(2),                            # (b,  64,  3,  3)
        flat=nn.Flatten(),                                # (b, 576)
        classify=nn.Linear(576, classes),                 # (b,  10)
    )  # fmt: skip


@network(paper="legato", params=307_370, size=28)
def digitnet(classes: int = 10, channels: int = 1) -> nn.Sequential:
    """A network for few errors on MNIST: six 3×3 convolutions, the first four of what lies whole under their windows.

    A digit stands in a frame of blanks: to convolve that too would take three quarters more arithmetic, for nothing.
    """
    return stages(
        conv1_1=ConvNormRelu(channels, 32, 3, padding=0),    # (b,  32, 26, 26)
        conv1_2=ConvNormRelu(32, 32, 3, padding=0),          # (b,  32, 24, 24)
        pool1=nn.MaxPool2d(2),                               # (b,  32, 12, 12)
        conv2_1=ConvNormRelu(32, 64, 3, padding=0),          # (b,  64, 10, 10)
        conv2_2=ConvNormRelu(64, 64, 3, padding=0),          # (b,  64,  8,  8)
        pool2=nn.MaxPool2d(2),                               # (b,  64,  4,  4)
        conv3_1=ConvNormRelu(64, 128, 3),                    # (b, 128,  4,  4)
        conv3_2=ConvNormRelu(128, 128, 3),                   # (b, 128,  4,  4)
        flat=nn.Flatten(),                                   # (b, 2048)
        dropout=nn.Dropout(0.3),                             # of features only: masks of maps take a fifth of a step
        classify=nn.Linear(2048, classes),                   # (b,  10)
    )  # fmt: skip
