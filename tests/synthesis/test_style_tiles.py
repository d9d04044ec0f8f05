"""By tiles as in one piece: maps to the last bits, gradients to rounding; and as large as memory allows."""

import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.layers.conv import ConvRelu
from legato.layers.pooling import GlobalAverage
from legato.layers.stages import stages, walk
from legato.synthesis import style, tiles
from legato.synthesis.features import Features

MIB = 2**20


def strided():
    """As awkward as SqueezeNet and ResNet together: without padding, with ceilings, with branches' worth of padding."""
    torch.manual_seed(1)
    return stages(
        conv1=ConvRelu(3, 6, 3, stride=2, padding=0),
        pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
        conv2=ConvRelu(6, 8, 5),
        pool2=nn.MaxPool2d(3, 2, padding=1),
        conv3=ConvRelu(8, 8, 3),
    )


NAMES = ("conv1", "conv2", "conv3")


@pytest.mark.parametrize("averaging", [False, True])
@pytest.mark.parametrize("size", [(150, 203), (97, 128), (131, 64)])
@pytest.mark.parametrize("core", [24, 64])
def test_maps_put_together_from_tiles_are_those_of_the_whole(size, core, averaging):
    features, x = Features(strided(), NAMES, averaging=averaging), torch.rand(1, 3, *size)
    laid = tiles.lay(features, *size, core)
    assert len(laid) > 1
    whole = features(x)
    if not averaging:
        torch.testing.assert_close(whole, walk(strided(), x, NAMES))
    torch.testing.assert_close(tiles.gathered(features, x, laid), whole, rtol=1e-5, atol=1e-6)


def test_every_place_of_every_map_is_some_tiles_own_and_no_others():
    features = Features(strided(), NAMES)
    for name, here in features.maps(150, 203).items():
        count = torch.zeros(here.size)
        for tile in tiles.lay(features, 150, 203, 40):
            count[tile.places[name]] += 1
        assert (count == 1).all()


@pytest.mark.parametrize("masked", [False, True])
def test_the_styles_gradient_by_tiles_is_that_in_one_piece(masked):
    features, size = Features(strided(), NAMES), (118, 141)
    generator = torch.Generator().manual_seed(0)
    content, x, painting = (torch.rand(1, 3, *size, generator=generator) for _ in range(3))
    onto = torch.rand(size, generator=generator) if masked else None
    paintings = [style.Painting(painting, onto=onto), style.Painting(painting.flip(1), 0.5)]
    how = style.Manner(NAMES, "conv2")
    results = []
    for core in (1000, 30, 70):
        laid = tiles.lay(features, *size, core)
        results.append(style.Objective(features, content, paintings, how, laid)(x))
    (value, slope), *others = results
    for other_value, other_slope in others:
        torch.testing.assert_close(other_value, value)
        assert (other_slope - slope).abs().max() < 1e-5 * slope.abs().max()


def test_what_sees_the_whole_picture_cannot_be_tiled():
    pooled = stages(conv=nn.Conv2d(3, 4, 3), average=nn.AdaptiveAvgPool2d(4), last=nn.Conv2d(4, 4, 1))
    with pytest.raises(UsageError, match="last sees the whole picture at once"):
        tiles.lay(Features(pooled, ["last"]), 64, 64, 16)
    with pytest.raises(UsageError, match="average makes no map"):
        Features(stages(conv=nn.Conv2d(3, 4, 3), average=GlobalAverage()), ["average"]).maps(64, 64)


def test_a_picture_too_small_is_told_so():
    with pytest.raises(UsageError, match="2 × 2 pixels does not pass"):
        Features(strided(), NAMES).maps(2, 2)


def test_fewer_tiles_the_more_memory_and_one_without_a_bound():
    features = Features(strided(), NAMES)
    assert len(tiles.fitting(features, 512, 512, 0, 0)) == 1
    whole = tiles.working_bytes(features, 512, 512)
    bounds = [whole / tiles.GIB * share for share in (1.01, 0.6, 0.25)]
    counts = [len(tiles.fitting(features, 512, 512, bound, 0)) for bound in bounds]
    assert counts[0] == 1 < counts[1] < counts[2]
    for bound in bounds:
        largest = tiles.most(tiles.fitting(features, 512, 512, bound, 0))
        assert tiles.working_bytes(features, *largest) <= bound * tiles.GIB


def test_a_bound_too_small_says_what_would_do():
    features = Features(strided(), NAMES)
    with pytest.raises(UsageError, match=r"--memory 0\.01: .* take at least ([\d.]+) GiB, in \d+ tiles") as raised:
        tiles.fitting(features, 512, 512, 0.01, 100 * MIB)
    enough = float(str(raised.value).split("at least ")[1].split()[0])
    assert tiles.fitting(features, 512, 512, enough, 100 * MIB)


def test_working_memory_counts_what_autograd_keeps():
    one = Features(stages(conv=nn.Conv2d(3, 16, 3, padding=1), relu=nn.ReLU()), ["relu"])
    picture, maps = 3 * 100 * 80 * 4, 16 * 100 * 80 * 4  # conv keeps its input, relu its output
    assert tiles.working_bytes(one, 100, 80) == pytest.approx(picture + maps + 4 * maps, rel=0.3)
