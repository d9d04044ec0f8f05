"""The class heat map: each place is the classifier's answer on its window; where it is drawn."""

import torch
from torch import nn

from legato.explain import class_heat_map
from legato.explain.heatmap import fits, on_pixels, scaled
from legato.layers.convolutional import to_convolutional
from legato.networks.registry import build
from legato.tasks.classify import Classify
from legato.values import Image
from tests.explain.subjects import learnt, noise


def test_each_place_is_the_classifier_on_its_window():
    torch.manual_seed(0)
    net = build("conv6k3p0-relu-pool-conv8k3p0-relu-fc", 4, 3, 16).eval()
    sliding = to_convolutional(net, (3, 16, 16))
    assert sliding.exact
    x = torch.rand(1, 3, 24, 30)
    found = class_heat_map(sliding, x)
    assert found.shape == (1, 4, 5, 8)
    for row in range(5):
        for column in range(8):
            down, across = sliding.window(row, column)
            alone = net(x[:, :, down, across]).softmax(1)
            torch.testing.assert_close(found[:, :, row, column], alone, atol=1e-5, rtol=1e-4)


def test_it_is_drawn_where_the_windows_have_their_middles():
    net = build("conv6k3p0-relu-pool-conv8k3p0-relu-fc", 4, 3, 16).eval()
    sliding = to_convolutional(net, (3, 16, 16))
    places = torch.zeros(5, 8)
    places[2, 3] = 1.0
    drawn = on_pixels(places, sliding, 24, 30)
    down, across = sliding.window(2, 3)
    middle = (down.start + down.stop) / 2, (across.start + across.stop) / 2
    rows, columns = (torch.arange(n) + 0.5 for n in (24, 30))
    assert float((drawn.sum(1) * rows).sum() / drawn.sum()) == float(torch.tensor(middle[0]))
    assert float((drawn.sum(0) * columns).sum() / drawn.sum()) == float(torch.tensor(middle[1]))
    assert drawn[:6].sum() == 0  # no window has its middle there


def test_pictures_hardly_larger_than_the_window_are_enlarged_and_huge_ones_reduced():
    shape = (3, 16, 16)
    assert scaled(Image(noise(3, 16)), shape).shape == (3, 32, 32)
    assert scaled(Image(noise(3, 40)), shape).shape == (3, 40, 40)
    assert scaled(Image(noise(1, 160)), shape).shape == (3, 64, 64)


def test_what_cannot_slide_says_why():
    objections = {name: why(name) for name in ("conv8-relu-fc", "conv8-gap-fc", "locally_connected")}
    assert objections["conv8-relu-fc"] == objections["conv8-gap-fc"] == ""
    assert "cannot slide" in objections["locally_connected"]
    task = Classify(network="conv8-relu-fc", learnt=learnt())
    assert "a row of stages" in fits(task, nn.Identity())


def why(name: str) -> str:
    size = 28 if name == "locally_connected" else 16
    task = Classify(network=name, learnt=learnt(size=size))
    with torch.device("meta"):
        return fits(task, task.build())
