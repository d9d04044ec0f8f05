"""VGG (Simonyan & Zisserman 2014, "Very deep convolutional networks for large-scale image recognition",
arXiv:1409.1556, tables 1 and 2): nothing but 3×3 convolutions and 2×2 pools, and more of them.

Configurations A, B, D and E; the paper rounds their parameters to 133, 133, 138 and 144 million. The `_bn` networks
normalise over the batch after each convolution (arXiv:1502.03167), as torchvision does, and are easier to train.
"""

from collections import OrderedDict

from torch import nn

from legato.layers.conv import ConvRelu, rectified
from legato.layers.stages import stages
from legato.networks.registry import network

#    conv1  conv2  conv3  conv4  conv5      table 1: how many convolutions there are before each pool
A = (  1,     1,     2,     2,     2  )  # fmt: skip
B = (  2,     2,     2,     2,     2  )  # fmt: skip
D = (  2,     2,     3,     3,     3  )  # fmt: skip
E = (  2,     2,     4,     4,     4  )  # fmt: skip
WIDTHS = (64, 128, 256, 512, 512)  # of maps of 224, 112, 56, 28 and 14 pixels


class ConvBiasNormRelu(nn.Sequential):
    """Convolve, normalise, rectify, with a bias that normalising makes superfluous; torchvision's weights have it."""

    def __init__(self, inputs: int, outputs: int, size: int) -> None:
        conv = rectified(nn.Conv2d(inputs, outputs, size, padding=size // 2))
        super().__init__(OrderedDict(conv=conv, norm=nn.BatchNorm2d(outputs), relu=nn.ReLU()))


def vgg(
    convolutions: tuple[int, ...],
    classes: int,
    channels: int,
    layer: type[ConvRelu] | type[ConvBiasNormRelu] = ConvRelu,
) -> nn.Sequential:
    """x (b, channels, 224, 224) → logits (b, classes), with so many convolutions before each pool."""
    trunk: dict[str, nn.Module] = {}
    for block, (count, width) in enumerate(zip(convolutions, WIDTHS), start=1):
        for i in range(1, count + 1):
            trunk[f"conv{block}_{i}"] = layer(channels, width, 3)  # (b, width, h, w)
            channels = width
        trunk[f"pool{block}"] = nn.MaxPool2d(2)  # (b, width, h/2, w/2)
    return stages(
        **trunk,                                                     # (b,   512, 7, 7)
        flat=nn.Flatten(),                                           # (b, 25088)
        fc6=rectified(nn.Linear(512 * 7 * 7, 4096)),                 # (b,  4096)
        relu6=nn.ReLU(),
        drop6=nn.Dropout(0.5),
        fc7=rectified(nn.Linear(4096, 4096)),                        # (b,  4096)
        relu7=nn.ReLU(),
        drop7=nn.Dropout(0.5),
        fc8=nn.Linear(4096, classes),                                # (b,  1000)
    )  # fmt: skip


@network(paper="arXiv:1409.1556", params=132_863_336, size=224)
def vgg11(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """VGG-11, configuration A: 8 convolutions and 3 dense layers. 132 863 336 parameters."""
    return vgg(A, classes, channels)


@network(paper="arXiv:1409.1556", params=133_047_848, size=224)
def vgg13(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """VGG-13, configuration B: 10 convolutions and 3 dense layers. 133 047 848 parameters."""
    return vgg(B, classes, channels)


@network(paper="arXiv:1409.1556", params=138_357_544, size=224)
def vgg16(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """VGG-16, configuration D: 13 convolutions and 3 dense layers. 138 357 544 parameters."""
    return vgg(D, classes, channels)


@network(paper="arXiv:1409.1556", params=143_667_240, size=224)
def vgg19(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """VGG-19, configuration E: 16 convolutions and 3 dense layers. 143 667 240 parameters."""
    return vgg(E, classes, channels)


@network(paper="arXiv:1409.1556", params=132_868_840, size=224)
def vgg11_bn(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """VGG-11 with batch normalisation. 132 868 840 parameters."""
    return vgg(A, classes, channels, ConvBiasNormRelu)


@network(paper="arXiv:1409.1556", params=133_053_736, size=224)
def vgg13_bn(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """VGG-13 with batch normalisation. 133 053 736 parameters."""
    return vgg(B, classes, channels, ConvBiasNormRelu)


@network(paper="arXiv:1409.1556", params=138_365_992, size=224)
def vgg16_bn(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """VGG-16 with batch normalisation. 138 365 992 parameters."""
    return vgg(D, classes, channels, ConvBiasNormRelu)


@network(paper="arXiv:1409.1556", params=143_678_248, size=224)
def vgg19_bn(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """VGG-19 with batch normalisation. 143 678 248 parameters."""
    return vgg(E, classes, channels, ConvBiasNormRelu)
