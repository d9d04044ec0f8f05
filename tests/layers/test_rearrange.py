"""Dense to convolutional and back: nothing is computed, only rearranged."""

import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.layers.rearrange import conv_matrix, conv_to_dense, dense_to_conv
from legato.layers.true_conv import TrueConv2d

CONVS = {
    "plain": nn.Conv2d(2, 3, 3),
    "strided and padded": nn.Conv2d(2, 4, 3, stride=2, padding=1),
    "dilated": nn.Conv2d(1, 2, 3, dilation=2),
    "grouped": nn.Conv2d(4, 6, (2, 3), groups=2, bias=False),
    "flipped": TrueConv2d(2, 3, 3, padding=1),
}


@pytest.mark.parametrize("name", CONVS)
def test_a_convolution_is_a_sparse_dense_layer(name):
    conv = CONVS[name]
    x = torch.randn(5, conv.in_channels, 6, 7)
    torch.testing.assert_close(conv_to_dense(conv, 6, 7)(x.flatten(1)), conv(x).flatten(1), rtol=1e-4, atol=1e-6)


def test_the_matrix_holds_each_weight_once_a_place_and_nothing_else():
    conv = nn.Conv2d(2, 3, 3)
    matrix = conv_matrix(conv, 6, 7)
    assert matrix.shape == (3 * 4 * 5, 2 * 6 * 7)
    assert matrix._nnz() == 4 * 5 * conv.weight.numel()
    values, counts = matrix.values().unique(return_counts=True)
    assert torch.equal(values, conv.weight.detach().flatten().sort().values)
    assert (counts == 4 * 5).all()


def test_only_zero_padding_in_pixels_is_a_matrix():
    with pytest.raises(UsageError, match="reflect"):
        conv_matrix(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), 5, 5)


@pytest.mark.parametrize("bias", [True, False])
def test_a_dense_layer_on_a_map_is_a_convolution_with_its_very_weights(bias):
    linear, x = nn.Linear(3 * 4 * 5, 7, bias=bias), torch.randn(2, 3, 4, 5)
    conv = dense_to_conv(linear, 3, 4, 5)
    assert conv.weight.shape == (7, 3, 4, 5)
    assert conv.weight.data_ptr() == linear.weight.data_ptr()
    torch.testing.assert_close(conv(x), linear(x.flatten(1))[:, :, None, None])


def test_there_and_back_again():
    linear = nn.Linear(2 * 3 * 3, 4)
    back = conv_to_dense(dense_to_conv(linear, 2, 3, 3), 3, 3)
    assert torch.equal(back.weight, linear.weight)
    assert torch.equal(back.bias, linear.bias)


def test_a_map_of_another_size_is_refused():
    with pytest.raises(UsageError, match="60 inputs does not see a map of 3×4×6"):
        dense_to_conv(nn.Linear(60, 7), 3, 4, 6)
