"""The meters of saturated and dead units."""

import torch
from torch import nn

from legato.layers.activations import dead, saturated


def test_saturated_counts_both_ends():
    y = torch.tensor([-1.0, -0.95, -0.5, 0.0, 0.5, 0.95, 0.999, 1.0])
    assert saturated(y, -1, 1) == 5 / 8  # nearer than 0.1 to an end
    assert saturated(y, -1, 1, margin=0.001) == 3 / 8


def test_initially_large_weights_saturate_a_logistic_layer():
    torch.manual_seed(0)
    x = torch.randn(64, 50)
    calm, wild = (torch.sigmoid(x @ (scale * torch.randn(50, 20))) for scale in (0.05, 5.0))
    assert saturated(calm, 0, 1) < 0.01
    assert saturated(wild, 0, 1) > 0.85


def test_dead_units_are_those_silent_for_every_example_and_place():
    y = torch.zeros(3, 4, 2, 2)
    y[1, 0, 1, 1] = 0.1
    y[:, 2] = 1.0
    assert dead(y) == 0.5
    assert dead(y.amax((2, 3))) == 0.5


def test_a_large_negative_bias_kills_a_relu_layer():
    layer = nn.Linear(8, 10)
    nn.init.constant_(layer.bias, -100.0)
    assert dead(torch.relu(layer(torch.randn(32, 8)))) == 1.0
