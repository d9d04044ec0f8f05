"""few.c against torch's convolution in float64, and no bit by threads."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradcheck

from legato.kernels import few
from legato.kernels.few import Convolve, fits, suits
from legato.kernels.gemm import F32

CHANNELS_LAST = torch.channels_last
EXACT = {torch.float64: 1e-12, torch.float32: 3e-6}
LANES = F32.lanes
CASES = [  # inputs, outputs, size, stride, padding, height, width
    (1, 6, 5, 1, 2, 28, 28),  # LeNet-5's first
    (6, 8, 5, 1, 0, 14, 14),
    (3, 7, 3, 2, 1, 11, 8),
    (8, 8, 3, 1, 1, 5, 9),
    (2, 3, 4, 1, 3, 6, 6),
    (1, 1, 1, 1, 0, 1, 1),
    (5, 2, 7, 3, 0, 7, 30),
]


def case(inputs, outputs, size, height, width, dtype, pictures=35):
    torch.manual_seed(0)
    x = torch.randn(pictures, inputs, height, width, dtype=dtype).to(memory_format=CHANNELS_LAST)
    weight = torch.randn(outputs, inputs, size, size, dtype=dtype) / (size * size * inputs) ** 0.5
    return x.requires_grad_(), weight.requires_grad_(), torch.randn(outputs, dtype=dtype).requires_grad_()


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize(("inputs", "outputs", "size", "stride", "padding", "height", "width"), CASES)
def test_it_is_the_convolution(dtype, inputs, outputs, size, stride, padding, height, width):
    x, *weights = case(inputs, outputs, size, height, width, dtype)
    x.requires_grad_(stride == 1)
    given = [t for t in (x, *weights) if t.requires_grad]
    y = Convolve.apply(x, *weights, stride, padding)
    dy = torch.randn_like(y)
    doubles = [t.detach().double().requires_grad_(t.requires_grad) for t in (x, *weights)]
    want = F.conv2d(*doubles, stride=stride, padding=padding)
    wanted = torch.autograd.grad(want, [t for t in doubles if t.requires_grad], dy.double())
    assert y.is_contiguous(memory_format=CHANNELS_LAST)
    for a, b in zip((y, *torch.autograd.grad(y, given, dy)), (want, *wanted), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=0, atol=EXACT[dtype] * max(1, float(b.detach().abs().max())))


def test_gradients_are_those_of_differences():
    assert gradcheck(lambda *t: Convolve.apply(*t, 1, 1), case(2, 3, 3, 5, 4, torch.float64, pictures=2))


def test_without_a_bias():
    x, weight, _ = case(1, 6, 5, 28, 28, torch.float32)
    y = Convolve.apply(x, weight, None, 1, 2)
    torch.testing.assert_close(y, F.conv2d(x, weight, padding=2), rtol=1e-5, atol=1e-5)
    torch.autograd.grad(y.sum(), (x, weight))


def test_no_bit_depends_on_the_number_of_threads():
    given, answers = case(6, 8, 5, 28, 28, torch.float32), []
    before = torch.get_num_threads()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        y = Convolve.apply(*given, 1, 2)
        answers.append((y, *torch.autograd.grad(y.sin().sum(), given)))
    torch.set_num_threads(before)
    for other in answers[1:]:
        assert all(torch.equal(a, b) for a, b in zip(answers[0], other, strict=True))


def test_what_reaches_over_harms_no_neighbour():
    """A number that is none in one picture is in no other, and in no gradient of another's pixels."""
    x, weight, bias = case(1, 6, 5, 28, 28, torch.float32, pictures=3)
    with torch.no_grad():
        x[1] = torch.nan
    y = Convolve.apply(x, weight, bias, 1, 2)
    assert y[1].isnan().all()
    assert not y[::2].isnan().any()


@pytest.mark.parametrize(
    ("wanted", "conv"),
    [
        (True, nn.Conv2d(1, 6, 5)),
        (True, nn.Conv2d(3, 8, 3, stride=2, padding=1)),
        (False, nn.Conv2d(4, 8, 3, dilation=2)),
        (False, nn.Conv2d(4, 8, 3, groups=2)),
        (False, nn.Conv2d(4, 8, (3, 5))),
        (False, nn.Conv2d(4, 8, 13)),
        (False, nn.Conv2d(4, 8, 3, padding=3)),
        (False, nn.Conv2d(4, 8, 3, padding="same")),
        (False, nn.Conv2d(4, 8, 3, padding=1, padding_mode="circular")),
    ],
)
def test_what_suits(wanted, conv):
    assert suits(conv) == wanted


def test_what_fits(monkeypatch):
    x, weight, _ = case(3, 6, 5, 12, 12, torch.float32)
    assert fits(x, weight, 1, 2)
    assert fits(x.detach(), weight, 2, 2)
    assert not fits(x, weight, 2, 2)  # its gradient is not asked of strides
    assert not fits(x.contiguous(), weight, 1, 2)
    assert not fits(x, torch.zeros(2 * LANES + 1, 3, 5, 5), 1, 2)
    assert not fits(x.bfloat16(), weight.bfloat16(), 1, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert not fits(x, weight, 1, 2)
    monkeypatch.setattr(few, "there", lambda *_: False)
    assert not fits(x, weight, 1, 2)
