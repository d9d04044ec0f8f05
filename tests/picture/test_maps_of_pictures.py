"""Several maps of one picture share a scale; very many stand in rows; both show the numbers they are given."""

import sys

import numpy as np
import torch

from legato import picture
from legato.picture.mosaic import assembled
from legato.picture.panels import panels


def test_maps_of_one_picture_share_their_scale(monkeypatch):
    largest = []
    spy = lambda image, values, signed, most: largest.append(most) or picture.pixels(image)
    monkeypatch.setattr(sys.modules["legato.picture.panels"], "overlay", spy)
    image = torch.rand(3, 20, 30)
    panels(image, [("a", torch.full((4, 6), 0.5)), ("dog", torch.full((2, 3), 2.0)), ("runs", torch.zeros(5, 5))])
    assert largest == [2.0, 2.0, 2.0]


def test_a_map_is_laid_over_where_it_is_large():
    heat = torch.zeros(8, 8)
    heat[1, 6] = 1.0  # above, at the right
    drawn = np.asarray(panels(torch.full((3, 64, 64), 0.5), [("word", heat)], "Where it looked", "attention"))
    right = drawn[:, drawn.shape[1] // 2 : -drawn.shape[1] // 5].astype(int)
    colourful = right.max(-1) - right.min(-1) > 80
    rows, columns = colourful.nonzero()
    assert len(rows) > 50
    assert rows.mean() < 0.5 * right.shape[0]
    assert columns.mean() > 0.5 * right.shape[1]


def test_many_words_fill_rows_and_grow_the_page():
    image, maps = torch.rand(3, 20, 30), [(f"word {k}", torch.rand(4, 6)) for k in range(11)]
    few, many = panels(image, maps[:3]), panels(image, maps)
    assert many.height > few.height


def test_tiles_stand_in_rows_with_gaps():
    tiles = torch.arange(5.0)[:, None, None].expand(5, 2, 3)
    page = assembled(tiles, columns=3, gap=1)
    assert page.shape == (2 * 3 - 1, 3 * 4 - 1)
    assert page[0, 0] == 0
    assert page[0, 4] == 1
    assert page[4, 4] == 4
    assert page[4, 9].isnan()  # the last row ends early
    assert page[2].isnan().all()


def test_the_same_maps_give_the_same_bytes():
    tiles = torch.rand(12, 5, 5, generator=torch.Generator().manual_seed(0)) - 0.5
    first, second = (picture.mosaic(tiles, "all", "weight", signed=True) for _ in range(2))
    assert first.tobytes() == second.tobytes()
