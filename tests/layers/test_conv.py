"""Convolutions together with what follows them."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from legato.layers import ConvNorm, ConvNormRelu, ConvRelu
from legato.layers.conv import rectified


@pytest.mark.parametrize(("size", "stride", "padding"), [(3, 1, None), (5, 2, None), (1, 1, None), (11, 4, 0)])
def test_a_convolution_is_what_its_parts_are_and_keeps_the_size_at_stride_1(size, stride, padding):
    x = torch.rand(2, 3, 23, 23)
    layer = ConvRelu(3, 4, size, stride, padding)
    around = size // 2 if padding is None else padding
    expected = F.relu(F.conv2d(x, layer.conv.weight, layer.conv.bias, stride, around))
    torch.testing.assert_close(layer(x), expected)
    assert stride > 1 or layer(x).shape == (2, 4, 23, 23)


def test_groups_see_only_their_own_channels():
    layer, x = ConvRelu(4, 6, 3, groups=2), torch.rand(1, 4, 5, 5)
    x_other = x.clone()
    x_other[:, 2:] = 0
    assert torch.equal(layer(x)[:, :3], layer(x_other)[:, :3])
    assert not torch.equal(layer(x)[:, 3:], layer(x_other)[:, 3:])


def test_normalised_convolutions_have_no_bias_and_standard_maps():
    x = torch.rand(16, 3, 8, 8)
    for layer in (ConvNorm(3, 4, 3), ConvNormRelu(3, 4, 3)):
        assert layer.conv.bias is None
    maps = ConvNorm(3, 4, 3)(x)
    torch.testing.assert_close(maps.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(maps.var((0, 2, 3), correction=0), torch.ones(4), atol=1e-3, rtol=0)
    assert ConvNormRelu(3, 4, 3)(x).min() == 0


def test_a_relu_leaves_what_comes_before_it_alone():
    layer, seen = ConvNormRelu(1, 8, 3), []
    layer.norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    layer(torch.rand(4, 1, 6, 6))
    assert seen[0].min() < 0


def test_rectified_weights_have_the_variance_he_et_al_derive():
    torch.manual_seed(0)
    for layer, inputs in ((nn.Conv2d(64, 64, 3), 64 * 9), (nn.Linear(500, 400), 500)):
        weight = rectified(layer).weight
        assert weight.var().item() == pytest.approx(2 / inputs, rel=0.03)
        assert layer.bias is not None
        assert not layer.bias.any()
