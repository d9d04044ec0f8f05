"""Variations against scipy, numpy and the papers' formulas; a picture's are its own, whatever batch it is in."""

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from legato.data import augment
from legato.data.augment import (
    Augmentation,
    colour_axes,
    displacements,
    matrix,
    middle,
    mix,
    mixup,
    parse,
    rectangle,
    sampled,
    source,
)
from legato.draws import Draws
from legato.errors import UsageError

SPECS = [
    "flip,shift4",
    "crop,flip",
    "affine,rotate15",
    "elastic",
    "zoom,flip",
    "cutout5",
    "colour",
    "crop,flip,rotate10,elastic,colour,cutout8",
]


def draws(count: int, epoch: int = 0) -> Draws:
    return Draws((0, "augment", epoch), range(count))


def noise(count: int, channels: int = 3, height: int = 16, width: int | None = None) -> torch.Tensor:
    rng = np.random.default_rng(count)
    return torch.from_numpy(rng.integers(0, 256, (count, channels, height, width or height), np.uint8))


def test_a_spec_is_names_and_numbers():
    assert parse("flip,shift4,rotate7.5") == Augmentation(flip=50, shift=4, rotate=7.5)
    assert parse("cifar") == parse("shift4, flip")
    assert parse("") == parse("none") == Augmentation()
    assert parse("mixup").mixup == 0.2
    assert parse("alexnet").load_size(224) == 256, "Krizhevsky et al. 2012, section 4.1"
    assert parse("flip").load_size(224) == 224
    with pytest.raises(UsageError, match="did you mean rotate"):
        parse("flip,rotat15")
    with pytest.raises(UsageError, match="take one"):
        parse("crop,zoom")


@pytest.mark.parametrize("spec", SPECS)
def test_a_batch_equals_its_pictures_one_by_one(spec):
    how = parse(spec)
    images, axes = noise(6, height=how.load_size(16)), torch.eye(3) * 0.3
    together = how.apply(images, draws(6), 16, axes)
    alone = [how.apply(images[i : i + 1], Draws((0, "augment", 0), [i]), 16, axes) for i in range(6)]
    assert together.shape == (6, 3, 16, 16)
    assert together.dtype == torch.float32
    assert together.min() >= 0
    assert together.max() <= 1 + 1e-6
    assert torch.allclose(together, torch.cat(alone), atol=1e-6)
    assert not torch.equal(together, how.apply(images, draws(6, epoch=1), 16, axes))
    if not how.colour:
        assert torch.allclose(together, how.apply(images.float() / 255, draws(6), 16), atol=1e-6)


def test_nothing_is_the_middle_of_the_picture():
    images = noise(3, height=20)
    assert torch.equal(Augmentation().apply(images, draws(3), 16), images[:, :, 2:18, 2:18] / 255)
    assert torch.equal(middle(images, 16), images[:, :, 2:18, 2:18] / 255)


def test_shift_and_flip_take_whole_pixels_of_the_padded_picture():
    images = noise(400, 1, 6)
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2))) / np.float32(255)
    found, seen = parse("shift2,flip").apply(images, draws(400), 6).numpy(), set()
    for k in range(400):
        windows = {(y, x): padded[k, :, y : y + 6, x : x + 6] for y in range(5) for x in range(5)}
        both = {(*at, flip): w[..., ::-1] if flip else w for at, w in windows.items() for flip in (0, 1)}
        match = [at for at, window in both.items() if np.array_equal(window, found[k])]
        assert match
        seen.update(match)
    assert len(seen) == 50, "all places, mirrored or not"


@pytest.mark.parametrize("spec", ["updown", "updown,rotate0.001"])
def test_top_and_bottom_change_places_in_half_of_the_pictures(spec: str):
    images = torch.rand(200, 1, 6, 6)
    found = parse(spec).apply(images, draws(200), 6)
    turned = (found - images.flip(-2)).abs().amax((1, 2, 3)) < 1e-3
    same = (found - images).abs().amax((1, 2, 3)) < 1e-3
    assert (turned ^ same).all()
    assert 70 < turned.sum() < 130


