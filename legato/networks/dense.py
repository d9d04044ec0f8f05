"""Classifiers without convolutions, the baselines of LeCun et al. 1998 ("Gradient-based learning applied to document
recognition", doi:10.1109/5.726791), sections III-C.1 and III-C.5: 12.0 % and 4.7 % errors on MNIST.

Every weight belongs to a pixel, so they are built for pictures of one size.
"""

from torch import nn

from legato.layers.conv import rectified
from legato.layers.stages import stages
from legato.networks.registry import network


@network(paper="doi:10.1109/5.726791", params=7_850, size=0)
def linear(classes: int = 10, channels: int = 1, size: int = 28) -> nn.Sequential:
    """A linear classifier: each class weighs every pixel. 7850 parameters, as in section III-C.1."""
    return stages(
        flat=nn.Flatten(),                                      # (b, 784)
        classify=nn.Linear(channels * size * size, classes),    # (b,  10)
    )  # fmt: skip


@network(paper="doi:10.1109/5.726791", params=238_510, size=0)
def mlp(classes: int = 10, channels: int = 1, size: int = 28) -> nn.Sequential:
    """One hidden layer, 784-300-10 as in section III-C.5; the hidden units are rectifiers, not the paper's tanh."""
    return stages(
        flat=nn.Flatten(),                                           # (b, 784)
        hidden=rectified(nn.Linear(channels * size * size, 300)),    # (b, 300)
        relu=nn.ReLU(),
        classify=nn.Linear(300, classes),                            # (b,  10)
    )  # fmt: skip
