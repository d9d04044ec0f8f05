"""The card of a tricked network: the difference is shown as it is, and the colours say what was wanted."""

import numpy as np
import torch

from legato.picture.style import BLUE, VERMILLION
from legato.picture.tricked import magnified, tricked

BEFORE, AFTER = [("cat", 0.7), ("dog", 0.2)], [("toaster", 0.98), ("cat", 0.01)]


def colours(picture) -> set[tuple[int, ...]]:
    return {tuple(c) for c in np.asarray(picture).reshape(-1, 3)[::3].tolist()}


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def test_the_difference_is_magnified_by_a_whole_number_about_grey():
    before = torch.full((3, 4, 4), 100, dtype=torch.uint8)
    after = before.clone()
    after[0, 0, 0], after[1, 1, 1] = 104, 96
    shown, times = magnified(before, after)
    assert times == 31  # 31 · 4/255 fits into ½, 32 · 4/255 does not
    pixels = np.asarray(shown).astype(float) / 255
    assert abs(pixels[0, 0, 0] - (0.5 + 31 * 4 / 255)) < 1 / 255
    assert abs(pixels[1, 1, 1] - (0.5 - 31 * 4 / 255)) < 1 / 255
    assert abs(pixels[3, 3] - 0.5).max() < 1 / 255
    assert magnified(before, before)[1] == 0


def test_the_card_shows_both_answers_the_wanted_one_in_its_colour():
    before = torch.randint(256, (3, 16, 16), dtype=torch.uint8)
    card = tricked(before, before, BEFORE, AFTER, "toaster", "cat → toaster", "pgd")
    assert card.width > card.height
    assert {rgb(BLUE), rgb(VERMILLION)} <= colours(card)
    assert rgb(VERMILLION) not in colours(tricked(before, before, BEFORE, BEFORE, "toaster"))


def test_grey_pictures_have_one_too():
    grey = torch.zeros(1, 28, 28, dtype=torch.uint8)
    assert tricked(grey, grey + 9, [("7", 1.0)], [("3", 0.6), ("7", 0.4)]).mode == "RGB"
