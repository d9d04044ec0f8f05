"""Residual networks for ImageNet (He, Zhang, Ren & Sun 2015, "Deep residual learning for image recognition",
arXiv:1512.03385, table 1). Shortcuts are projections where the shape changes (option B), identities elsewhere.

As published, a bottleneck halves its maps in the first 1×1 convolution; torchvision, and its weights, do so in the 3×3:
those are `resnet50_torchvision` and so on. The paper counts no parameters; these counts are everybody's.
"""

from collections.abc import Callable

from torch import nn

from legato.layers.conv import ConvNormRelu
from legato.layers.pooling import GlobalAverage
from legato.layers.residual import BasicBlock, Bottleneck
from legato.layers.stages import stages
from legato.networks.registry import network

Block = Callable[[int, int, int], nn.Module]  # (inputs, width, stride) → a block that gives e · width maps


def resnet(block: Block, e: int, counts: tuple[int, int, int, int], classes: int, channels: int) -> nn.Sequential:
    """x (b, channels, 224, 224), or any other size → logits (b, classes); e is 1, or 4 for bottlenecks."""
    two, three, four, five = counts
    return stages(
        conv1=ConvNormRelu(channels, 64, 7, stride=2),               # (b,   64, 112, 112)
        pool1=nn.MaxPool2d(3, stride=2, padding=1),                  # (b,   64,  56,  56)
        conv2_x=repeated(block, e, two, 64, 64, stride=1),           # (b,  64e,  56,  56)
        conv3_x=repeated(block, e, three, 64 * e, 128, stride=2),    # (b, 128e,  28,  28)
        conv4_x=repeated(block, e, four, 128 * e, 256, stride=2),    # (b, 256e,  14,  14)
        conv5_x=repeated(block, e, five, 256 * e, 512, stride=2),    # (b, 512e,   7,   7)
        average=GlobalAverage(),                                     # (b, 512e)
        classify=nn.Linear(512 * e, classes),                        # (b, 1000)
    )  # fmt: skip


def repeated(block: Block, e: int, count: int, inputs: int, width: int, stride: int) -> nn.Sequential:
    """The first block changes the shape, the others keep it."""
    return nn.Sequential(block(inputs, width, stride), *(block(e * width, width, 1) for _ in range(1, count)))


@network(paper="arXiv:1512.03385", params=11_689_512, size=224)
def resnet18(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """ResNet-18, basic blocks. 11 689 512 parameters."""
    return resnet(BasicBlock, 1, (2, 2, 2, 2), classes, channels)


@network(paper="arXiv:1512.03385", params=21_797_672, size=224)
def resnet34(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """ResNet-34, basic blocks. 21 797 672 parameters."""
    return resnet(BasicBlock, 1, (3, 4, 6, 3), classes, channels)


@network(paper="arXiv:1512.03385", params=25_557_032, size=224)
def resnet50(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """ResNet-50, bottlenecks that stride in their first 1×1, as published. 25 557 032 parameters."""
    return resnet(Bottleneck, 4, (3, 4, 6, 3), classes, channels)


@network(paper="arXiv:1512.03385", params=44_549_160, size=224)
def resnet101(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """ResNet-101, bottlenecks that stride in their first 1×1, as published. 44 549 160 parameters."""
    return resnet(Bottleneck, 4, (3, 4, 23, 3), classes, channels)


@network(paper="arXiv:1512.03385", params=60_192_808, size=224)
def resnet152(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """ResNet-152, bottlenecks that stride in their first 1×1, as published. 60 192 808 parameters."""
    return resnet(Bottleneck, 4, (3, 8, 36, 3), classes, channels)
