"""Dropout as in the lecture, beside PyTorch's."""

from itertools import product

import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.layers.dropout import LectureDropout, monte_carlo


def test_training_drops_without_scaling():
    torch.manual_seed(0)
    x = torch.arange(1.0, 100_001)
    y = LectureDropout(keep=0.3)(x)
    assert ((y == 0) | (y == x)).all()
    assert (y != 0).double().mean().item() == pytest.approx(0.3, abs=0.006)  # four standard deviations


def test_dropped_units_get_no_gradient():
    x = torch.ones(1000, requires_grad=True)
    y = LectureDropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


@pytest.mark.parametrize("keep", [0.0, 1.1, -0.5])
def test_keep_is_a_probability(keep):
    with pytest.raises(UsageError, match="probability"):
        LectureDropout(keep)


def test_monte_carlo_mean_is_the_expectation_over_all_subnetworks_of_a_linear_unit():
    torch.manual_seed(1)
    net, x = nn.Sequential(LectureDropout(0.7), nn.Linear(6, 2)), torch.randn(3, 6)
    mean, deviation = monte_carlo(net, x, 4000)
    masks = torch.tensor(list(product((0.0, 1.0), repeat=6)))
    weights = (0.7**masks * 0.3 ** (1 - masks)).prod(1)
    outputs = torch.stack([net[1](x * mask) for mask in masks]).detach()
    expected = torch.einsum("m,mbo->bo", weights, outputs)
    spread = torch.einsum("m,mbo->bo", weights, (outputs - expected).square()).sqrt()
    assert ((mean - expected).abs() < 5 * spread / 4000**0.5).all()
    torch.testing.assert_close(deviation, spread, rtol=0.1, atol=0)


def test_monte_carlo_lets_only_dropout_train():
    net = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5))
    net.eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    _, deviation = monte_carlo(net, torch.randn(8, 4), 20)
    assert deviation.sum() > 0
    assert not net[1].training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
