"""LeNet-5 as it is taught, and the two networks of the lectures that are LeNet-5 but for one thing each.

LeCun et al. 1998, "Gradient-based learning applied to document recognition", doi:10.1109/5.726791, figure 2. As it was
published, with trainable subsampling and radial basis functions, the network is called `lenet5_1998`.
"""

from torch import nn

from legato.layers.conv import ConvRelu
from legato.layers.locally_connected import LocallyConnected2d
from legato.layers.stages import stages
from legato.networks.registry import network


@network(paper="doi:10.1109/5.726791", params=61_706, size=28)
def lenet5(classes: int = 10, channels: int = 1) -> nn.Sequential:
    """LeNet-5 in its modern form: rectifiers, maxima, C3 connected to all maps, a linear output.

    The paper's 32×32 picture is a 28×28 digit and a frame, which is padding here. 61 706 parameters.
    """
    return stages(
        conv1=ConvRelu(channels, 6, 5),         # (b,   6, 28, 28)
        pool2=nn.MaxPool2d(2),                  # (b,   6, 14, 14)
        conv3=ConvRelu(6, 16, 5, padding=0),    # (b,  16, 10, 10)
        pool4=nn.MaxPool2d(2),                  # (b,  16,  5,  5)
        flat=nn.Flatten(),                      # (b, 400)
        fc5=nn.Linear(400, 120),                # (b, 120)
        relu5=nn.ReLU(),
        fc6=nn.Linear(120, 84),                 # (b,  84)
        relu6=nn.ReLU(),
        fc7=nn.Linear(84, classes),             # (b,  10)
    )  # fmt: skip


@network(paper="https://pytorch.org/tutorials/beginner/blitz/cifar10_tutorial.html", params=62_006, size=32)
def cifarnet(classes: int = 10, channels: int = 3) -> nn.Sequential:
    """The lecture's `Net` for CIFAR-10, from PyTorch's tutorial: LeNet-5 for colour, without padding.

    Its weights have the tutorial's names: a state dict of either is one of the other. 62 006 parameters.
    """
    return stages(
        conv1=nn.Conv2d(channels, 6, 5),        # (b,   6, 28, 28)
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2, 2),               # (b,   6, 14, 14)
        conv2=nn.Conv2d(6, 16, 5),              # (b,  16, 10, 10)
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2, 2),               # (b,  16,  5,  5)
        flat=nn.Flatten(),                      # (b, 400)
        fc1=nn.Linear(16 * 5 * 5, 120),         # (b, 120)
        relu3=nn.ReLU(),
        fc2=nn.Linear(120, 84),                 # (b,  84)
        relu4=nn.ReLU(),
        fc3=nn.Linear(84, classes),             # (b,  10)
    )  # fmt: skip


@network(paper="doi:10.1109/5.726791", params=423_038, size=28)
def locally_connected(classes: int = 10, channels: int = 1) -> nn.Sequential:
    """LeNet-5 without weight sharing: the same windows, and weights of its own at every place (lecture 001).

    What were 122 304 connections of C1 are as many weights now; 423 038 in all (counted), those of seven LeNets, and no
    reason left why what is learnt in one place should hold in another. The first such network: Net-3 of LeCun 1989.
    """
    return stages(
        frame=nn.ZeroPad2d(2),                              # (b,   1, 32, 32)
        local1=LocallyConnected2d(channels, 6, 32, 32, 5),  # (b,   6, 28, 28)
        relu1=nn.ReLU(),
        pool2=nn.MaxPool2d(2),                              # (b,   6, 14, 14)
        local3=LocallyConnected2d(6, 16, 14, 14, 5),        # (b,  16, 10, 10)
        relu3=nn.ReLU(),
        pool4=nn.MaxPool2d(2),                              # (b,  16,  5,  5)
        flat=nn.Flatten(),                                  # (b, 400)
        fc5=nn.Linear(400, 120),                            # (b, 120)
        relu5=nn.ReLU(),
        fc6=nn.Linear(120, 84),                             # (b,  84)
        relu6=nn.ReLU(),
        fc7=nn.Linear(84, classes),                         # (b,  10)
    )  # fmt: skip
