"""maps.c against torch's own layers, and gradients against differences."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from legato.kernels.maps import MaxPool, NormRelu, Window, fits

CHANNELS_LAST = torch.channels_last
EXACT = {torch.float64: 1e-11, torch.float32: 2e-5, torch.bfloat16: 4e-2}


def maps_of(channels, dtype, mean=0.0, seed=0):
    torch.manual_seed(seed)
    x = torch.randn(3, channels, 9, 7, dtype=torch.float64) + mean
    return x.to(dtype).to(memory_format=CHANNELS_LAST).requires_grad_()


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("channels", [1, 6, 16, 37])
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("rectify", [False, True])
def test_norm_equals_torch_in_float64(dtype, channels, added, rectify):
    x, other = maps_of(channels, dtype, mean=20), maps_of(channels, dtype, seed=1) if added else None
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    gamma, beta = (torch.rand(channels, dtype=wide).requires_grad_() for _ in range(2))
    y, mean, variance = NormRelu.apply(x, other, gamma, beta, 1e-5, rectify)
    given = [t for t in (x, other, gamma, beta) if t is not None]
    dy = torch.randn_like(y)
    got = torch.autograd.grad(y, given, dy)
    doubles = [t.detach().double().requires_grad_() for t in given]
    wanted = F.batch_norm(doubles[0], None, None, *doubles[-2:], training=True, eps=1e-5)
    wanted = wanted + doubles[1] if added else wanted
    wanted = F.relu(wanted) if rectify else wanted
    want = torch.autograd.grad(wanted, doubles, dy.double())
    torch.testing.assert_close(y.double(), wanted, rtol=EXACT[dtype], atol=EXACT[dtype])
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=EXACT[dtype], atol=EXACT[dtype] * max(1, float(b.abs().max())))
    torch.testing.assert_close(mean.double(), doubles[0].mean((0, 2, 3)), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(variance.double(), doubles[0].var((0, 2, 3)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("channels", [1, 6, 16, 37])
@pytest.mark.parametrize(
    ("size", "stride", "padding", "ceil"),
    [(2, 2, 0, False), (3, 2, 1, False), (3, 2, 0, True), (3, 1, 1, False), (5, 3, 2, True)],
)
@pytest.mark.parametrize("rectify", [False, True])
def test_pool_equals_torch_to_the_bit(dtype, channels, size, stride, padding, ceil, rectify):
    x = maps_of(channels, dtype)
    wanted = F.max_pool2d(F.relu(x) if rectify else x, size, stride, padding, ceil_mode=ceil)
    y = MaxPool.apply(x, Window(size, stride, padding), rectify, *wanted.shape[2:])
    assert torch.equal(y, wanted)
    dy = torch.randint(-3, 4, y.shape).to(dtype)  # whole numbers: sums where windows overlap are exact
    assert torch.equal(*(torch.autograd.grad(out, x, dy)[0] for out in (y, wanted)))


def test_gradients_are_the_differences():
    x, other = maps_of(5, torch.float64), maps_of(5, torch.float64, seed=1)
    gamma, beta = (torch.rand(5, dtype=torch.float64).requires_grad_() for _ in range(2))
    assert gradcheck(lambda *given: NormRelu.apply(*given, 1e-5, True)[0], (x, other, gamma, beta))
    assert gradcheck(lambda x: MaxPool.apply(x, Window(2, 2, 0), True, 4, 3), (x,))


def test_of_equal_numbers_the_first():
    x = torch.ones(1, 8, 2, 2).to(memory_format=CHANNELS_LAST).requires_grad_()
    MaxPool.apply(x, Window(2, 2, 0), True, 1, 1).sum().backward()
    assert torch.equal(x.grad.sum((0, 1)), torch.tensor([[8.0, 0], [0, 0]]))


def test_what_is_no_number_stays_none():
    """A training must find out."""
    x = maps_of(6, torch.float32).detach()
    x[1, 2, 3, 4] = torch.nan
    pooled = MaxPool.apply(x, Window(2, 2, 0), True, 4, 3)
    normed, *_ = NormRelu.apply(x, None, torch.ones(6), torch.zeros(6), 1e-5, True)
    assert pooled[1, 2, 1, 2].isnan()
    assert normed[:, 2].isnan().all()


def test_no_bit_depends_on_the_threads():
    x = torch.randn(64, 24, 32, 32).to(memory_format=CHANNELS_LAST).requires_grad_()
    gamma, beta = torch.rand(24), torch.rand(24)
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            y, mean, _ = NormRelu.apply(x, None, gamma, beta, 1e-5, True)
            pooled = MaxPool.apply(x, Window(3, 2, 1), True, 16, 16)
            found.append((y, mean, pooled, torch.autograd.grad((y**2).sum() + (pooled**2).sum(), x)[0]))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_other_maps_are_refused():
    assert not fits(torch.rand(2, 3, 4, 4))  # channels first
    assert not fits(torch.rand(2, 3))
    assert not fits(torch.rand(2, 3, 4, 4).half().to(memory_format=CHANNELS_LAST))
    assert not fits(torch.rand(2, 3, 4, 4, device="meta").to(memory_format=CHANNELS_LAST))
    assert fits(torch.rand(2, 3, 4, 4).to(memory_format=CHANNELS_LAST))
