"""The small network for digits that withstands attacks: it halves the picture where it convolves, which is fast.

Wong, Rice & Kolter 2020, "Fast is better than free: revisiting adversarial training", arXiv:2001.03994, section 5.1:
the network of Wong & Kolter 2018, arXiv:1711.00851.
"""

from torch import nn

from legato.layers.conv import ConvRelu
from legato.layers.stages import stages
from legato.networks.registry import network


@network(paper="arXiv:2001.03994", params=166_406, size=28)
def wong(classes: int = 10, channels: int = 1) -> nn.Sequential:
    """Two 4×4 convolutions every 2 pixels, 16 and 32 maps wide, and a dense layer of 100, to be trained on attacked
    digits: an eighth of madry's work."""
    return stages(
        conv1=ConvRelu(channels, 16, 4, stride=2, padding=1),  # (b,   16, 14, 14)
        conv2=ConvRelu(16, 32, 4, stride=2, padding=1),        # (b,   32,  7,  7)
        flat=nn.Flatten(),                                     # (b, 1568)
        fc1=nn.Linear(32 * 7 * 7, 100),                        # (b,  100)
        relu1=nn.ReLU(),
        fc2=nn.Linear(100, classes),                           # (b,   10)
    )  # fmt: skip
