"""ResNet-9, the network of the DAWNBench races for CIFAR-10 (Page 2018, "How to train your ResNet",
https://myrtle.ai/learn/how-to-train-your-resnet): wide and shallow, two residual blocks, 94 % after minutes on one GPU.

`resnet9_wide` has Page's widths; `resnet9` half of them, a quarter of the arithmetic, for a CPU. Counted here.
"""

from jaxtyping import Float
from torch import Tensor, nn

from legato.layers.conv import ConvNormRelu
from legato.layers.pooling import GlobalMax
from legato.layers.stages import stages
from legato.networks.registry import network


class Added(nn.Module):
    """x + F(x), F rectified already: (b, width, h, w) → the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = stages(a=ConvNormRelu(width, width, 3), b=ConvNormRelu(width, width, 3))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return x + self.branch(x)


class Scale(nn.Module):
    """x times a constant: logits that begin small, and grow with the weights' learning rate times it."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        return x * self.by


@network(paper="https://myrtle.ai/learn/how-to-train-your-resnet", params=1_646_112, size=32)
def resnet9(classes: int = 10, channels: int = 3) -> nn.Sequential:
    """ResNet-9 at half its widths, to train on two cores. 1 646 112 parameters."""
    return page(32, classes, channels)


@network(paper="https://myrtle.ai/learn/how-to-train-your-resnet", params=6_573_120, size=32)
def resnet9_wide(classes: int = 10, channels: int = 3) -> nn.Sequential:
    """ResNet-9 as Page trained it. 6 573 120 parameters."""
    return page(64, classes, channels)


def page(w: int, classes: int, channels: int) -> nn.Sequential:
    """x (b, channels, 32, 32) → logits (b, classes); w maps at first, 8w at last."""
    return stages(
        prepare=ConvNormRelu(channels, w, 3),       # (b,  w, 32, 32)
        conv1=ConvNormRelu(w, 2 * w, 3),            # (b, 2w, 32, 32)
        pool1=nn.MaxPool2d(2),                      # (b, 2w, 16, 16)
        residual1=Added(2 * w),                     # (b, 2w, 16, 16)
        conv2=ConvNormRelu(2 * w, 4 * w, 3),        # (b, 4w, 16, 16)
        pool2=nn.MaxPool2d(2),                      # (b, 4w,  8,  8)
        conv3=ConvNormRelu(4 * w, 8 * w, 3),        # (b, 8w,  8,  8)
        pool3=nn.MaxPool2d(2),                      # (b, 8w,  4,  4)
        residual3=Added(8 * w),                     # (b, 8w,  4,  4)
        largest=GlobalMax(),                        # (b, 8w)
        classify=nn.Linear(8 * w, classes, bias=False),    # (b, 10)
        scale=Scale(0.125),
    )  # fmt: skip
