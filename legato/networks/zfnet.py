"""ZFNet (Zeiler & Fergus 2013, "Visualizing and understanding convolutional networks", arXiv:1311.2901, figure 3).

What looking into AlexNet taught: smaller filters and a smaller stride first. The paper counts no parameters; they are
counted here. The lecture's "CONV3-5: more depth" is not figure 3 but the wider model (b) of table 2: `zfnet_wide`.
The figure fixes the padding: 110 = (224 + 2 − 7)/2 + 1, and pools that keep the last, partial window (55, 13).
"""

from torch import nn

from legato.layers.conv import ConvRelu, rectified
from legato.layers.normalize import LocalResponseNorm
from legato.layers.stages import stages
from legato.networks.registry import network


@network(paper="arXiv:1311.2901", params=62_357_608, size=224)
def zfnet(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """ZFNet as in figure 3: AlexNet with 7×7 filters at stride 2. 62 357 608 parameters."""
    return zeiler_fergus((384, 384, 256), classes, channels)


@network(paper="arXiv:1311.2901", params=107_627_624, size=224)
def zfnet_wide(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """ZFNet with 512, 1024 and 512 maps in conv3 to conv5. 107 627 624 parameters."""
    return zeiler_fergus((512, 1024, 512), classes, channels)


def zeiler_fergus(maps: tuple[int, int, int], classes: int, channels: int) -> nn.Sequential:
    """`maps` are those of conv3, conv4 and conv5."""
    c3, c4, c5 = maps
    return stages(
        conv1=ConvRelu(channels, 96, 7, stride=2, padding=1),      # (b,   96, 110, 110)
        pool1=nn.MaxPool2d(3, stride=2, ceil_mode=True),           # (b,   96,  55,  55)
        norm1=LocalResponseNorm(),
        conv2=ConvRelu(96, 256, 5, stride=2, padding=0),           # (b,  256,  26,  26)
        pool2=nn.MaxPool2d(3, stride=2, ceil_mode=True),           # (b,  256,  13,  13)
        norm2=LocalResponseNorm(),
        conv3=ConvRelu(256, c3, 3),                                # (b,   c3,  13,  13)
        conv4=ConvRelu(c3, c4, 3),                                 # (b,   c4,  13,  13)
        conv5=ConvRelu(c4, c5, 3),                                 # (b,   c5,  13,  13)
        pool5=nn.MaxPool2d(3, stride=2),                           # (b,   c5,   6,   6)
        flat=nn.Flatten(),                                         # (b, 36 c5)
        fc6=rectified(nn.Linear(c5 * 6 * 6, 4096)),                # (b, 4096)
        relu6=nn.ReLU(),
        drop6=nn.Dropout(0.5),
        fc7=rectified(nn.Linear(4096, 4096)),                      # (b, 4096)
        relu7=nn.ReLU(),
        drop7=nn.Dropout(0.5),
        fc8=nn.Linear(4096, classes),                              # (b, 1000)
    )  # fmt: skip
