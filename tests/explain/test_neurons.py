"""Activation maximisation: finds what was planted, in the spectrum and the colours it says, and the same every time."""

import pytest
import torch
from torch import nn

from legato.draws import Draws
from legato.errors import UsageError
from legato.explain.neurons import COLOURS, channels_of, coloured, imagined, moved, painted
from legato.layers.stages import stages


def stripes(period: int = 8) -> nn.Sequential:
    """A filter that likes vertical stripes of this period, and one that likes them lying down."""
    conv = nn.Conv2d(1, 2, period, bias=False)
    wave = torch.cos(2 * torch.pi * torch.arange(period) / period)
    with torch.no_grad():
        conv.weight[0, 0], conv.weight[1, 0] = wave.expand(period, period), wave[:, None].expand(period, period)
    return stages(conv=nn.Sequential(conv, nn.ReLU()))


@torch.no_grad()
def test_makes_the_stripes_that_a_filter_likes() -> None:
    liking = channels_of(stripes(), "conv", [0, 1])
    x = imagined(liking, (2, 1, 32, 32))
    power = torch.fft.fft2((x - x.mean((2, 3), keepdim=True))[:, 0]).abs().square()
    across, down = power[:, 0, 2:7].sum(1), power[:, 2:7, 0].sum(1)  # around 32 / 8 = 4 waves
    assert across[0] > 3 * down[0]
    assert down[1] > 3 * across[1]
    wave = 0.5 + 0.5 * torch.cos(2 * torch.pi * torch.arange(32) / 8)
    perfect = torch.stack([wave.expand(32, 32), wave[:, None].expand(32, 32)])[:, None]
    assert (liking(x) > 0.5 * liking(perfect)).all()


@torch.no_grad()
def test_wakes_a_unit_that_noise_leaves_silent() -> None:
    net = stripes()
    net.conv[0].bias = nn.Parameter(torch.full((2,), -3.0))  # almost grey pictures give it nothing
    liking = channels_of(net, "conv", [0])
    blank = torch.full((1, 1, 32, 32), 0.5)
    assert float(liking(blank)) == 0
    assert float(liking(imagined(liking, (1, 1, 32, 32)))) > 0


@torch.no_grad()
def test_a_better_picture_after_more_steps_and_the_same_one_from_the_same_seed() -> None:
    liking = channels_of(stripes(), "conv", [0])
    few, many = (imagined(liking, (1, 1, 24, 24), steps) for steps in (4, 24))
    assert float(liking(many)) > float(liking(few)) > 0
    assert torch.equal(few, imagined(liking, (1, 1, 24, 24), 4))
    assert not torch.equal(few, imagined(liking, (1, 1, 24, 24), 4, seed=1))
    assert 0 <= float(many.min()) <= float(many.max()) <= 1


def test_noise_has_the_spectrum_and_the_colours_of_photographs() -> None:
    noise = torch.randn(64, 3, 32, 17, 2, generator=torch.Generator().manual_seed(0)) * 0.01
    x = torch.logit(painted(noise, 32, 32).double())
    power = torch.fft.rfft2(x, norm="ortho").abs().square().mean((0, 1))
    ratio = float(power[2, 0] / power[8, 0])
    assert ratio == pytest.approx(16, rel=0.35)  # amplitude 1/f: four times the frequency, a sixteenth of the power
    matrix = torch.tensor(COLOURS, dtype=torch.float64)
    covariance = torch.cov(x.transpose(0, 1).flatten(1))
    expected = matrix @ matrix.T
    torch.testing.assert_close(covariance / covariance.trace(), expected / expected.trace(), atol=0.02, rtol=0.1)
    grey = torch.rand(2, 1, 4, 4)
    assert coloured(grey) is grey


def test_moves_are_small_and_leave_an_even_picture_as_it_is() -> None:
    draws = Draws((0,), range(2))
    even = torch.full((2, 3, 20, 20), 0.3)
    torch.testing.assert_close(moved(even, draws), even)
    ramp = torch.linspace(0, 1, 64)[None, None, :, None].expand(2, 1, 64, 64)
    assert 0 < float((moved(ramp, draws) - ramp).abs().mean()) < 0.2


def test_a_stage_without_maps_is_told() -> None:
    net = stages(conv=nn.Conv2d(1, 2, 3), tokens=nn.Flatten(2))
    with pytest.raises(UsageError, match="tokens gives no maps"):
        channels_of(net, "tokens", [0])(torch.rand(1, 1, 8, 8))
