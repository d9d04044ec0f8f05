"""Ledger rows on looking inside: first-layer filters, heat maps of classes, maps drawn on pictures."""

import numpy as np
import torch

from legato import picture
from legato.explain import class_heat_map, filters
from legato.layers.convolutional import to_convolutional
from legato.networks.registry import NETWORKS, build


def test_V2_alexnets_96_first_filters_of_11_by_11_in_colour():
    """Krizhevsky et al. 2012, figure 3."""
    torch.manual_seed(0)
    net = NETWORKS["alexnet"].build(2)
    found = filters(net)
    assert found.weights.shape == (96, 3, 11, 11)
    assert torch.equal(found.weights, net.conv1.conv.weight)


def test_V2_a_filter_has_the_colour_it_looks_for_and_grey_is_zero():
    weights = torch.zeros(2, 3, 4, 4)
    weights[0, 0, :2] = 1.0  # red above
    weights[1, 2, :, 2:] = -0.3  # against blue at the right
    drawn = np.asarray(picture.filters(weights))
    red = np.argwhere((drawn == (255, 128, 128)).all(-1))
    yellow = np.argwhere((drawn == (128, 128, 0)).all(-1))
    grey = (drawn == (128, 128, 128)).all(-1)
    assert len(red) == len(yellow)  # half a tile each, as bright as it can be
    assert grey.sum() >= len(red) + len(yellow)
    assert red[:, 1].max() < yellow[:, 1].min()  # the first filter stands left of the second


def test_C22_the_heat_map_of_a_class_is_the_classifier_on_every_window():
    torch.manual_seed(0)
    net = build("conv6k5p0-relu-pool-fc24-relu-fc", 5, 1, 20).eval()
    sliding = to_convolutional(net, (1, 20, 20))
    x = torch.rand(1, 1, 26, 28)
    found = class_heat_map(sliding, x)
    assert sliding.exact
    assert found.shape == (1, 5, 4, 5)
    windows = [(i, j) for i in range(4) for j in range(5)]
    alone = torch.cat([net(x[:, :, 2 * i : 2 * i + 20, 2 * j : 2 * j + 20]) for i, j in windows]).softmax(1)
    torch.testing.assert_close(found[0].flatten(1).T, alone, atol=1e-5, rtol=1e-4)
