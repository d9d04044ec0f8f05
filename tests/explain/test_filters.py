"""Which weights are shown as filters, and that their pictures show them."""

import numpy as np
import pytest
import torch
from torch import nn

from legato import picture
from legato.errors import UsageError
from legato.explain import filters
from legato.explain.filters import of_many, show_filters
from tests.explain.subjects import network, subject


def test_the_first_layer_is_found_and_any_other_by_its_name():
    net = network()
    first = filters(net)
    assert first.name == "conv1.conv"
    assert torch.equal(first.weights, net.conv1.conv.weight)
    assert filters(net, "conv2").weights.shape == (10, 6, 3, 3)
    assert filters(net, "out").weights.shape == (4, 10, 1, 1)


def test_rows_of_a_layer_that_sees_the_picture_are_pictures():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 5, 2))
    found = filters(net, shape=(3, 4, 5)).weights
    x = torch.rand(1, 3, 4, 5)
    torch.testing.assert_close((found * x).sum((1, 2, 3)) + net[1].bias, net(x)[0])
    assert filters(net).weights.shape == (2, 60, 1, 1)


def test_stages_without_filters_are_refused():
    with pytest.raises(UsageError, match="pool1 has no convolution"):
        filters(network(), "pool1")
    with pytest.raises(UsageError, match="no stage called 'conv9' in Sequential; did you mean"):
        filters(network(), "conv9")
    with pytest.raises(UsageError, match="has 8 filters, 0 to 7"):
        show_filters(subject(stage="conv1", channel=8))


@pytest.mark.parametrize(
    ("about", "line"),
    [
        ({}, "conv1: 8 filters of 3 × 3 × 3"),
        ({"channel": 2}, "conv1: 8 filters of 3 × 3 × 3"),
        ({"stage": "conv2"}, "conv2: 8 filters of 8 × 3 × 3"),
        ({"stage": "conv2", "channel": 7}, "conv2: 8 filters of 8 × 3 × 3"),
        ({"stage": "fc1"}, "fc1: 3 filters of 128 × 1 × 1"),
    ],
)
def test_every_kind_of_layer_is_drawn(about, line):
    [shown] = show_filters(subject(**about))
    assert shown.lines == (line,)
    assert np.asarray(shown.picture).std() > 5


def test_of_many_filters_the_largest_are_drawn(monkeypatch):
    weights = torch.full((40, 30, 3, 3), 0.01)
    weights[[3, 21]] = 1.0
    weights[:, [4, 9]] *= 5
    drawn = {}
    monkeypatch.setattr(picture, "mosaic", lambda tiles, *about: drawn.update(tiles=tiles, about=about))
    of_many("conv2", weights)
    assert len(drawn["tiles"]) == 16 * 16
    rows, columns = drawn["about"][4:6]
    assert {"3", "21"} <= set(rows)
    assert {"4", "9"} <= set(columns)
    at = rows.index("21") * 16 + columns.index("9")
    assert torch.equal(drawn["tiles"][at], torch.full((3, 3), 5.0))
