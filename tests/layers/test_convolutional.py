"""A classifier that slides: at every position it must say what the classifier says of that window."""

import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.layers.convolutional import to_convolutional
from legato.layers.locally_connected import LocallyConnected2d
from legato.layers.maxout import Maxout
from legato.layers.pooling import GlobalAverage, GlobalMax
from legato.layers.stages import stages


def trunk():
    conv1, conv2 = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3)
    return [conv1, nn.ReLU(), nn.MaxPool2d(2), conv2, nn.Tanh()]


class Branches(nn.Module):
    """A block of one's own: two ways side by side."""

    def __init__(self):
        super().__init__()
        self.one, self.three = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(3, 4, 5, stride=2)

    def forward(self, x):
        return torch.cat([self.one(x)[:, :, :-1, :-1], self.three(x).relu()], dim=1)


CLASSIFIERS = {  # for windows of 3×18×20
    "dense": lambda: nn.Sequential(*trunk(), nn.Flatten(), nn.Linear(8 * 6 * 7, 10), nn.ReLU(), nn.Linear(10, 4)),
    "dropout between flatten and dense": lambda: nn.Sequential(
        *trunk(), nn.Flatten(), nn.Dropout(), nn.Linear(8 * 6 * 7, 4), nn.Softmax(-1)
    ),
    "nested": lambda: nn.Sequential(
        nn.Sequential(*trunk()), nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(8 * 6 * 7, 4)))
    ),
    "trunk and pool in one": lambda: nn.Sequential(
        nn.Sequential(*trunk(), nn.AdaptiveAvgPool2d((2, 7))), nn.Flatten(), nn.Linear(8 * 14, 5), nn.Linear(5, 4)
    ),
    "global mean": lambda: nn.Sequential(*trunk(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)),
    "global mean, ours": lambda: nn.Sequential(
        *trunk(), GlobalAverage(), nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 4)
    ),
    "global max": lambda: nn.Sequential(*trunk(), GlobalMax(), nn.Linear(8, 4), nn.LogSoftmax(dim=1)),
    "maxout and layer norm": lambda: nn.Sequential(
        *trunk(), nn.Flatten(), nn.Linear(8 * 6 * 7, 12), Maxout(2), nn.LayerNorm(6), nn.Linear(6, 4)
    ),
    "convolutional to the end": lambda: nn.Sequential(
        *trunk(), nn.Conv2d(8, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ),
    "1×1 after the mean": lambda: nn.Sequential(*trunk(), nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.Flatten()),
    "without a trunk": lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 18 * 20, 4)),
    "a block of one's own": lambda: stages(
        block=Branches(), norm=nn.BatchNorm2d(8), mean=GlobalAverage(), fc=nn.Linear(8, 4)
    ),
    "local response norm": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.LocalResponseNorm(5), nn.AvgPool2d(3, 2), nn.Flatten(), nn.Linear(6 * 7 * 8, 4)
    ),
}


@torch.no_grad()
def largest_difference(net, sliding, picture):
    """Between the heat map and the classifier, over every window of the picture."""
    heat = sliding.net(picture)
    rows, columns = ((n - size) // step + 1 for n, size, step in zip(picture.shape[2:], sliding.size, sliding.stride))
    assert heat.shape[2] in (rows, rows + 1)
    assert heat.shape[3] in (columns, columns + 1)
    places = [(i, j) for i in range(rows) for j in range(columns)]
    windows = torch.cat([picture[(..., *sliding.window(i, j))] for i, j in places])
    there = torch.cat([heat[:, :, i, j] for i, j in places])
    return (there - net(windows).flatten(1)).abs().max().item()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_equals_the_classifier_at_every_position(name):
    torch.manual_seed(0)
    net = CLASSIFIERS[name]()
    net(torch.randn(16, 3, 18, 20))  # batch norms see something
    net.eval()
    sliding = to_convolutional(net, (3, 18, 20))
    assert sliding.exact
    assert sliding.why == ""
    assert largest_difference(net, sliding, torch.randn(1, 3, 25, 26)) < 1e-5


def test_padding_is_called_by_its_name():
    torch.manual_seed(1)
    net = stages(
        conv1=nn.Conv2d(3, 4, 3), pool1=nn.MaxPool2d(2), conv2=nn.Conv2d(4, 4, 3, padding=1), mean=GlobalAverage()
    ).eval()
    sliding = to_convolutional(net, (3, 18, 18))
    assert not sliding.exact
    assert sliding.why.startswith("conv2 looks beyond its map")
    assert largest_difference(net, sliding, torch.randn(1, 3, 24, 24)) > 1e-3


def test_a_pool_that_hangs_over_the_edge_is_found_too():
    torch.manual_seed(2)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, ceil_mode=True), nn.Flatten(), nn.Linear(4 * 36, 2)).eval()
    sliding = to_convolutional(net, (3, 18, 18))  # 16 pixels under windows of 3: the sixth hangs over by 2
    assert not sliding.exact
    assert sliding.why.startswith("1 looks beyond")


class Cut(nn.Module):
    def forward(self, x):
        return x[:, :, 1:-1, 1:-1]


def test_padding_hidden_in_a_block_is_found_too():
    class Same(nn.Module):
        def forward(self, x):
            return nn.functional.avg_pool2d(nn.functional.pad(x, (1, 1, 1, 1)), 3, 1)

    for same in (Same(), nn.Sequential(Cut(), Same())):  # zeros where something was cut off are zeros too
        assert not to_convolutional(nn.Sequential(same, GlobalAverage(), nn.Linear(3, 2)), (3, 8, 8)).exact


def test_names_weights_and_modes_stay():
    net = nn.Sequential()
    net.add_module("features", nn.Sequential(*trunk()))
    net.add_module("head", stages(flat=nn.Flatten(), fc=nn.Linear(8 * 6 * 7, 4)))
    sliding = to_convolutional(net.eval(), (3, 18, 20))
    assert [name for name, _ in sliding.net.named_children()] == ["features", "head_fc"]
    assert sliding.net.features is net.features
    assert sliding.net.head_fc.weight.data_ptr() == net.head.fc.weight.data_ptr()
    assert not sliding.net.training
    assert not any(module._forward_hooks for module in net.modules())


class Vectors(nn.Module):
    def forward(self, x):
        return x.flatten(1).sum(1, keepdim=True)


class Fixed(nn.Module):
    def forward(self, x):
        return nn.functional.adaptive_max_pool2d(x, (6, 5))


REFUSED = {
    "pools 6×7 to 4×7 by unequal windows": lambda: nn.Sequential(*trunk(), nn.AdaptiveAvgPool2d((4, 7)), nn.Flatten()),
    "Vectors": lambda: nn.Sequential(*trunk(), Vectors()),
    r"0 \(LocallyConnected2d\) only takes maps of one size": lambda: nn.Sequential(
        LocallyConnected2d(3, 2, 18, 20, 3), GlobalAverage()
    ),
    "sees the whole picture at once": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), GlobalAverage()),
    "acts on a window's whole map": lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(1080), nn.Linear(1080, 2)),
    "does not grow": lambda: nn.Sequential(Fixed(), nn.Conv2d(3, 4, 3), GlobalAverage()),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refuses_what_cannot_slide_and_says_why(reason):
    with pytest.raises(UsageError, match=reason):
        to_convolutional(REFUSED[reason](), (3, 18, 20))
