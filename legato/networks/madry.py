"""The network for digits that withstands attacks: wide, because a small one has no room for a robust answer.

Mądry et al. 2018, "Towards deep learning models resistant to adversarial attacks", arXiv:1706.06083, sections 4 and 5.
"""

from torch import nn

from legato.layers.conv import ConvRelu
from legato.layers.stages import stages
from legato.networks.registry import network


@network(paper="arXiv:1706.06083", params=3_274_634, size=28)
def madry(classes: int = 10, channels: int = 1) -> nn.Sequential:
    """Two convolutions, 32 and 64 maps wide, and a dense layer of 1,024, to be trained on attacked digits.

    As in the authors' challenge of 2017: both 5×5, each followed by a maximum over 2×2. The paper does not count; the
    layers make 3 274 634 parameters.
    """
    return stages(
        conv1=ConvRelu(channels, 32, 5),        # (b,   32, 28, 28)
        pool1=nn.MaxPool2d(2),                  # (b,   32, 14, 14)
        conv2=ConvRelu(32, 64, 5),              # (b,   64, 14, 14)
        pool2=nn.MaxPool2d(2),                  # (b,   64,  7,  7)
        flat=nn.Flatten(),                      # (b, 3136)
        fc1=nn.Linear(64 * 7 * 7, 1024),        # (b, 1024)
        relu1=nn.ReLU(),
        fc2=nn.Linear(1024, classes),           # (b,   10)
    )  # fmt: skip
