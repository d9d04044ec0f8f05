"""Pictures show what they are given, look the same everywhere, and cannot be broken by odd names or numbers."""

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import nan
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as pil

from legato import picture
from legato.picture.maps import two_hues
from legato.picture.plots import spread
from legato.picture.sheets import GAP, LETTERS, TILE, columns_for, cut
from legato.picture.style import font, number, percent, png
from legato.values import Image


class Stage(NamedTuple):
    name: str
    shape: tuple[int, ...]
    params: int = 0


def array(drawn: pil.Image) -> np.ndarray:
    return np.asarray(drawn.convert("RGB"))


def has_colour(drawn: pil.Image, colour: str) -> bool:
    wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    return bool((array(drawn) == wanted).all(-1).any())


# pixels and files
def test_pixels_are_those_of_the_image():
    colour = torch.randint(256, (3, 5, 7), dtype=torch.uint8)
    assert (array(picture.pixels(Image(colour))) == colour.permute(1, 2, 0).numpy()).all()
    grey = torch.tensor([[-1.0, 0.0, 0.5, 1.0, 2.0, nan]])
    assert array(picture.pixels(grey))[0, :, 0].tolist() == [0, 0, 128, 255, 255, 0]
    assert picture.pixels(torch.zeros(2, 4, 4)).mode == "RGB"


def test_saved_picture_is_a_png_of_the_same_pixels(tmp_path):
    drawn = picture.bars(["a", "b"], [1, 2])
    file = picture.save(drawn, tmp_path / "new" / "folder" / "bars.png")
    with pil.open(file) as found:
        assert found.format == "PNG"
        assert (array(found) == array(drawn)).all()


# sheets
def test_small_images_are_enlarged_by_whole_factors():
    small = torch.randint(256, (1, 28, 28), dtype=torch.uint8)
    factor = TILE // 28
    shown = array(picture.sheet([(small, "")]))[GAP : GAP + 28 * factor, GAP : GAP + 28 * factor, 0]
    assert (shown == small[0].numpy().repeat(factor, 0).repeat(factor, 1)).all()


