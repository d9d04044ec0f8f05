"""Transposed convolution as the adjoint of convolution, and as bilinear interpolation."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from legato.layers.transposed import adjoint, bilinear_kernel, bilinear_upsampling

CONVS = {
    "plain": nn.Conv2d(4, 6, 3, bias=False),
    "strided": nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False),
    "dilated": nn.Conv2d(4, 6, 3, dilation=2, padding=2, bias=False),
    "grouped": nn.Conv2d(4, 6, 4, stride=2, groups=2, bias=False),
    "oblong": nn.Conv2d(4, 6, (1, 5), stride=(1, 2), padding=(0, 2), bias=False),
}


@pytest.mark.parametrize("name", CONVS)
def test_adjoint_is_the_transposed_matrix(name):
    torch.manual_seed(0)
    conv = CONVS[name].double()
    x = torch.randn(2, 4, 10, 11, dtype=torch.float64, requires_grad=True)
    y = conv(x)
    g = torch.randn_like(y)
    back = adjoint(conv)(g, output_size=list(x.shape[-2:]))
    torch.testing.assert_close((y * g).sum(), (x * back).sum())
    torch.testing.assert_close(back, torch.autograd.grad(y, x, g)[0])


def test_adjoint_shares_its_weights():
    conv = nn.Conv2d(2, 3, 3)
    assert adjoint(conv).weight is conv.weight


def test_bilinear_kernel_of_factor_two():
    tent = torch.tensor([0.25, 0.75, 0.75, 0.25])
    torch.testing.assert_close(bilinear_kernel(2), tent[:, None] * tent)


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_begins_as_bilinear_interpolation_inside_the_border(factor):
    x = torch.rand(2, 3, 6, 5)
    ours, theirs = bilinear_upsampling(3, factor)(x), F.interpolate(x, scale_factor=factor, mode="bilinear")
    assert ours.shape == theirs.shape
    inside = slice(factor // 2, -(factor // 2))
    torch.testing.assert_close(ours[..., inside, inside], theirs[..., inside, inside])


def test_every_channel_may_learn_to_see_every_other():
    layer = bilinear_upsampling(3, 2)
    layer(torch.rand(1, 3, 4, 4)).square().sum().backward()
    assert (layer.weight.grad != 0).flatten(2).any(-1).all()
