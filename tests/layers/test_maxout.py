"""The largest of several linear pieces."""

import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.layers.maxout import Maxout


def test_equals_the_largest_of_neighbouring_channels():
    x = torch.randn(2, 6, 4, 5)
    expected = torch.stack([x[:, 0:3].amax(1), x[:, 3:6].amax(1)], dim=1)
    assert torch.equal(Maxout(3)(x), expected)


def test_of_a_dense_layer_it_is_convex_and_can_be_the_absolute_value():
    net = nn.Sequential(nn.Linear(1, 2, bias=False), Maxout(2))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
    x = torch.linspace(-2, 2, 9).unsqueeze(1)
    torch.testing.assert_close(net(x), x.abs())


def test_channels_must_divide():
    with pytest.raises(UsageError, match="divide 7"):
        Maxout(2)(torch.zeros(1, 7))