def test_large_images_are_reduced_to_a_tile():
    assert picture.sheet([(torch.rand(3, 400, 800), "")]).size == (TILE + 2 * GAP, TILE // 2 + 2 * GAP)


@given(st.text(max_size=60), st.integers(40, 300))
def test_captions_never_leave_their_tile(text, width):
    text = text.replace("\n", " ")
    assert font(LETTERS).getlength(cut(text, width)) <= width or cut(text, width) in ("…", "")


def test_a_short_caption_stays_whole_and_a_long_one_ends_in_an_ellipsis():
    assert cut("7 → 1", 200) == "7 → 1"
    assert cut("a very long name of a class", 100).endswith("…")


def test_frames_mark_the_tiles_they_are_given_to():
    tiles = [(torch.zeros(1, 8, 8), "")] * 2
    assert has_colour(picture.sheet(tiles, frames=["", picture.VERMILLION]), picture.VERMILLION)
    assert not has_colour(picture.sheet(tiles, frames=["", ""]), picture.VERMILLION)


def test_a_sheet_of_nothing_is_blank_but_for_its_title():
    assert picture.sheet([]).size[0] > 0


@pytest.mark.parametrize(("count", "columns"), [(1, 2), (6, 6), (64, 16), (96, 16), (97, 13)])
def test_sheets_have_full_rows_where_they_can(count, columns):
    assert columns_for(count) == columns


def test_V2_filters_show_zero_as_mid_grey_and_use_the_whole_range():
    weights = torch.zeros(2, 1, 2, 2)
    weights[0, 0, 0, 0], weights[1, 0, 1, 1] = 3.0, -0.1
    shown = array(picture.filters(weights))[..., 0]
    half = TILE // 2 // 2
    first, second = shown[GAP:, GAP:], shown[GAP:, GAP + TILE + GAP :]
    assert (first[half, half], first[half, 3 * half]) == (255, 128)
    assert (second[half, half], second[3 * half, 3 * half]) == (128, 0)


@pytest.mark.parametrize("shape", [(96, 3, 11, 11), (6, 1, 5, 5), (16, 6, 5, 5), (512, 512, 3, 3), (10, 1, 28, 28)])
def test_V2_filters_of_any_layer_can_be_shown(shape):
    drawn = picture.filters(torch.randn(shape))
    assert max(drawn.size) < 6000


# matrices
def test_the_colours_of_a_confusion_matrix():
    share = torch.tensor([[0.9, 0.1, 0.0], [0.02, 0.98, 0.0], [0.0, 0.0, 1.0]])
    red, blue = two_hues(share)[..., 0], two_hues(share)[..., 2]
    assert (np.diag(blue) > np.diag(red)).all()  # agreement is blue
    assert red[0, 1] > blue[0, 1]  # confusion is orange
    assert blue[0, 1] < blue[1, 0]  # more of it is darker
    assert red[2, 0] == blue[2, 0]  # none is neutral


@pytest.mark.parametrize("classes", [1, 2, 20, 21, 300])
def test_a_matrix_of_any_size(classes):
    counts = torch.randint(30, (classes, classes))
    names = [f"class {k}" for k in range(classes)]
    assert picture.matrix(counts, names, names, "Confusion").size[0] >= 700


def test_a_matrix_without_examples_can_be_drawn():
    picture.matrix(torch.zeros(3, 3, dtype=torch.int64), list("abc"), list("abc"))
    picture.matrix(torch.zeros(30, 30), ["x"] * 30, ["x"] * 30)


def test_overlay_leaves_an_image_without_heat_as_grey_as_it_is():
    image = torch.rand(3, 20, 30)
    grey = array(picture.pixels(image).convert("L"))
    assert (array(picture.overlay(image, torch.zeros(5, 5))) == grey).all()
    hot = torch.zeros(4, 6)
    hot[:, 3:] = 1.0
    changed = (array(picture.overlay(image, hot)) != grey).any(-1)
    assert not changed[:, :10].any()
    assert changed[:, 20:].all()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("image", [None, torch.rand(1, 28, 28)])
def test_heat_of_constant_and_batched_maps(signed, image):
    for values in (torch.zeros(7, 7), torch.full((1, 3, 40), 2.0)):
        assert picture.heat(values, image, "title", "unit", signed).size[0] > 0


# plots
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_labels_are_spread_in_order_and_apart(wanted):
    places = spread(wanted, 0.1)
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    gaps = [places[b] - places[a] for a, b in pairwise(order)]
    assert all(gap >= 0.1 - 1e-9 for gap in gaps)
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in places)


def test_labels_that_do_not_collide_stay():
    assert spread([0.5, 0.1, 0.9], 0.1) == [0.5, 0.1, 0.9]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    "series",
    [
        {},
        {"": ([1], [0.5])},
        {"loss": ([1, 2, 3], [1.0, nan, 0.01]), "valid": ([1, 2], [nan, nan])},
        {f"line {k}": (range(100), [k + 1.0] * 100) for k in range(9)},
        {"constant": ([1, 2], [0.0, 0.0])},
    ],
)
def test_curves_of_any_kind(series, log):
    picture.curves(series, "epoch", "loss", "Loss", log, {"best": (1, 0.5)})


def test_bars_and_profiles_of_odd_numbers():
    picture.bars(["a", "b", "c", "d"], [0, -2.5, nan, 1e9], "title", "unit")
    picture.profile(["conv1"], {"mean": [0.0], "norm": [nan]}, log=["norm"])
    picture.profile(["a", "b"], {"norm": [0.0, 1e-7]}, log=["norm"])
    picture.scatter({"x": ([], []), "y": ([1.0], [1.0])}, "true", "predicted")


def test_reliability_of_nothing_and_of_certainty():
    picture.reliability(torch.zeros(3, 15, dtype=torch.float64))
    sure = torch.zeros(3, 15)
    sure[:, -1] = 10
    picture.reliability(sure, "Calibration")


