"""Dreams: the chosen activation rises, shifts are taken back to the pixel, the guide is what its formula says."""

import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.layers.conv import ConvRelu
from legato.layers.stages import stages, walk
from legato.synthesis import dream
from legato.synthesis.features import Features, dream_stage
from legato.values import Image

QUICK = dream.Dreaming(octaves=2, steps=4, jitter=3)


def net():
    torch.manual_seed(0)
    return stages(
        conv1=ConvRelu(3, 8, 3),
        pool1=nn.MaxPool2d(2),
        conv2=ConvRelu(8, 12, 3),
        flat=nn.Flatten(),
        fc=nn.Linear(12 * 8 * 8, 5),
    )


def photo(height=30, width=24):
    return Image(torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(1)).byte())


def pixels(height=30, width=24):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(2)) * 0.5 + 0.25


def test_what_grows_is_half_the_mean_square_or_the_mean_of_channels():
    maps = torch.randn(1, 4, 3, 2)
    torch.testing.assert_close(dream.everything(maps), (maps**2).sum() / 24 / 2)
    torch.testing.assert_close(dream.some([1, 3])(maps), (maps[0, 1].mean() + maps[0, 3].mean()) / 2)


def test_each_place_follows_the_feature_of_the_guide_that_resembles_it_most():
    guide, maps = torch.randn(1, 4, 3, 2), torch.randn(1, 4, 2, 2, requires_grad=True)
    slope = torch.autograd.grad(dream.guided(guide)(maps), maps)[0]
    features = guide[0].flatten(1).T
    for row in range(2):
        for column in range(2):
            best = max(features, key=lambda y: float(y @ maps[0, :, row, column].detach()))
            torch.testing.assert_close(slope[0, :, row, column], best / 4)


@pytest.mark.parametrize(("stage", "channels"), [("conv1", ()), ("conv2", ()), ("conv2", (3,)), ("conv1.conv", (0, 5))])
def test_the_chosen_activation_rises(stage, channels):
    measure = dream.some(channels) if channels else dream.everything
    features, x = Features(net(), [stage]), pixels()
    before = float(measure(features(x)[stage]))
    y = dream.dream(features, stage, measure, x, QUICK)
    assert float(measure(features(y)[stage])) > before + 1e-3
    assert y.shape == x.shape
    assert y.min() >= 0
    assert y.max() <= 1


def test_a_step_changes_pixels_by_about_its_strength_everywhere():
    how, x = dream.Dreaming(steps=1, jitter=0, strength=2.0), pixels()
    y, heights = dream.climb(Features(net(), ["conv2"]), "conv2", dream.everything, x, how)
    assert float((y - x).abs().mean()) == pytest.approx(2 / 255 / 1.1, rel=1e-3)
    assert heights == [pytest.approx(float(dream.everything(walk(net(), x, ["conv2"])["conv2"].detach())))]


def test_slopes_are_evened_over_the_picture_and_keep_their_direction():
    slope = torch.rand(1, 3, 300, 300) - 0.5
    slope[..., :150] *= 100
    found = dream.evened(slope)
    assert (found.sign() == slope.sign()).all()
    left, right = (found[..., half].abs().mean() for half in (slice(0, 120), slice(180, 300)))
    assert left < 8 * right  # of a hundred times
    torch.testing.assert_close(dream.evened(slope * 1e-3), found)
    assert (dream.evened(torch.zeros(1, 3, 9, 9)) == 0).all()


def test_shifts_are_taken_back_to_the_pixel():
    """Along a gradient that is the same everywhere but at one place, that place stays where it is."""
    features = Features(stages(conv=nn.Conv2d(3, 1, 1)), ["conv"])
    x = torch.full((1, 3, 20, 20), 0.5)
    x[..., 5, 7] = 0.9
    how = dream.Dreaming(steps=8, jitter=6, strength=0.1)
    y, _ = dream.climb(features, "conv", dream.everything, x, how)
    moved = (y - y[..., :1, :1]).abs().sum(dim=1)[0]
    assert moved[5, 7] > 0.1
    moved[5, 7] = 0
    assert moved.max() < 1e-6


