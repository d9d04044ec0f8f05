"""The residual networks with bottlenecks as torchvision has them, for its published weights.

They halve maps in the 3×3 convolution rather than in the 1×1 before it (Gross & Wilber 2016, "Training and
investigating residual nets"): the same parameters, somewhat more arithmetic and accuracy. ResNet-18 and 34 have no
bottlenecks, and are the same in paper and torchvision.
"""

from torch import nn

from legato.layers.conv import ConvNorm, ConvNormRelu
from legato.layers.residual import Residual, projection
from legato.layers.stages import stages
from legato.networks.registry import network
from legato.networks.resnet import resnet


class LateBottleneck(Residual):
    """A bottleneck that strides in its 3×3 convolution."""

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        branch = stages(
            a=ConvNormRelu(inputs, width, 1),
            b=ConvNormRelu(width, width, 3, stride),
            c=ConvNorm(width, 4 * width, 1),
        )
        super().__init__(branch, projection(inputs, 4 * width, stride))


@network(paper="arXiv:1512.03385", params=25_557_032, size=224)
def resnet50_torchvision(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """ResNet-50 with strides in the 3×3, as torchvision's weights want it. 25 557 032 parameters."""
    return resnet(LateBottleneck, 4, (3, 4, 6, 3), classes, channels)


@network(paper="arXiv:1512.03385", params=44_549_160, size=224)
def resnet101_torchvision(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """ResNet-101 with strides in the 3×3, as torchvision's weights want it. 44 549 160 parameters."""
    return resnet(LateBottleneck, 4, (3, 4, 23, 3), classes, channels)


@network(paper="arXiv:1512.03385", params=60_192_808, size=224)
def resnet152_torchvision(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """ResNet-152 with strides in the 3×3, as torchvision's weights want it. 60 192 808 parameters."""
    return resnet(LateBottleneck, 4, (3, 8, 36, 3), classes, channels)