@pytest.mark.parametrize("spec", ["flip,shift3", "crop,flip", "crop,shift2"])
def test_sampling_whole_pixels_gives_those_pixels(spec):
    how = parse(spec)
    images = noise(9, height=how.load_size(21))
    assert torch.allclose(sampled(how, images, draws(9), 21), how.apply(images, draws(9), 21), atol=2e-5)


@pytest.mark.parametrize(
    "spec", ["rotate40", "scale30,squeeze20", "shear40", "shift3,rotate20,shear10,flip", "zoom", "affine"]
)
def test_sampling_equals_scipys_affine_transform(spec):
    how, size = parse(spec), 15
    images = noise(5, 2, how.load_size(size), how.load_size(size) + 3)
    height, width = images.shape[2:]
    found = how.apply(images, draws(5), size).numpy()
    M, t = source(how, draws(5), height, width, size)
    for k in range(5):
        A, shift = M[k].double().numpy()[::-1, ::-1], t[k].double().numpy()[::-1]  # scipy has y before x
        offset = np.array([height - 1, width - 1]) / 2 + shift - A @ np.full(2, (size - 1) / 2)
        for c in range(2):
            expected = ndimage.affine_transform(
                images[k, c].double().numpy() / 255, A, offset, (size, size), order=1, mode="grid-constant"
            )
            assert np.abs(found[k, c] - expected).max() < 1e-4


def test_the_matrix_is_turn_times_shear_times_stretch():
    how, d = parse("rotate30,scale20,squeeze10,shear15,flip"), draws(50)
    unit = {name: 2 * d.uniform(name).double().numpy() - 1 for name in ("rotate", "scale", "squeeze", "shear")}
    for k, found in enumerate(matrix(how, d).numpy()):
        angle = np.radians(30) * unit["rotate"][k]
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shear = np.array([[1, 0.15 * unit["shear"][k]], [0, 1]])
        s, q = 1 + 0.2 * unit["scale"][k], 1 + 0.1 * unit["squeeze"][k]
        mirror = -1 if d.uniform("flip")[k] < 0.5 else 1
        assert np.allclose(found, turn @ shear @ np.diag([mirror / (s * q), q / s]), atol=1e-6)


def test_a_zoom_is_a_rectangle_inside_of_the_promised_area_and_aspect():
    sides, off = rectangle(0.08, draws(2000), 60, 60)
    area, aspect = sides.prod(1) / 3600, sides[:, 0] / sides[:, 1]
    assert area.min() > 0.07
    assert area.min() < 0.1
    assert area.max() > 0.95
    assert 0.74 < aspect.min() < 0.76
    assert 1.32 < aspect.max() < 1.34
    assert ((off.abs() + sides / 2) <= 30 + 1e-4).all()


def test_the_elastic_field_has_simards_deviation_and_smoothness():
    field = displacements(34, draws(600), 29).numpy()
    pixels = np.random.default_rng(0).uniform(-1, 1, (40, 128, 128))
    simard = 34 * np.stack([ndimage.gaussian_filter(p, 4, mode="wrap") for p in pixels])
    assert field.std() == pytest.approx(simard.std(), rel=0.05)
    for lag in (2, 4, 8):
        ours = (field[:, :, lag:] * field[:, :, :-lag]).mean() / field.var()
        theirs = (simard[:, :, lag:] * simard[:, :, :-lag]).mean() / simard.var()
        assert ours == pytest.approx(theirs, abs=0.06)
    assert abs(np.corrcoef(field[..., 0].ravel(), field[..., 1].ravel())[0, 1]) < 0.05


def test_elastic_moves_pixels_by_the_field():
    images = noise(2, 1, 29)
    found = parse("elastic34").apply(images, draws(2), 29).numpy()
    field = displacements(34, draws(2), 29).double().numpy()
    y, x = np.mgrid[:29, :29]
    for k in range(2):
        at = [y + field[k, ..., 1], x + field[k, ..., 0]]
        expected = ndimage.map_coordinates(images[k, 0].double().numpy() / 255, at, order=1, mode="grid-constant")
        assert np.abs(found[k, 0] - expected).max() < 1e-4


