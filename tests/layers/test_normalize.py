"""Normalising: pixels in front of a network, and responses across channels."""

import pytest
import torch
from torch import nn

from legato.layers import LocalResponseNorm, Normalize, Sided, stages, with_normalization


def test_normalize_is_the_formula_and_is_saved_but_not_trained():
    layer, x = Normalize((0.2, 0.4, 0.6), (1, 2, 4)), torch.rand(2, 3, 4, 5)
    for c, (mean, sd) in enumerate(((0.2, 1), (0.4, 2), (0.6, 4))):
        torch.testing.assert_close(layer(x)[:, c], (x[:, c] - mean) / sd)
    assert set(layer.state_dict()) == {"mean", "sd"}
    assert not list(layer.parameters())


def test_a_normalised_network_keeps_its_stages_and_weights():
    net = stages(conv1=nn.Conv2d(1, 2, 3), flat=nn.Flatten(), classify=nn.Linear(8, 3))
    behind = with_normalization(net, (0.5,), (0.25,))
    assert [name for name, _ in behind.named_children()] == ["normalize", "conv1", "flat", "classify"]
    assert behind.conv1 is net.conv1
    x = torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(behind(x), net((x - 0.5) / 0.25))


def test_side_heads_stay_where_they_hang():
    trunk = stages(a=nn.Conv2d(1, 2, 1), flat=nn.Flatten(), classify=nn.Linear(8, 3))
    net = Sided(trunk, {"a": nn.Flatten()})
    behind = with_normalization(net, (0.5,), (0.25,))
    assert isinstance(behind, Sided)
    x = torch.rand(2, 1, 2, 2)
    for found, expected in zip(behind(x), net((x - 0.5) / 0.25)):
        torch.testing.assert_close(found, expected)


def test_what_has_no_stages_becomes_one():
    assert [name for name, _ in with_normalization(nn.Flatten(), (0.5,), (1.0,)).named_children()] == [
        "normalize",
        "network",
    ]


@pytest.mark.parametrize("n", [3, 4, 5])
def test_local_response_norm_is_the_formula_of_alexnet(n: int):
    a = torch.randn(2, 7, 3, 3, dtype=torch.float64)
    k, alpha, beta = 2.0, 0.1, 0.75
    found = LocalResponseNorm(n, k, alpha, beta)(a)
    for i in range(7):
        around = sum(a[:, j] ** 2 for j in range(max(0, i - n // 2), min(6, i + (n - 1) // 2) + 1))
        torch.testing.assert_close(found[:, i], a[:, i] / (k + alpha * around) ** beta)


def test_local_response_norm_is_torch_s_with_another_alpha():
    a = torch.randn(2, 9, 4, 4)
    torch.testing.assert_close(LocalResponseNorm()(a), nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)(a))