# cards and diagrams
def test_F17_a_card_is_green_where_right_and_vermillion_where_wrong():
    scores, image = [("cat", 0.9), ("dog", 0.1)], torch.rand(3, 20, 20)
    right, wrong = picture.card(image, scores, "cat"), picture.card(image, scores, "dog")
    assert has_colour(right, picture.GREEN)
    assert not has_colour(right, picture.VERMILLION)
    assert has_colour(wrong, picture.GREEN)
    assert has_colour(wrong, picture.VERMILLION)
    assert has_colour(picture.card(image, scores), picture.BLUE)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.871, "87 %"), (0.0, "0 %"), (1.0, "100 %"), (0.0004, "< 0.1 %"), (0.99996, "> 99.9 %"), (0.014, "1.4 %")],
)
def test_percentages(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"), [(61706, "61,706"), (0.01234, "0.0123"), (4.1e-6, "4.1e-06"), (3.0, "3"), (0, "0")]
)
def test_numbers(value, text):
    assert number(value) == text


def test_a_diagram_is_blue_where_something_is_learnt():
    pool, conv = Stage("pool", (6, 14, 14)), Stage("conv", (6, 28, 28), 156)
    for rows in ([pool], [conv], [pool, conv] * 12, [Stage("states", (35, 128), 7), Stage("", ())]):
        picture.stage_diagram(rows, "LeNet-5")
    learnt, not_learnt = (
        array(picture.stage_diagram([conv])).astype(int),
        array(picture.stage_diagram([pool])).astype(int),
    )
    assert (learnt[..., 2] - learnt[..., 0]).max() > 100
    assert (not_learnt[..., 2] - not_learnt[..., 0]).max() < 10


# everywhere the same
def test_names_that_mean_something_to_matplotlib_or_that_the_font_lacks():
    odd = ["$5", "a_b^{", "<b>", "猫", "\\frac", "", "_hidden", "a" * 300]
    picture.bars(odd, range(8), odd[0])
    picture.matrix(torch.eye(8), odd, odd, odd[1])
    picture.curves({name: ([1, 2], [0.1, 0.2]) for name in odd}, odd[0], odd[1], odd[2])
    picture.sheet([(torch.zeros(1, 4, 4), name) for name in odd], title=odd[3])
    picture.card(torch.zeros(1, 4, 4), [(name, 0.1) for name in odd], odd[0])


SCRIPT = """
import hashlib, sys
from legato import picture
assert not {"matplotlib", "PIL"} & sys.modules.keys(), "loaded before anything is drawn"
from legato.picture.style import png
drawn = picture.curves({"loss": ([1, 2, 3], [1.0, 0.5, 0.1])}, "epoch", "nats", "Loss", marks={"best": (3, 0.1)})
assert "matplotlib.pyplot" not in sys.modules
print(hashlib.sha256(png(drawn)).hexdigest())
"""


def test_the_same_bytes_whatever_the_users_settings_and_nothing_loaded_early(tmp_path):
    (tmp_path / "matplotlibrc").write_text("font.size: 30\naxes.facecolor: black\nlines.linewidth: 9\nbackend: svg\n")
    drawn = picture.curves({"loss": ([1, 2, 3], [1.0, 0.5, 0.1])}, "epoch", "nats", "Loss", marks={"best": (3, 0.1)})
    environment = os.environ | {"MPLCONFIGDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == hashlib.sha256(png(drawn)).hexdigest()


def test_settings_of_matplotlib_are_left_as_they_were():
    import matplotlib

    with matplotlib.rc_context({"font.size": 31}):
        before = dict(matplotlib.rcParams)
        picture.bars(["a"], [1])
        assert dict(matplotlib.rcParams) == before


def test_threads_draw_what_one_draws():
    alone = [png(picture.bars([str(k)], [k])) for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda k: png(picture.bars([str(k)], [k])), range(4)))
    assert alone == together