def test_colours_move_along_the_principal_axes():
    base = noise(40, 1, 8).float().repeat(1, 3, 1, 1)
    images = (base * torch.tensor([1, 0.6, 0.2]).view(3, 1, 1)).byte()
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3).double().numpy() / 255
    values, vectors = np.linalg.eigh(np.cov(pixels.T))
    axes = colour_axes(images)
    assert np.allclose(np.abs(axes.numpy()), np.abs(vectors * values), atol=1e-4)
    grey = torch.full((4000, 3, 2, 2), 128, dtype=torch.uint8)
    moved = parse("colour").apply(grey, draws(4000), 2, axes) - 128 / 255
    assert torch.equal(moved, moved[:, :, :1, :1].expand_as(moved)), "a picture moves as a whole"
    along = moved[:, :, 0, 0].double().numpy() @ vectors
    assert along.std(0)[2] == pytest.approx(0.1 * values[2], rel=0.05), "α has a standard deviation of 0.1"
    with pytest.raises(ValueError, match="colour_axes"):
        parse("colour").apply(grey, draws(4000), 2)


def test_light_changes_contrast_around_the_mean_and_brightness():
    images = torch.randint(80, 170, (300, 3, 6, 6), dtype=torch.uint8)  # so that nothing is cut off
    found, plain = parse("light20").apply(images, draws(300), 6), images / 255
    brighter = found.mean((1, 2, 3)) / plain.mean((1, 2, 3))
    steeper = found.std((1, 2, 3)) / plain.std((1, 2, 3))
    for factor in (brighter, steeper):
        assert 0.8 <= factor.min() < 0.82
        assert 1.18 < factor.max() <= 1.2
    assert abs(torch.corrcoef(torch.stack([brighter, steeper]))[0, 1]) < 0.2
    torch.testing.assert_close(
        (found - found.mean((1, 2, 3), keepdim=True)) / steeper[:, None, None, None],
        plain - plain.mean((1, 2, 3), keepdim=True),
    )


def test_cutout_is_a_square_of_the_pictures_mean():
    images = noise(200, 3, 16)
    found, plain = parse("cutout5").apply(images, draws(200), 16), images / 255
    changed = (found != plain).any(1)
    areas = changed.sum((1, 2))
    assert areas.max() == 25
    assert areas.min() < 25, "cut at the edges"
    assert areas.min() >= 9
    for k in range(200):
        rows, columns = changed[k].any(1).nonzero().flatten(), changed[k].any(0).nonzero().flatten()
        assert len(rows) * len(columns) == areas[k], "a rectangle"
        inside = found[k][:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert torch.allclose(inside, plain[k].mean((1, 2))[:, None, None].expand_as(inside), atol=1e-6)


def test_mixup_weights_are_beta_and_partners_are_drawn():
    partners, weights = mixup(draws(5000), 100, 0.4)
    assert stats.kstest(weights.numpy(), stats.beta(0.4, 0.4).cdf).pvalue > 1e-3
    assert sorted(set(partners.tolist())) == list(range(100))
    alone = [mixup(Draws((0, "augment", 0), [i]), 100, 0.4) for i in range(20)]
    assert torch.equal(torch.cat([p for p, _ in alone]), partners[:20])
    assert torch.equal(torch.cat([w for _, w in alone]), weights[:20])


def test_mix_is_a_weighted_mean_of_each_example():
    a, b = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    mixed = mix(a, b, torch.tensor([0.25, 1.0]))
    assert torch.allclose(mixed[0], 0.25 * a[0] + 0.75 * b[0])
    assert torch.equal(mixed[1], a[1])
    assert torch.equal(mix(torch.eye(2), torch.eye(2).flip(0), torch.tensor([0.3, 0.3])).sum(1), torch.ones(2))


def test_channels_last_and_too_small_pictures():
    how, images = parse("cifar"), noise(8)
    lasting = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(how.apply(images, draws(8), 16), how.apply(lasting, draws(8), 16))
    with pytest.raises(ValueError, match="load_size"):
        how.apply(images, draws(8), 20)


def test_every_name_has_a_usual_number():
    assert set(augment.USUAL) == set(Augmentation.__dataclass_fields__)
    assert all(parse(recipe) for recipe in augment.RECIPES)
