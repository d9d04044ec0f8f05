"""GoogLeNet as torchvision has it, for its published weights, which were trained with TensorFlow.

It normalises over the batch (ε = 0.001) where the paper normalises responses, and its "5×5" filters are 3×3:
"a known bug", says its source, and the weights have it. 6 624 904 parameters.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.layers.conv import ConvNormRelu
from legato.layers.pooling import GlobalAverage
from legato.layers.stages import stages
from legato.networks.googlenet import ROWS, halve
from legato.networks.registry import network


class NormedInception(nn.Module):
    """The inception module with batch normalisation, and 3×3 filters in place of 5×5; columns as in table 1."""

    def __init__(self, inputs: int, one: int, three_r: int, three: int, five_r: int, five: int, pool: int) -> None:
        super().__init__()
        self.one = ConvNormRelu(inputs, one, 1)
        self.three = stages(reduce=ConvNormRelu(inputs, three_r, 1), conv=ConvNormRelu(three_r, three, 3))
        self.five = stages(reduce=ConvNormRelu(inputs, five_r, 1), conv=ConvNormRelu(five_r, five, 3))
        self.pool = stages(pool=nn.MaxPool2d(3, stride=1, padding=1), project=ConvNormRelu(inputs, pool, 1))

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)


@network(paper="arXiv:1409.4842", params=6_624_904, size=224)
def googlenet_torchvision(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """GoogLeNet as torchvision has it: batch normalisation, 3×3 filters where the paper has 5×5."""
    net = stages(
        conv1=ConvNormRelu(channels, 64, 7, stride=2),    # (b,   64, 112, 112)
        pool1=halve(),                                    # (b,   64,  56,  56)
        conv2r=ConvNormRelu(64, 64, 1),                   # (b,   64,  56,  56)
        conv2=ConvNormRelu(64, 192, 3),                   # (b,  192,  56,  56)
        pool2=halve(),                                    # (b,  192,  28,  28)
        inception3a=NormedInception(*ROWS["3a"]),         # (b,  256,  28,  28)
        inception3b=NormedInception(*ROWS["3b"]),         # (b,  480,  28,  28)
        pool3=halve(),                                    # (b,  480,  14,  14)
        inception4a=NormedInception(*ROWS["4a"]),         # (b,  512,  14,  14)
        inception4b=NormedInception(*ROWS["4b"]),         # (b,  512,  14,  14)
        inception4c=NormedInception(*ROWS["4c"]),         # (b,  512,  14,  14)
        inception4d=NormedInception(*ROWS["4d"]),         # (b,  528,  14,  14)
        inception4e=NormedInception(*ROWS["4e"]),         # (b,  832,  14,  14)
        pool4=nn.MaxPool2d(2, ceil_mode=True),            # (b,  832,   7,   7)  the paper's is 3×3
        inception5a=NormedInception(*ROWS["5a"]),         # (b,  832,   7,   7)
        inception5b=NormedInception(*ROWS["5b"]),         # (b, 1024,   7,   7)
        average=GlobalAverage(),                          # (b, 1024)
        dropout=nn.Dropout(0.2),
        classify=nn.Linear(1024, classes),                # (b, 1000)
    )  # fmt: skip
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.001
    return net
