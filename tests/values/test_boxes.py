import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from legato.errors import DataError
from legato.values import Boxes
from legato.values import boxes as read

NAMES = ("cat", "dog")
WIDTH, HEIGHT = 64, 48
Raw = tuple[list[list[int]], list[int]]  # the type checks draw random numbers, which a strategy must not


@st.composite
def some(draw: st.DrawFn) -> Raw:
    """Corners on whole pixels of a 64 × 48 picture, and labels."""
    corners = []
    for _ in range(draw(st.integers(0, 5))):
        x1, y1 = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
        corners.append([x1, y1, draw(st.integers(x1 + 1, WIDTH)), draw(st.integers(y1 + 1, HEIGHT))])
    return corners, [draw(st.integers(0, 1)) for _ in corners]


def painted(boxes: Boxes) -> torch.Tensor:
    """(n, h, w): which pixels each box covers."""
    maps = torch.zeros(len(boxes), HEIGHT, WIDTH, dtype=torch.bool)
    for one, (x1, y1, x2, y2) in zip(maps, boxes.xyxy.long().tolist()):
        one[max(y1, 0) : y2, max(x1, 0) : x2] = True
    return maps


@settings(deadline=None, max_examples=40)
@given(some())
def test_every_form_of_the_files_there_and_back(raw: Raw) -> None:
    boxes = read.truth(*raw, NAMES)
    labels = boxes.labels.tolist()
    assert read.from_coco(boxes.to_coco(), labels, NAMES) == boxes
    assert read.from_voc(boxes.to_voc(), labels, NAMES) == boxes
    assert read.from_json(json.loads(json.dumps(boxes.to_json())), NAMES) == boxes
    yolo = read.from_yolo(boxes.to_yolo(WIDTH, HEIGHT), labels, NAMES, WIDTH, HEIGHT)
    torch.testing.assert_close(yolo.xyxy, boxes.xyxy, atol=1e-4, rtol=0)


@settings(deadline=None, max_examples=40)
@given(some())
def test_flip_does_what_the_mirror_does_to_the_pixels(raw: Raw) -> None:
    boxes = read.truth(*raw, NAMES)
    assert torch.equal(painted(boxes.flip(WIDTH)), painted(boxes).flip(-1))
    assert boxes.flip(WIDTH).flip(WIDTH) == boxes


@settings(deadline=None, max_examples=40)
@given(some(), st.integers(0, 30), st.integers(0, 20))
def test_crop_does_what_the_window_does_to_the_pixels(raw: Raw, left: int, top: int) -> None:
    boxes = read.truth(*raw, NAMES)
    cut = boxes.crop(left, top, 30, 25)
    window = painted(boxes)[:, top : top + 25, left : left + 30]
    seen = window[window.flatten(1).any(dim=1)]
    assert torch.equal(painted(cut)[:, :25, :30], seen)
    torch.testing.assert_close(cut.area, seen.flatten(1).sum(1).float())


@settings(deadline=None, max_examples=40)
@given(some())
def test_a_quarter_turn_does_what_it_does_to_the_pixels(raw: Raw) -> None:
    boxes = read.truth(*raw, NAMES)
    turned = boxes.rotate(90, WIDTH, HEIGHT)
    offset = (WIDTH - HEIGHT) / 2  # the turned picture is 48 wide and 64 high, about the same middle
    on_its_own = boxes.moved(turned.xyxy - torch.tensor([offset, -offset, offset, -offset]))
    expected = painted(boxes).rot90(1, (1, 2))
    for (x1, y1, x2, y2), pixels in zip(on_its_own.xyxy.round().long().tolist(), expected):
        assert pixels[y1:y2, x1:x2].all()
        assert pixels.sum() == (y2 - y1) * (x2 - x1)


def test_forms_by_hand() -> None:
    whole = read.truth([[0, 0, 640, 480]], [0], NAMES)
    assert whole.to_voc() == [[1, 1, 640, 480]]
    assert whole.to_coco() == [[0.0, 0.0, 640.0, 480.0]]
    assert whole.to_yolo(640, 480) == [[0.5, 0.5, 1.0, 1.0]]


def test_what_is_hardly_visible_goes() -> None:
    boxes = read.truth([[0, 0, 10, 10], [8, 0, 18, 10]], [0, 1], NAMES)
    assert boxes.crop(0, 0, 10, 10, visible=0.3).labels.tolist() == [0]
    assert boxes.crop(0, 0, 10, 10, visible=0.1).labels.tolist() == [0, 1]
    assert str(boxes) == "1 cat, 1 dog"


def test_no_boxes_at_all() -> None:
    none = read.truth([], [], NAMES)
    assert len(none) == 0
    assert none.flip(10).rotate(30, 10, 10).crop(0, 0, 5, 5).to_json() == []
    assert read.from_json([], NAMES) == none


def test_a_label_that_is_no_name_is_said() -> None:
    with pytest.raises(DataError, match="did you mean cat"):
        read.from_json([{"label": "cats", "score": 1, "box": [0, 0, 1, 1]}], NAMES)


def test_points_in_boxes() -> None:
    boxes = read.truth([[0, 0, 10, 10], [5, 5, 20, 20]], [0, 0], NAMES)
    assert read.inside(torch.tensor([[1.0, 1.0], [7.0, 7.0], [30.0, 1.0]]), boxes).tolist() == [
        [True, False],
        [True, True],
        [False, False],
    ]
