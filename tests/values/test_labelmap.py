import json

import pytest
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
    assert labels.upside_down().flip() == labels.rotate(180)
    h, w = labels.labels.shape
    assert labels.resize(3 * h, 3 * w).resize(h, w) == labels
    assert labels.crop(-2, -1, w + 5, h + 4).crop(2, 1, w, h) == labels


def test_beside_the_picture_nothing_is_known() -> None:
    labels = LabelMap(torch.zeros(2, 3, dtype=torch.uint8), NAMES)
    assert labels.crop(1, 1, 3, 2).labels.tolist() == [[0, 0, VOID], [VOID, VOID, VOID]]


@pytest.mark.parametrize("quarters", [1, 2, 3, -1])
def test_quarter_turns_are_counter_clockwise_and_exact(quarters: int) -> None:
    labels = LabelMap(torch.randint(3, (8, 8), dtype=torch.uint8), NAMES)
    assert torch.equal(labels.rotate(90 * quarters).labels, labels.labels.rot90(quarters))


def test_where_nothing_was_seen_nothing_is_known_after_a_turn() -> None:
    labels = LabelMap(torch.ones(40, 40, dtype=torch.uint8), NAMES).rotate(45)
    assert labels.labels[0, 0] == labels.labels[-1, -1] == VOID
    assert set(labels.labels.unique().tolist()) == {1, VOID}
    octagon = 2 * (2**0.5 - 1) * 40**2  # what two squares have in common, one turned by 45 degrees
    assert labels.known.sum().item() == pytest.approx(octagon, rel=0.02)


def test_shares_leave_out_what_is_unknown() -> None:
    labels = LabelMap(torch.tensor([[0, 0, 0, 2, VOID, VOID]], dtype=torch.uint8), NAMES)
    assert labels.shares() == {"sky": 0.75, "car": 0.25}
    assert str(labels) == "sky 75%, car 25%"
