"""Errors are told apart by what they are, worst first; curves say the area under them."""

import torch

from legato.layers.regions.objects import Detections, Truth, none_outlined
from legato.metrics.detection import tally
from legato.reports.detection import caption, crop, errors, precision_recall

NAMES = ("cat", "dog")


def boxes(*corners: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)


TRUTH = Truth(
    boxes((0, 0, 10, 10), (20, 20, 40, 40), (50, 0, 60, 10), (70, 70, 90, 90)),
    torch.tensor([0, 1, 1, 0]),
    torch.tensor([True, True, True, False]),
    none_outlined(),
)
FOUND = Detections(
    boxes((0, 0, 10, 10), (20, 20, 40, 40), (80, 0, 90, 9), (70, 70, 90, 90), (0, 50, 9, 60)),
    torch.tensor([0, 0, 1, 0, 1]),
    torch.tensor([0.9, 0.8, 0.7, 0.6, 0.2]),
    none_outlined(),
)


def test_each_error_is_told_once():
    found = errors([FOUND], [TRUTH], NAMES)
    assert [(e.kind, e.true, e.said) for e in found] == [
        ("missed", "dog", ""),  # at (50, 0); the other dog was taken for a cat, and the unsure cat does not count
        ("confused", "dog", "cat"),
        ("ghost", "", "dog"),  # the box below the threshold is not told, and so not wrong
    ]
    assert found[0].box == (50, 0, 60, 10)
    assert [caption(e) for e in found] == ["dog missed", "dog taken for cat (80%)", "dog where none is (70%)"]


def test_a_crop_shows_the_surroundings_within_the_picture():
    pixels = torch.zeros(3, 64, 64, dtype=torch.uint8)
    assert crop(pixels, errors([FOUND], [TRUTH], NAMES)[0]).shape == (3, 16, 19)


def test_curves_are_named_with_their_area():
    table = tally([FOUND], [TRUTH], [0], 1, 2)
    curves = precision_recall(table, NAMES)
    assert list(curves) == ["dog 0.00", "cat 1.00"]
    assert curves["cat 1.00"] == ([0, 1, 1, 1], [1, 1, 0.5, 0.5])  # one cat, found first; the third hits the unsure one
