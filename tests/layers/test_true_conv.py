"""Convolution with the flip."""

import torch
from scipy.signal import convolve2d
from torch import nn

from legato.layers.true_conv import TrueConv2d


def test_equals_scipy_convolve():
    torch.manual_seed(0)
    layer, x = TrueConv2d(1, 1, 3, bias=False), torch.randn(1, 1, 8, 9)
    theirs = convolve2d(x[0, 0].numpy(), layer.weight[0, 0].detach().numpy(), mode="valid")
    torch.testing.assert_close(layer(x)[0, 0].detach(), torch.from_numpy(theirs))


def test_stride_padding_groups_and_bias_as_in_conv2d():
    torch.manual_seed(1)
    true = TrueConv2d(4, 6, 3, stride=2, padding=1, groups=2)
    flipped = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)
    flipped.load_state_dict(true.state_dict())
    with torch.no_grad():
        flipped.weight.copy_(true.weight.flip(-2, -1))
    x = torch.randn(2, 4, 9, 9)
    torch.testing.assert_close(true(x), flipped(x))
