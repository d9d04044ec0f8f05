"""LeNet-5 as published: what the paper says in words and numbers, each written again."""

import math

import pytest
import torch
from torch import Tensor

from legato.networks.lenet_1998 import RUBBISH, SEES, PartlyConnected, RadialBasis, Squash, Subsampling, penalties
from legato.networks.registry import lookup


def test_table_1_connects_c3_as_the_paper_describes_it():
    sees = [{seen for map, seen in SEES if map == c3} for c3 in range(16)]
    runs = [{(start + i) % 6 for i in range(length)} for length in (3, 4) for start in range(6)]
    assert sees[:6] == runs[:6]  # "the first six take inputs from every contiguous subsets of three"
    assert sees[6:12] == runs[6:]  # "the next six … of four"
    for seen in sees[12:15]:  # "the next three … some discontinuous subsets of four"
        assert len(seen) == 4
        assert seen not in runs
    assert sees[15] == set(range(6))  # "the last one takes input from all"


def test_c3_equals_a_masked_convolution():
    layer, x = PartlyConnected(), torch.randn(2, 6, 9, 9)
    filters = torch.zeros(16, 6, 5, 5)
    for (map, seen), weight in zip(SEES, layer.weight):
        filters[map, seen] = weight
    torch.testing.assert_close(layer(x), torch.nn.functional.conv2d(x, filters, layer.bias))


def test_squash_keeps_one_and_bends_most_there():
    x = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(Squash()(x), x, rtol=0, atol=1e-4)  # f(±1) = ±1
    assert Squash()(torch.tensor(50.0)).item() == pytest.approx(1.7159)


def test_subsampling_adds_four_and_weighs_them():
    layer, x = Subsampling(3), torch.randn(2, 3, 4, 6)
    four = x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]
    torch.testing.assert_close(layer(x), layer.coefficient * four + layer.bias)


def test_weights_begin_within_the_bounds_of_appendix_a():
    net = lookup("lenet5_1998").build()
    weights = [(net.c1, 25), (net.s2, 4), (net.c5, 400), (net.f6, 120)]
    for layer, inputs in weights:
        largest = max(p.abs().max().item() for p in layer.parameters())
        assert 0.5 * 2.4 / inputs < largest <= 2.4 / inputs
    for (map, _), weight in zip(SEES, net.c3.weight):
        assert weight.abs().max() <= 2.4 / (25 * sum(m == map for m, _ in SEES))


def test_codes_are_the_digits_of_figure_3():
    codes = RadialBasis(10).codes
    assert codes.shape == (10, 7 * 12)
    assert codes.unique().tolist() == [-1, 1]
    seven = codes[7].view(12, 7)
    assert seven[0].tolist() == [1] * 7  # its bar
    assert seven[10:].max() == -1  # and nothing below the line
    assert torch.cdist(codes, codes).add(torch.eye(10) * 99).square().min() == 48  # 6 and 8 share most


def test_other_numbers_of_classes_get_codes_that_stay():
    assert torch.equal(RadialBasis(26).codes, RadialBasis(26).codes)
    assert RadialBasis(26).codes.unique(dim=0).shape == (26, 84)


def test_a_radial_basis_is_a_squared_distance():
    x, layer = torch.randn(3, 84), RadialBasis(10)
    expected = [[sum((a - w) ** 2 for a, w in zip(row, code)) for code in layer.codes.tolist()] for row in x.tolist()]
    torch.testing.assert_close(layer(x), torch.tensor(expected))


def test_penalties_are_equation_9():
    def equation_9(y: Tensor, d: list[int]) -> float:
        terms = [
            row[c] + math.log(math.exp(-RUBBISH) + sum(math.exp(-v) for v in row)) for row, c in zip(y.tolist(), d)
        ]
        return sum(terms) / len(terms)

    y = torch.tensor([[0.5, 30.0, 48.0], [60.0, 2.0, 100.0]])
    assert penalties(y, torch.tensor([0, 2])).item() == pytest.approx(equation_9(y, [0, 2]), rel=1e-5)


def test_the_nearest_code_wins():
    entry = lookup("lenet5_1998")
    assert entry.read(torch.tensor([[9.0, 1.0, 4.0]])).argmax() == 1


def test_it_learns_its_own_codes():
    torch.manual_seed(0)
    entry = lookup("lenet5_1998")
    net, targets = entry.build(), torch.arange(10)
    x = torch.nn.functional.interpolate(RadialBasis(10).codes.view(10, 1, 12, 7), (28, 28))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.003, momentum=0.9)
    for _ in range(100):
        optimizer.zero_grad()
        entry.loss(net(x), targets).backward()
        optimizer.step()
    assert entry.read(net(x)).argmax(1).equal(targets)
