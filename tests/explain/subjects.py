"""Small classifiers of known shape to explain, and the tasks around them, without training and without data."""

import torch
from torch import Tensor, nn

from legato.device import Device
from legato.explain import Subject
from legato.layers import ConvRelu, GlobalAverage, stages
from legato.tasks.classify import Classify
from legato.tasks.label import Label
from legato.tasks.pictures import Learnt, PictureTask
from legato.values import Image

NAMES = ("cat", "dog", "fish")


def learnt(names: tuple[str, ...] = NAMES, channels: int = 3, size: int = 16) -> Learnt:
    grey = (0.5,) * channels
    return Learnt("drawn", names, channels, size, size, grey, grey, (), (), (1, 1, 1), "", "")


def subject(network: str = "[conv8-relu-pool]*2-fc", kind: type[PictureTask] = Classify, **about: object) -> Subject:
    """A network of random weights, and a random picture."""
    torch.manual_seed(0)
    task = kind(network=network, learnt=learnt())
    net = Device().place(task.build()).eval()
    return Subject(task, net, Device(), Image(noise()), **about)


def labels(network: str = "[conv8-relu-pool]*2-fc", **about: object) -> Subject:
    return subject(network, Label, **about)


def noise(channels: int = 3, size: int = 16) -> Tensor:
    return torch.randint(256, (channels, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def network(channels: int = 3, classes: int = 4) -> nn.Sequential:
    """Convolutions and rectifiers that are modules, which oracles can hook; the head averages and weighs linearly."""
    torch.manual_seed(0)
    return stages(
        conv1=ConvRelu(channels, 6, 3),  # (b, 6, 12, 12)
        pool1=nn.MaxPool2d(2),           # (b, 6,  6,  6)
        conv2=ConvRelu(6, 10, 3),        # (b, 10, 6,  6)
        average=GlobalAverage(),         # (b, 10)
        out=nn.Linear(10, classes),      # (b, classes)
    ).eval()  # fmt: skip


def pictures(count: int = 2, channels: int = 3, size: int = 12) -> Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(2))


def of_class(net: nn.Module, k: int = 1):
    """Pictures → the logit of class k."""
    return lambda x: net(x)[:, k]
