"""Residual networks for CIFAR-10, and the plain networks they are compared with (He et al. 2015, arXiv:1512.03385,
section 4.2 and table 6): 6n + 2 layers, n blocks at each of three sizes. Deeper plain networks learn worse, on the
training set too: the degradation that shortcuts cure (figure 6).

The shortcuts have no parameters (option A), so a plain network has exactly those of its residual twin. The paper rounds
them to 0.27, 0.46, 0.66, 0.85 and 1.7 million.
"""

from collections.abc import Callable

from torch import nn

from legato.layers.conv import ConvNormRelu
from legato.layers.pooling import GlobalAverage
from legato.layers.residual import PaddedShortcut, Residual, two_convolutions
from legato.layers.stages import stages
from legato.networks.registry import network

Block = Callable[[int, int, int], nn.Module]


def residual(inputs: int, width: int, stride: int) -> nn.Module:
    """Two 3×3 convolutions with a shortcut of option A around them."""
    return Residual(two_convolutions(inputs, width, stride), PaddedShortcut(inputs, width, stride))


def plain(inputs: int, width: int, stride: int) -> nn.Module:
    """The same two convolutions without a shortcut."""
    return stages(a=ConvNormRelu(inputs, width, 3, stride), b=ConvNormRelu(width, width, 3))


def cifar(block: Block, n: int, classes: int, channels: int) -> nn.Sequential:
    """x (b, channels, 32, 32) → logits (b, classes), 6n + 2 layers deep."""
    return stages(
        conv1=ConvNormRelu(channels, 16, 3),            # (b, 16, 32, 32)
        size32=repeated(block, n, 16, 16, stride=1),    # (b, 16, 32, 32)
        size16=repeated(block, n, 16, 32, stride=2),    # (b, 32, 16, 16)
        size8=repeated(block, n, 32, 64, stride=2),     # (b, 64,  8,  8)
        average=GlobalAverage(),                        # (b, 64)
        classify=nn.Linear(64, classes),                # (b, 10)
    )  # fmt: skip


def repeated(block: Block, count: int, inputs: int, width: int, stride: int) -> nn.Sequential:
    """The first block changes the shape, the others keep it."""
    return nn.Sequential(block(inputs, width, stride), *(block(width, width, 1) for _ in range(1, count)))


@network(paper="arXiv:1512.03385", params=269_722, size=32)
def resnet20(classes: int = 10, channels: int = 3) -> nn.Sequential:
    """ResNet-20 for CIFAR-10: n = 3. 269 722 parameters."""
    return cifar(residual, 3, classes, channels)


@network(paper="arXiv:1512.03385", params=464_154, size=32)
def resnet32(classes: int = 10, channels: int = 3) -> nn.Sequential:
    """ResNet-32 for CIFAR-10: n = 5. 464 154 parameters."""
    return cifar(residual, 5, classes, channels)


@network(paper="arXiv:1512.03385", params=658_586, size=32)
def resnet44(classes: int = 10, channels: int = 3) -> nn.Sequential:
    """ResNet-44 for CIFAR-10: n = 7. 658 586 parameters."""
    return cifar(residual, 7, classes, channels)


@network(paper="arXiv:1512.03385", params=853_018, size=32)
def resnet56(classes: int = 10, channels: int = 3) -> nn.Sequential:
    """ResNet-56 for CIFAR-10: n = 9. 853 018 parameters."""
    return cifar(residual, 9, classes, channels)


@network(paper="arXiv:1512.03385", params=1_727_962, size=32)
def resnet110(classes: int = 10, channels: int = 3) -> nn.Sequential:
    """ResNet-110 for CIFAR-10: n = 18. 1 727 962 parameters."""
    return cifar(residual, 18, classes, channels)


@network(paper="arXiv:1512.03385", params=269_722, size=32)
def plain20(classes: int = 10, channels: int = 3) -> nn.Sequential:
    """The plain network of 20 layers: ResNet-20 without its shortcuts. 269 722 parameters."""
    return cifar(plain, 3, classes, channels)


@network(paper="arXiv:1512.03385", params=464_154, size=32)
def plain32(classes: int = 10, channels: int = 3) -> nn.Sequential:
    """The plain network of 32 layers: ResNet-32 without its shortcuts. 464 154 parameters."""
    return cifar(plain, 5, classes, channels)


@network(paper="arXiv:1512.03385", params=658_586, size=32)
def plain44(classes: int = 10, channels: int = 3) -> nn.Sequential:
    """The plain network of 44 layers: ResNet-44 without its shortcuts. 658 586 parameters."""
    return cifar(plain, 7, classes, channels)


@network(paper="arXiv:1512.03385", params=853_018, size=32)
def plain56(classes: int = 10, channels: int = 3) -> nn.Sequential:
    """The plain network of 56 layers: ResNet-56 without its shortcuts. 853 018 parameters."""
    return cifar(plain, 9, classes, channels)


@network(paper="arXiv:1512.03385", params=1_727_962, size=32)
def plain110(classes: int = 10, channels: int = 3) -> nn.Sequential:
    """The plain network of 110 layers: ResNet-110 without its shortcuts. 1 727 962 parameters."""
    return cifar(plain, 18, classes, channels)
