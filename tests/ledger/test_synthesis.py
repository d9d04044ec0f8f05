"""LEDGER rows V3, V4 and V5: dreams and styles by a network that knows ImageNet."""

from pathlib import Path

import pytest
import torch

from legato import api
from legato.data.decode import read_image
from legato.synthesis import colour, dream
from legato.synthesis.features import Features, pixels, style_stages
from legato.synthesis.style import Manner, Painting, grams, transfer
from legato.synthesis.style_paint import Scale, Style, Wish, paint
from legato.synthesis.tiles import gathered, lay
from legato.values import Image

QUICK = dream.Dreaming(octaves=2, steps=6, jitter=8)
ONE = 10_000  # pixels of a tile: one piece


@pytest.fixture(scope="module")
def ready(real_data):
    return api.load("squeezenet", "cpu", start_from=str(real_data / "pretrained/squeezenet1_1/squeezenet1_1_fp16.npz"))


@pytest.fixture(scope="module")
def photo(real_data):
    return lambda name: Image(read_image(Path(real_data) / "pictures" / name), name)


def probability(ready, x, what):
    with torch.no_grad():
        outputs, _ = ready.task.outputs(ready.network, x, None)
    return float(ready.task.evidence(outputs, what))


def test_V3_a_dream_of_a_class_is_seen_as_that_class(ready, photo):
    classes = ready.task.names
    parrot = next(i for i, name in enumerate(classes) if name.startswith("macaw"))
    sky, how = photo("content/sky1024px.jpg"), dream.Dreaming(octaves=1, steps=16, strength=3.0)
    found = dream.dream_of(ready.network, sky, dream.Wish("conv10", channels=(parrot,), size=227, how=how))
    before, after = (probability(ready, x, "macaw") for x in (pixels(sky, 3, 227), found[None]))
    assert before < 0.01
    assert after > 0.5


def test_V3_octaves_and_jitter_let_a_stage_rise_further_than_without(ready, photo):
    sky, stage = pixels(photo("content/sky1024px.jpg"), 3, 160), "fire8"
    features = Features(ready.network, [stage])

    def rise(octaves, jitter):
        how = dream.Dreaming(octaves=octaves, steps=12 // octaves, jitter=jitter)
        return float(dream.everything(features(dream.dream(features, stage, dream.everything, sky, how))[stage]))

    still = float(dream.everything(features(sky)[stage]))
    assert min(rise(1, 0), rise(1, 8), rise(2, 8)) > 2 * still


def test_V3_guided_by_flowers_the_sky_resembles_them(ready, photo):
    sky, flowers = photo("content/sky1024px.jpg"), photo("content/flowers.jpg")
    features = Features(ready.network, ["fire5"])
    resemblance = dream.guided(features(pixels(flowers, 3, dream.GUIDE))["fire5"])
    found = dream.dream_of(ready.network, sky, dream.Wish("fire5", guide=flowers, size=160, how=QUICK))
    before, after = (float(resemblance(features(x)["fire5"])) for x in (pixels(sky, 3, 160), found[None]))
    assert after > 1.5 * before


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_V4_gram_matrices_become_those_of_the_painting(ready, photo, optimizer):
    stages, content = style_stages(ready.network)
    features = Features(ready.network, [*stages, content], averaging=True)
    night, grace = pixels(photo("style/starry_night.jpg"), 3, 96), pixels(photo("content/grace_hopper.jpg"), 3, 96)
    done = transfer(features, grace, [Painting(night)], Manner(stages, content, steps=40, optimizer=optimizer))
    aim, first, last = (grams(features, stages, Painting(x), ONE) for x in (night, grace, done.pixels))
    assert done.losses[-1].style < 0.3 * done.losses[0].style
    for name in stages:
        assert (last[name] - aim[name]).norm() < 0.7 * (first[name] - aim[name]).norm()


def test_V5_lightness_alone_leaves_the_colours_of_the_content(ready, photo):
    grace = photo("content/grace_hopper.jpg")
    wish = Wish(size=96, steps=8, colour="luminance")
    found = paint(ready.network, grace, [Style(photo("style/starry_night.jpg"))], wish).pixels[None]
    content = pixels(grace, 3, 96)
    torch.testing.assert_close(colour.chrominance(found), colour.chrominance(content), atol=1e-5, rtol=0)
    assert (colour.luminance(found) - colour.luminance(content)).abs().mean() > 0.01


def test_V5_a_painting_is_brought_to_the_colours_of_the_content(photo):
    night, grace = (pixels(photo(name), 3, 128) for name in ("style/starry_night.jpg", "content/grace_hopper.jpg"))
    for found, aim in zip(colour.moments(colour.matched_colours(night, grace)), colour.moments(grace)):
        torch.testing.assert_close(found, aim, atol=1e-4, rtol=0)


def test_V5_paint_goes_where_the_mask_is_white(ready, photo):
    grace = photo("content/grace_hopper.jpg")
    where = torch.zeros(1, *grace.pixels.shape[1:], dtype=torch.uint8)
    where[:, :, : where.shape[2] // 2] = 255
    found = paint(
        ready.network, grace, [Style(photo("style/the_scream.jpg"), onto=Image(where))], Wish(size=96, steps=8)
    ).pixels
    changed = (found - pixels(grace, 3, 96)[0]).abs().mean(dim=(0, 1))
    assert changed[: len(changed) // 2 - 1].min() > 0
    assert changed[len(changed) // 2 + 1 :].max() == 0


def test_V5_strokes_of_one_shapes_of_another(ready, photo):
    """The mixed painting's finest Gram matrix is that of the fine one, and its colours are the coarse one's."""
    night, scream = photo("style/starry_night.jpg"), photo("style/the_scream.jpg")
    stages, content = style_stages(ready.network)
    features = Features(ready.network, [*stages, content], averaging=True)
    at = Scale(features, 96, 96, 0.0, 0)
    coarse, fine = (at.scaled(image, 96) for image in (scream, night))
    mixed = at.with_strokes(coarse, fine, Manner(stages, content, steps=60))
    strokes = grams(features, stages, Painting(colour.matched_colours(fine, coarse).clamp(0, 1)), ONE)
    before, after = (grams(features, stages, Painting(x), ONE) for x in (coarse, mixed))
    assert (after["conv1"] - strokes["conv1"]).norm() < 0.5 * (before["conv1"] - strokes["conv1"]).norm()
    torch.testing.assert_close(colour.moments(mixed)[0], colour.moments(coarse)[0], atol=0.05, rtol=0)


def test_V5_tiles_of_a_large_picture_have_no_seams(ready):
    stages, content = style_stages(ready.network)
    features, x = Features(ready.network, [*stages, content], averaging=True), torch.rand(1, 3, 260, 330)
    whole = features(x)
    found = gathered(features, x, lay(features, 260, 330, 128))
    for name in features.stages:
        torch.testing.assert_close(found[name], whole[name], rtol=1e-4, atol=1e-4 * float(whole[name].abs().max()))
