"""Linear layers merged, and batch norms folded into what stands before them."""

import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.layers.fold import fold_batch_norm, fold_linear


@pytest.mark.parametrize("bias", [True, False])
def test_merges_any_number_of_linear_layers(bias):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 7, bias=bias), nn.Identity(), nn.Linear(7, 3), nn.Linear(3, 4, bias=bias)).double()
    x, one = torch.randn(6, 5, dtype=torch.float64), fold_linear(net)
    torch.testing.assert_close(one(x), net(x))
    assert one.weight.shape == (4, 5)


def test_refuses_across_a_nonlinearity_and_names_it():
    net = nn.Sequential()
    net.add_module("fc1", nn.Linear(2, 2))
    net.add_module("squash", nn.Tanh())
    net.add_module("fc2", nn.Linear(2, 2))
    with pytest.raises(UsageError, match=r"squash \(Tanh\).*non-linearity prevents merging"):
        fold_linear(net)
    with pytest.raises(UsageError, match=r"no nn\.Linear to fold"):
        fold_linear(nn.Sequential())


def used(norm):
    """A batch norm that has seen something."""
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        if norm.affine:
            norm.weight.normal_()
            norm.bias.normal_()
    return norm.eval()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_folds_batch_norm_into_a_convolution(bias, affine):
    torch.manual_seed(1)
    conv, norm = nn.Conv2d(4, 6, 3, 2, 1, groups=2, bias=bias), used(nn.BatchNorm2d(6, affine=affine))
    x, before = torch.randn(2, 4, 9, 9), conv.weight.clone()
    torch.testing.assert_close(fold_batch_norm(conv, norm)(x), norm(conv(x)), rtol=1e-4, atol=1e-5)
    assert torch.equal(conv.weight, before)  # a copy


def test_folds_batch_norm_into_a_dense_layer():
    torch.manual_seed(2)
    linear, norm, x = nn.Linear(5, 3), used(nn.BatchNorm1d(3)), torch.randn(4, 5)
    torch.testing.assert_close(fold_batch_norm(linear, norm)(x), norm(linear(x)), rtol=1e-4, atol=1e-5)


def test_refuses_a_norm_that_depends_on_the_batch():
    with pytest.raises(UsageError, match="depends on the batch"):
        fold_batch_norm(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False))
