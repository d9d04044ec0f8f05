"""Residual blocks and inception modules, beside their figures."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from legato.layers import BasicBlock, Bottleneck, Inception, Residual
from legato.layers.residual import PaddedShortcut


def test_a_residual_block_is_equation_1():
    block, x = Residual(nn.Conv2d(3, 3, 3, padding=1), nn.Identity()), torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(block(x), F.relu(block.branch(x) + x))


def test_a_block_whose_branch_is_silent_passes_on_what_is_positive():
    block, x = BasicBlock(4, 4), torch.rand(2, 4, 6, 6)
    nn.init.zeros_(block.branch.b.norm.weight)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(("inputs", "stride"), [(8, 1), (4, 1), (8, 2), (4, 2)])
def test_shortcuts_are_projections_only_where_the_shape_changes(inputs: int, stride: int):
    block = BasicBlock(inputs, 8, stride)
    assert isinstance(block.shortcut, nn.Identity) == (inputs == 8 and stride == 1)
    assert block(torch.rand(2, inputs, 6, 6)).shape == (2, 8, 6 // stride, 6 // stride)


def test_a_bottleneck_strides_in_its_first_convolution_and_widens_four_times():
    block = Bottleneck(16, 8, stride=2)
    assert [part.conv.stride for part in block.branch] == [(2, 2), (1, 1), (1, 1)]
    assert [part.conv.kernel_size for part in block.branch] == [(1, 1), (3, 3), (1, 1)]
    assert block(torch.rand(2, 16, 6, 6)).shape == (2, 32, 3, 3)


def test_option_a_takes_every_second_pixel_and_adds_channels_of_zeros():
    x = torch.rand(2, 3, 6, 6)
    y = PaddedShortcut(3, 5, stride=2)(x)
    assert torch.equal(y[:, :3], x[:, :, ::2, ::2])
    assert not y[:, 3:].any()
    assert not list(PaddedShortcut(3, 5, 2).parameters())


def test_an_inception_module_stands_its_four_views_side_by_side():
    module, x = Inception(6, 2, 3, 4, 1, 5, 7), torch.rand(2, 6, 8, 8)

    def conv(layer: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
        size = layer.conv.kernel_size[0]
        return F.relu(F.conv2d(x, layer.conv.weight, layer.conv.bias, padding=(size - 1) // 2))

    views = [
        conv(module.one, x),
        conv(module.three.conv, conv(module.three.reduce, x)),
        conv(module.five.conv, conv(module.five.reduce, x)),
        conv(module.pool.project, F.max_pool2d(x, 3, 1, 1)),
    ]
    assert [view.shape[1] for view in views] == [2, 4, 5, 7]
    assert [module.three.conv.conv.kernel_size, module.five.conv.conv.kernel_size] == [(3, 3), (5, 5)]
    torch.testing.assert_close(module(x), torch.cat(views, 1))
