import json

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from legato.values import VOID, LabelMap
from legato.values.labelmap import from_json

NAMES = ("sky", "road", "car")


@st.composite
def some(draw: st.DrawFn) -> list[list[int]]:
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    row = st.lists(st.sampled_from([0, 1, 2, VOID]), min_size=width, max_size=width)
    return draw(st.lists(row, min_size=height, max_size=height))


@settings(deadline=None, max_examples=50)
@given(some())
def test_there_and_back(rows: list[list[int]]) -> None:
    labels = LabelMap(torch.tensor(rows, dtype=torch.uint8), NAMES)
    assert from_json(json.loads(json.dumps(labels.to_json()))) == labels
    assert labels.flip().flip() == labels
    h, w = labels.labels.shape
    assert labels.resize(3 * h, 3 * w).resize(h, w) == labels
    assert labels.crop(-2, -1, w + 5, h + 4).crop(2, 1, w, h) == labels


def test_beside_the_picture_nothing_is_known() -> None:
    labels = LabelMap(torch.zeros(2, 3, dtype=torch.uint8), NAMES)
    assert labels.crop(1, 1, 3, 2).labels.tolist() == [[0, 0, VOID], [VOID, VOID, VOID]]


def test_shares_leave_out_what_is_unknown() -> None:
    labels = LabelMap(torch.tensor([[0, 0, 0, 2, VOID, VOID]], dtype=torch.uint8), NAMES)
    assert labels.shares() == {"sky": 0.75, "car": 0.25}
    assert str(labels) == "sky 75%, car 25%"
