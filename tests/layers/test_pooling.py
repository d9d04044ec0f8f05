"""p-norms, whole maps, and unpooling."""

from math import inf

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from legato.errors import UsageError
from legato.layers.pooling import (
    GlobalAverage,
    GlobalMax,
    LearnedNormPool2d,
    PNormPool2d,
    max_pool_where,
    max_unpool,
)


def by_hand(x, size, stride, p):
    """The definition, window by window, in float64."""
    rows, columns = ((n - size) // stride + 1 for n in x.shape[2:])
    out = torch.empty(*x.shape[:2], rows, columns, dtype=torch.float64)
    for i in range(rows):
        for j in range(columns):
            window = x[:, :, i * stride : i * stride + size, j * stride : j * stride + size].double()
            out[:, :, i, j] = torch.linalg.vector_norm(window.flatten(2), ord=p, dim=-1)
    return out


@settings(deadline=None, max_examples=30)
@given(p=st.floats(1, 60), size=st.integers(1, 3), stride=st.integers(1, 3), seed=st.integers(0, 99))
def test_equals_the_norm_of_each_window(p, size, stride, seed):
    x = torch.randn(2, 2, 6, 7, generator=torch.Generator().manual_seed(seed))
    y = PNormPool2d(size, stride, p)(x).double()
    torch.testing.assert_close(y, by_hand(x, size, stride, p), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("p", [1.0, 2.0, 7.5, 1000.0])
def test_neither_overflows_nor_underflows(scale, p):
    x = torch.randn(1, 1, 6, 6, generator=torch.Generator().manual_seed(3))
    y = PNormPool2d(3, 3, p)(x * scale)
    torch.testing.assert_close(y / scale, PNormPool2d(3, 3, p)(x), rtol=1e-4, atol=0)


def test_large_p_approaches_the_largest_absolute_value():
    x = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(4)) - 2  # mostly negative
    largest = F.max_pool2d(x.abs(), 2)
    assert torch.equal(PNormPool2d(2, 2, inf)(x), largest)
    errors = [(PNormPool2d(2, 2, p)(x) - largest).abs().max().item() for p in (4.0, 16.0, 64.0, 4096.0)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 2e-3


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 9.0])
def test_gradient_of_the_norm(p):
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5), requires_grad=True)
    assert torch.autograd.gradcheck(PNormPool2d(2, 2, p), (x,))


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 9.0, inf])
def test_gradient_is_finite_at_zero(p):
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, 0] = -3.0  # one window of zeros and something, three of zeros alone
    x.requires_grad_()
    y = PNormPool2d(2, 2, p)(x)
    y.sum().backward()
    assert y[0, 0].flatten().tolist() == [3.0, 0, 0, 0]
    assert x.grad.isfinite().all()
    assert x.grad[0, 0, 0, 0] == -1


@pytest.mark.parametrize("p", [0.99, -1.0, float("nan")])
def test_below_one_it_is_no_norm(p):
    with pytest.raises(UsageError, match="p ≥ 1"):
        PNormPool2d(2, 2, p)


def test_learnt_p_begins_as_told_and_can_never_leave_the_norms():
    layer = LearnedNormPool2d(3, 2, 2, p=2.0)
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(layer(x), PNormPool2d(2, 2, 2.0)(x))
    with torch.no_grad():
        layer.rho.fill_(-1e4)
    torch.testing.assert_close(layer(x), PNormPool2d(2, 2, 1.0)(x))
    for p in (1.0, inf):
        with pytest.raises(UsageError, match="between 1 and ∞"):
            LearnedNormPool2d(3, 2, 2, p)


def test_p_learns_each_channel_its_own():
    torch.manual_seed(6)
    x, layer = torch.randn(16, 2, 8, 8), LearnedNormPool2d(2, 2, 2, p=2.0)
    wanted = torch.stack([PNormPool2d(2, 2, 1.2)(x)[:, 0], PNormPool2d(2, 2, 5.0)(x)[:, 1]], dim=1)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.2)
    for _ in range(150):
        loss = (layer(x) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(layer.p.flatten(), torch.tensor([1.2, 5.0]), rtol=0.02, atol=0)


def test_gradient_of_a_learnt_p_also_where_inputs_are_zero():
    layer = LearnedNormPool2d(1, 2, 2, p=3.0).double()
    x = torch.tensor([[[[0.0, 2, 1, -1], [0, -1, 3, 0.5], [0, 0, 1, 1], [0, 0, 1, 1]]]], dtype=torch.float64)
    layer(x).square().sum().backward()
    step = 1e-6

    def at(shift):
        with torch.no_grad():
            layer.rho += shift
            value = layer(x).square().sum().item()
            layer.rho -= shift
        return value

    assert layer.rho.grad.item() == pytest.approx((at(step) - at(-step)) / (2 * step), rel=1e-5)


def test_whole_maps():
    x = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(GlobalAverage()(x), F.adaptive_avg_pool2d(x, 1).flatten(1))
    assert torch.equal(GlobalMax()(x), F.adaptive_max_pool2d(x, 1).flatten(1))


@pytest.mark.parametrize(("size", "stride", "padding"), [(2, 2, 0), (3, 3, 1), (2, 2, 1)])
def test_unpooling_equals_pytorch_where_windows_do_not_overlap(size, stride, padding):
    x = torch.randn(2, 3, 8, 10)
    pooled, where = max_pool_where(x, size, stride, padding)
    theirs = F.max_unpool2d(pooled, where, size, stride, padding, output_size=x.shape)
    assert torch.equal(max_unpool(pooled, where, 8, 10), theirs)


def test_overlapping_windows_keep_the_larger_of_two_values_for_a_place():
    x = torch.zeros(1, 1, 3, 5)
    x[0, 0, 1, 2] = 1.0  # the maximum of both windows
    _, where = max_pool_where(x, 3, 2)
    back = max_unpool(torch.tensor([[[[-5.0, -2.0]]]]), where, 3, 5)
    assert back[0, 0, 1, 2] == -2.0
    assert back.count_nonzero() == 1
