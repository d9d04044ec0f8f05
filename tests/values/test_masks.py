import json
import math

import numpy as np
import pytest
import torch
from faster_coco_eval import mask as oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from legato.errors import DataError
from legato.values import masks as m


@st.composite
def some_bitmap(draw: st.DrawFn) -> torch.Tensor:
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    row = st.lists(st.booleans(), min_size=width, max_size=width)
    return torch.tensor(draw(st.lists(row, min_size=height, max_size=height)))


@settings(deadline=None, max_examples=80)
@given(some_bitmap())
def test_runs_and_outlines_there_and_back(bitmap: torch.Tensor) -> None:
    h, w = bitmap.shape
    counts = m.to_runs(bitmap)
    assert torch.equal(m.from_runs(counts, h, w), bitmap)
    assert m.unpack_runs(m.pack_runs(counts)) == counts
    assert torch.equal(m.from_polygons(m.to_polygons(bitmap), h, w), bitmap)


@settings(deadline=None, max_examples=40)
@given(some_bitmap())
def test_runs_are_those_of_the_coco_tools(bitmap: torch.Tensor) -> None:
    theirs = oracle.encode(np.asfortranarray(bitmap.numpy().astype(np.uint8)))
    packed = theirs["counts"] if isinstance(theirs["counts"], str) else theirs["counts"].decode()
    assert m.pack_runs(m.to_runs(bitmap)) == packed
    assert m.unpack_runs(packed) == m.to_runs(bitmap)


def test_a_long_run_needs_several_letters() -> None:
    counts = [0, 100_000, 7, 100_000, 3, 50]
    assert m.unpack_runs(m.pack_runs(counts)) == counts


def test_a_square_with_a_hole() -> None:
    bitmap = torch.zeros(6, 6, dtype=torch.bool)
    bitmap[1:5, 1:5] = True
    bitmap[2:4, 2:4] = False
    outer, hole = m.to_polygons(bitmap)
    assert sorted(zip(outer[::2], outer[1::2])) == [(1, 1), (1, 5), (5, 1), (5, 5)]
    assert sorted(zip(hole[::2], hole[1::2])) == [(2, 2), (2, 4), (4, 2), (4, 4)]


def test_a_disc_has_the_area_of_a_disc() -> None:
    angles = np.linspace(0, 2 * math.pi, 400, endpoint=False)
    outline = np.stack([50.3 + 40 * np.cos(angles), 49.8 + 40 * np.sin(angles)], axis=1).flatten().tolist()
    assert m.from_polygons([outline], 100, 100).sum().item() == pytest.approx(math.pi * 1600, rel=0.002)


def test_instances_move_with_their_picture() -> None:
    ids = torch.zeros(20, 30, dtype=torch.int64)
    ids[2:8, 3:9], ids[10:15, 20:30] = 1, 2
    masks = m.from_ids(ids, 0, ("cell",))
    assert masks.boxes.xyxy.tolist() == [[3, 2, 9, 8], [20, 10, 30, 15]]
    assert masks.flip().boxes.xyxy.tolist() == [[21, 2, 27, 8], [0, 10, 10, 15]]
    assert masks.flip().flip() == masks
    assert masks.crop(0, 0, 15, 15).boxes.xyxy.tolist() == [[3, 2, 9, 8]]
    assert masks.crop(2, 1, 10, 10).bitmaps.sum().item() == 36
    assert masks.resize(40, 60).bitmaps.sum().item() == 4 * masks.bitmaps.sum().item()
    assert json.loads(json.dumps(masks.to_json()))[1]["segmentation"]["size"] == [20, 30]


def test_boxes_hold_what_was_turned() -> None:
    ids = torch.zeros(40, 40, dtype=torch.int64)
    ids[5:12, 8:20], ids[0:2, 0:2] = 1, 2
    masks = m.from_ids(ids, 0, ("cell",))
    quarter = masks.rotate(90)
    assert torch.equal(quarter.bitmaps, masks.bitmaps.rot90(1, (1, 2)))
    assert quarter.boxes.xyxy.tolist() == [[5, 20, 12, 32], [0, 38, 2, 40]]
    for degrees in (20, 45, 70):
        turned = masks.rotate(degrees)
        assert len(turned) == 1  # the one in the corner has left the picture
        x1, y1, x2, y2 = m.around(turned.bitmaps[0])
        a, b, c, d = turned.boxes.xyxy[0].tolist()
        assert max(a - x1, b - y1, x2 - c, y2 - d) <= 1
        assert turned.bitmaps.sum().item() == pytest.approx(7 * 12, rel=0.1)


def test_errors_say_what() -> None:
    with pytest.raises(DataError, match="do not fill"):
        m.from_runs([3, 4], 2, 2)
    with pytest.raises(DataError, match="without a pixel"):
        m.around(torch.zeros(3, 3, dtype=torch.bool))
