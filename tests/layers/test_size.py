"""Sizes under a sliding window: PyTorch itself is the truth."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from legato.errors import UsageError
from legato.layers.size import explain_size, output_size

GRID = list(product((5, 6, 7, 12), (1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (1, 2)))


def fits(size: int, kernel: int, padding: int, dilation: int) -> bool:
    return dilation * (kernel - 1) + 1 <= size + 2 * padding


@pytest.mark.parametrize("ceil", [False, True])
def test_equals_pytorch_on_a_grid(ceil):
    for size, kernel, stride, padding, dilation in GRID:
        if padding > kernel // 2 or not fits(size, kernel, padding, dilation):
            continue
        pooled = F.max_pool1d(torch.zeros(1, 1, size), kernel, stride, padding, dilation, ceil_mode=ceil)
        assert output_size(size, kernel, stride, padding, dilation, ceil=ceil) == pooled.shape[-1]


def test_equals_the_convolution_too_where_padding_is_wide():
    for size, kernel, stride, padding, dilation in GRID:
        if fits(size, kernel, padding, dilation):
            y = F.conv1d(torch.zeros(1, 1, size), torch.zeros(1, 1, kernel), None, stride, padding, dilation)
            assert output_size(size, kernel, stride, padding, dilation) == y.shape[-1]


def test_a_window_that_does_not_fit_says_how_it_would():
    with pytest.raises(UsageError, match=r"7 pixels does not fit into 4 with padding 0: pad by 2"):
        output_size(4, 7)
    assert output_size(4, 7, padding=2) == 2
    with pytest.raises(UsageError, match="pad by 3"):  # the least that fits when two already do not
        output_size(4, 10, padding=2)
    assert output_size(4, 10, padding=3) == 1


@pytest.mark.parametrize("name", ["size", "kernel", "stride", "dilation", "padding"])
def test_impossible_numbers_are_named(name):
    given = {"size": 8, "kernel": 3} | {name: -1}
    with pytest.raises(UsageError, match=f"{name} -1"):
        output_size(**given)


def test_explains_what_the_stride_leaves_over():
    assert explain_size(100, 3) == "(100 − 3 + 2·0) / 1 + 1 = 98"
    told = explain_size(98, 3, 3)
    assert "32.67" in told
    assert "floor gives 32 and drops 2" in told
    assert "ceil gives 33" in told
