"""AlexNet (Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural networks",
doi:10.1145/3065386, section 3.5 and figure 2).

Pictures are 227×227: the paper's text says 224, but only 227 gives its own 55 = (227 − 11)/4 + 1 without padding. The
lecture leaves the two streams out, which makes 62 378 344 parameters; the paper's "60 million" are the 60 965 224 of
`alexnet_grouped`. Responses are normalised before pooling, as in the paper; the lecture's slide has it the other way.
"""

from torch import nn

from legato.layers.conv import ConvRelu, rectified
from legato.layers.normalize import LocalResponseNorm
from legato.layers.stages import stages
from legato.networks.registry import network


@network(paper="doi:10.1145/3065386", params=62_378_344, size=227)
def alexnet(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """AlexNet in one stream, as the lectures draw it. 62 378 344 parameters."""
    return stages(
        conv1=ConvRelu(channels, 96, 11, stride=4, padding=0),    # (b,   96, 55, 55)
        norm1=LocalResponseNorm(),
        pool1=nn.MaxPool2d(3, stride=2),                          # (b,   96, 27, 27)
        conv2=ConvRelu(96, 256, 5),                               # (b,  256, 27, 27)
        norm2=LocalResponseNorm(),
        pool2=nn.MaxPool2d(3, stride=2),                          # (b,  256, 13, 13)
        conv3=ConvRelu(256, 384, 3),                              # (b,  384, 13, 13)
        conv4=ConvRelu(384, 384, 3),                              # (b,  384, 13, 13)
        conv5=ConvRelu(384, 256, 3),                              # (b,  256, 13, 13)
        pool5=nn.MaxPool2d(3, stride=2),                          # (b,  256,  6,  6)
        flat=nn.Flatten(),                                        # (b, 9216)
        fc6=rectified(nn.Linear(9216, 4096)),                     # (b, 4096)
        relu6=nn.ReLU(),
        drop6=nn.Dropout(0.5),
        fc7=rectified(nn.Linear(4096, 4096)),                     # (b, 4096)
        relu7=nn.ReLU(),
        drop7=nn.Dropout(0.5),
        fc8=nn.Linear(4096, classes),                             # (b, 1000)
    )  # fmt: skip


@network(paper="doi:10.1145/3065386", params=60_965_224, size=227)
def alexnet_grouped(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """AlexNet as published: two streams that meet in conv3 and in the dense layers. 60 965 224 parameters."""
    return stages(
        conv1=ConvRelu(channels, 96, 11, stride=4, padding=0),    # (b,   96, 55, 55)  48 maps a stream
        norm1=LocalResponseNorm(),
        pool1=nn.MaxPool2d(3, stride=2),                          # (b,   96, 27, 27)
        conv2=ConvRelu(96, 256, 5, groups=2),                     # (b,  256, 27, 27)  each sees its own 48
        norm2=LocalResponseNorm(),
        pool2=nn.MaxPool2d(3, stride=2),                          # (b,  256, 13, 13)
        conv3=ConvRelu(256, 384, 3),                              # (b,  384, 13, 13)  each sees both
        conv4=ConvRelu(384, 384, 3, groups=2),                    # (b,  384, 13, 13)
        conv5=ConvRelu(384, 256, 3, groups=2),                    # (b,  256, 13, 13)
        pool5=nn.MaxPool2d(3, stride=2),                          # (b,  256,  6,  6)
        flat=nn.Flatten(),                                        # (b, 9216)
        fc6=rectified(nn.Linear(9216, 4096)),                     # (b, 4096)
        relu6=nn.ReLU(),
        drop6=nn.Dropout(0.5),
        fc7=rectified(nn.Linear(4096, 4096)),                     # (b, 4096)
        relu7=nn.ReLU(),
        drop7=nn.Dropout(0.5),
        fc8=nn.Linear(4096, classes),                             # (b, 1000)
    )  # fmt: skip


@network(paper="arXiv:1404.5997", params=61_100_840, size=224)
def alexnet_torchvision(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """AlexNet as torchvision has it, for its published weights. 61 100 840 parameters.

    After Krizhevsky 2014 ("One weird trick for parallelizing CNNs"): fewer filters, no response normalisation.
    """
    return stages(
        conv1=ConvRelu(channels, 64, 11, stride=4, padding=2),    # (b,   64, 55, 55)
        pool1=nn.MaxPool2d(3, stride=2),                          # (b,   64, 27, 27)
        conv2=ConvRelu(64, 192, 5),                               # (b,  192, 27, 27)
        pool2=nn.MaxPool2d(3, stride=2),                          # (b,  192, 13, 13)
        conv3=ConvRelu(192, 384, 3),                              # (b,  384, 13, 13)
        conv4=ConvRelu(384, 256, 3),                              # (b,  256, 13, 13)
        conv5=ConvRelu(256, 256, 3),                              # (b,  256, 13, 13)
        pool5=nn.MaxPool2d(3, stride=2),                          # (b,  256,  6,  6)
        flat=nn.Flatten(),                                        # (b, 9216)
        drop5=nn.Dropout(0.5),
        fc6=rectified(nn.Linear(9216, 4096)),                     # (b, 4096)
        relu6=nn.ReLU(),
        drop6=nn.Dropout(0.5),
        fc7=rectified(nn.Linear(4096, 4096)),                     # (b, 4096)
        relu7=nn.ReLU(),
        fc8=nn.Linear(4096, classes),                             # (b, 1000)
    )  # fmt: skip