def test_the_seed_decides_about_the_dream_and_nothing_else_does():
    features = Features(net(), ["conv2"])

    def dreamt(seed):
        torch.rand(7)  # whatever else draws numbers
        how = dream.Dreaming(octaves=2, steps=3, jitter=4, seed=seed)
        return dream.dream(features, "conv2", dream.everything, pixels(), how)

    assert torch.equal(dreamt(0), dreamt(0))
    assert not torch.equal(dreamt(0), dreamt(1))


def test_octaves_grow_by_their_scale_to_the_pictures_size_without_those_too_small():
    features = Features(net(), ["conv2"])
    how = dream.Dreaming(octaves=3, scale=2.0)
    assert dream.octaves(features, 40, 24, how) == [(10, 6), (20, 12), (40, 24)]
    no_padding = Features(stages(conv=nn.Conv2d(3, 2, 9)), ["conv"])
    assert dream.octaves(no_padding, 40, 24, how) == [(20, 12), (40, 24)]
    with pytest.raises(UsageError, match="5 × 8 pixels does not pass"):
        dream.octaves(no_padding, 8, 5, how)


def test_noise_is_dreamt_of_where_there_is_no_picture():
    found = dream.dream_of(net(), None, dream.Wish("conv2", size=20, how=QUICK))
    assert found.shape == (3, 20, 20)
    assert found.std() > 0.01


def test_a_channel_that_is_silent_everywhere_still_wakes():
    own = net()
    with torch.no_grad():
        own.conv2.conv.bias[3] = -0.5 * float(own.conv2.conv(own.pool1(own.conv1(pixels())))[:, 3].max()) - 1
    x = dream.pixels(photo(), 3, 30)
    assert float(own.conv2(own.pool1(own.conv1(x)))[:, 3].detach().max()) == 0
    how = dream.Dreaming(octaves=1, steps=30, jitter=2, strength=6.0)
    found = dream.dream_of(own, photo(), dream.Wish("conv2", channels=(3,), size=0, how=how))
    before, after = (own.conv2.conv(own.pool1(own.conv1(p)))[:, 3].detach().mean() for p in (x, found[None]))
    assert after > before + 0.1


def test_a_classifier_slides_over_larger_pictures():
    own, window = net(), 16
    wish = dream.Wish("fc", channels=(2,), size=30, how=QUICK)
    features = dream.reaching(own, "fc", window, dream.Device())
    x = pixels()
    for top, left in ((0, 0), (4, 2), (14, 8)):  # exact where nothing is padded; here windows see zeros at their edges
        found = features(x)["fc"][0, :, top // 2, left // 2]
        assert found.shape == (5,)
    torch.testing.assert_close(features(x[..., :16, :16])["fc"].flatten(), own(x[..., :16, :16]).flatten())
    found = dream.dream_of(own, photo(), wish, window=window)
    before = features(dream.pixels(photo(), 3, 30))["fc"][0, 2].mean()
    assert features(found[None])["fc"][0, 2].mean() > before + 1e-3


def test_a_guide_draws_the_dream_towards_its_features():
    own, guide = net(), photo(20, 20)
    features = Features(own, ["conv2"])
    measure = dream.guided(features(dream.pixels(guide, 3, dream.GUIDE))["conv2"])
    found = dream.dream_of(own, photo(), dream.Wish("conv2", guide=guide, size=0, how=QUICK))
    x = dream.pixels(photo(), 3, 30)
    assert measure(features(found[None])["conv2"]) > measure(features(x)["conv2"])
    assert found.shape == (3, 30, 24)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (dream.Wish("conv22"), "no stage called 'conv22'; did you mean conv2"),
        (dream.Wish("conv2", channels=(12,)), "--channel 12: conv2 has channels 0 to 11"),
        (dream.Wish("conv2", channels=(-1,)), "--channel -1: conv2 has channels 0 to 11"),
    ],
)
def test_what_is_not_there_is_told(wish, message):
    with pytest.raises(UsageError, match=message):
        dream.dream_of(net(), photo(), wish)


@pytest.mark.parametrize(
    ("name", "stage"),
    [("googlenet", "inception4c"), ("vgg16", "conv5_2"), ("squeezenet", "fire8"), ("resnet18", "conv4_x")],
)
def test_stages_that_see_parts_of_things(name, stage):
    from legato.networks.registry import NETWORKS

    with torch.device("meta"):
        assert dream_stage(NETWORKS[name].build()) == stage
