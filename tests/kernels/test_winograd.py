"""winograd.c against torch's convolution in float64, whatever the sizes, and no bit by threads."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradcheck

from legato.kernels import winograd
from legato.kernels.gemm import F32
from legato.kernels.winograd import Convolve, fits, suits

CHANNELS_LAST = torch.channels_last
EXACT = {torch.float64: 1e-12, torch.float32: 3e-5}
LANES = F32.lanes
SIZES = [(8, 8, 1), (7, 13, 1), (10, 6, 0), (3, 5, 0), (1, 1, 1), (4, 4, 2)]  # height, width, padding


def case(inputs, outputs, height, width, dtype, pictures=3):
    torch.manual_seed(0)
    x = torch.randn(pictures, inputs, height, width, dtype=torch.float64)
    weight = torch.randn(outputs, inputs, 3, 3, dtype=torch.float64) / (9 * inputs) ** 0.5
    bias = torch.randn(outputs, dtype=torch.float64)
    last = lambda t: t.to(memory_format=CHANNELS_LAST) if t.dim() == 4 else t
    return [last(t.to(dtype)).requires_grad_() for t in (x, weight, bias)]


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize(("height", "width", "padding"), SIZES)
@pytest.mark.parametrize(("inputs", "outputs"), [(LANES, 3 * LANES), (2 * LANES, LANES), (8 * LANES, 8 * LANES)])
def test_it_is_the_convolution(dtype, height, width, padding, inputs, outputs):
    given = case(inputs, outputs, height, width, dtype)
    y = Convolve.apply(*given, padding)
    dy = torch.randn_like(y)
    doubles = [t.detach().double().requires_grad_() for t in given]
    want = F.conv2d(*doubles, padding=padding)
    assert y.is_contiguous(memory_format=CHANNELS_LAST)
    for a, b in zip(
        (y, *torch.autograd.grad(y, given, dy)), (want, *torch.autograd.grad(want, doubles, dy.double())), strict=True
    ):
        torch.testing.assert_close(a.double(), b, rtol=0, atol=EXACT[dtype] * float(b.detach().abs().max()))


def test_gradients_are_those_of_differences():
    lanes = LANES // 2  # float64 has half as many
    assert gradcheck(lambda *t: Convolve.apply(*t, 1), case(lanes, lanes, 5, 4, torch.float64, pictures=1))


@pytest.mark.parametrize("wanted", [(0,), (1,), (0, 1), (2,)])
def test_only_what_is_asked_for(wanted):
    given = case(LANES, LANES, 9, 9, torch.float32)
    every = torch.autograd.grad(Convolve.apply(*given, 1).square().sum(), given)
    for place, t in enumerate(given):
        t.requires_grad_(place in wanted)
    some = torch.autograd.grad(Convolve.apply(*given, 1).square().sum(), [given[place] for place in wanted])
    assert all(torch.equal(every[place], found) for place, found in zip(wanted, some, strict=True))


def test_no_bit_depends_on_the_number_of_threads():
    given, answers = case(4 * LANES, 8 * LANES, 30, 21, torch.float32, pictures=5), []
    before = torch.get_num_threads()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        y = Convolve.apply(*given, 1)
        answers.append((y, *torch.autograd.grad(y.sin().sum(), given)))
    torch.set_num_threads(before)
    for other in answers[1:]:
        assert all(torch.equal(a, b) for a, b in zip(answers[0][:3], other[:3], strict=True))


def test_what_is_no_number_stays_none():
    x, weight, bias = case(LANES, LANES, 8, 8, torch.float32)
    with torch.no_grad():
        x[1, 2, 3, 4] = torch.nan
    y = Convolve.apply(x, weight, bias, 1)
    assert y[1].isnan().any()
    assert not y[0].isnan().any()


@pytest.mark.parametrize(
    ("wanted", "conv"),
    [
        (True, nn.Conv2d(16, 16, 3)),
        (True, nn.Conv2d(16, 16, 3, padding=1)),
        (False, nn.Conv2d(16, 16, 3, stride=2)),
        (False, nn.Conv2d(16, 16, 3, dilation=2)),
        (False, nn.Conv2d(16, 16, 3, groups=2)),
        (False, nn.Conv2d(16, 16, 5)),
        (False, nn.Conv2d(16, 16, 3, padding="same")),
        (False, nn.Conv2d(16, 16, 3, padding=(1, 0))),
        (False, nn.Conv2d(16, 16, 3, padding=1, padding_mode="circular")),
    ],
)
def test_what_suits(wanted, conv):
    assert suits(conv) == wanted


def test_what_fits(monkeypatch):
    x, weight, _ = case(LANES, LANES, 16, 16, torch.float32)
    assert fits(x, weight, 1)
    assert not fits(x.contiguous(), weight, 1)
    assert not fits(x[:, :, :4, :4], weight, 1)  # too few pixels to be worth it
    assert not fits(x, weight[:, : LANES - 1], 1)
    assert not fits(x.bfloat16(), weight.bfloat16(), 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert not fits(x, weight, 1)
    monkeypatch.setattr(winograd, "there", lambda *_: False)
    assert not fits(x, weight, 1)
