"""A network of your own in legato's loop: name it, register it, train it like any other."""

import sys

from torch import nn

import legato
from legato.layers import ConvRelu, stages
from legato.networks.registry import network
from legato.progress import choose


@network(paper="mine", params=5_130, size=28)
def tiny(classes: int = 10, channels: int = 1) -> nn.Sequential:
    """Two convolutions and an average."""
    return stages(
        conv1=ConvRelu(channels, 16, 3),  # (b, 16, 28, 28)
        pool1=nn.MaxPool2d(2),  # (b, 16, 14, 14)
        conv2=ConvRelu(16, 32, 3),  # (b, 32, 14, 14)
        average=nn.AdaptiveAvgPool2d(1),
        flat=nn.Flatten(),
        classify=nn.Linear(32, classes),
    )


run = legato.train(sys.argv[1] if len(sys.argv) > 1 else "digits", network="tiny", epochs=5, show=choose())
print(run.evaluate("test"))
