"""A layer without sharing, against a loop over its places."""

import pytest
import torch
from torch import nn

from legato.layers.locally_connected import LocallyConnected2d


@pytest.mark.parametrize(("size", "stride"), [(3, 1), (2, 2), (3, 2)])
def test_equals_a_loop_over_the_windows(size, stride):
    torch.manual_seed(0)
    layer, x = LocallyConnected2d(2, 4, 7, 6, size, stride), torch.randn(3, 2, 7, 6)
    y = layer(x)
    for row in range(y.shape[2]):
        for column in range(y.shape[3]):
            window = x[:, :, row * stride : row * stride + size, column * stride : column * stride + size]
            expected = window.flatten(1) @ layer.weight[row, column].flatten(1).T + layer.bias[:, row, column]
            torch.testing.assert_close(y[:, :, row, column], expected)


def test_with_equal_weights_everywhere_it_is_a_convolution():
    torch.manual_seed(1)
    conv, layer = nn.Conv2d(2, 3, 3), LocallyConnected2d(2, 3, 8, 8, 3)
    with torch.no_grad():
        layer.weight.copy_(conv.weight.expand_as(layer.weight))
        layer.bias.copy_(conv.bias.view(3, 1, 1).expand_as(layer.bias))
    x = torch.randn(2, 2, 8, 8)
    torch.testing.assert_close(layer(x), conv(x))


def test_gradients():
    layer = LocallyConnected2d(2, 2, 4, 4, 3).double()
    x = torch.randn(2, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    layer(x).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in layer.parameters())
