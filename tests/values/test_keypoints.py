import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from legato.errors import DataError
from legato.values import Skeleton
from legato.values import keypoints as k

Raw = tuple[list[tuple[int, int]], list[bool], Skeleton]


@st.composite
def some(draw: st.DrawFn) -> Raw:
    skeleton = draw(st.sampled_from([k.LSP, k.COCO]))
    count = draw(st.integers(0, 3)) * len(skeleton.names)
    points = draw(st.lists(st.tuples(st.integers(0, 63), st.integers(0, 47)), min_size=count, max_size=count))
    visible = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return points, visible, skeleton


@settings(deadline=None, max_examples=60)
@given(some())
def test_a_mirror_swaps_left_and_right_and_two_mirrors_nothing(raw: Raw) -> None:
    bodies = k.truth(*raw)
    mirrored, names = bodies.flip(64), bodies.skeleton.names
    for i, name in enumerate(names):
        other = name.replace("left", "?").replace("right", "left").replace("?", "right")
        j = names.index(other)
        assert torch.equal(mirrored.points[:, i, 0], 64 - bodies.points[:, j, 0])
        assert torch.equal(mirrored.points[:, i, 1], bodies.points[:, j, 1])
        assert torch.equal(mirrored.visible[:, i], bodies.visible[:, j])
    assert mirrored.flip(64) == bodies


@settings(deadline=None, max_examples=60)
@given(some(), st.floats(-180, 180), st.integers(-20, 20))
def test_turning_keeps_lengths_and_cropping_keeps_places(raw: Raw, degrees: float, left: int) -> None:
    bodies = k.truth(*raw)
    turned = bodies.rotate(degrees, 64, 48)
    torch.testing.assert_close(turned.limb_lengths(), bodies.limb_lengths(), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(turned.rotate(-degrees, 64, 48).points, bodies.points, atol=1e-3, rtol=0)
    cut = bodies.crop(left, 3, 40, 30)
    assert torch.equal(cut.points + torch.tensor([left, 3.0]), bodies.points)
    assert not (cut.visible & (cut.points[..., 0] < 0)).any()


@settings(deadline=None, max_examples=30)
@given(some())
def test_json_there_and_back(raw: Raw) -> None:
    bodies = k.truth(*raw)
    assert k.from_json(json.loads(json.dumps(bodies.to_json())), bodies.skeleton) == bodies


def test_a_quarter_turn_counter_clockwise_takes_right_to_top() -> None:
    dot = Skeleton(("dot",), ())
    points = k.truth([[[63.0, 24.0]]], [[True]], dot).rotate(90, 64, 48)
    torch.testing.assert_close(points.points, torch.tensor([[[32.0, -7.0]]]))


def test_the_lecture_names_14_joints_and_coco_17() -> None:
    assert (len(k.LSP.names), len(k.COCO.names)) == (14, 17)
    assert len(set(k.LSP.pairs)) == len(k.LSP.limbs) == 14


def test_errors_say_what() -> None:
    with pytest.raises(DataError, match="did you mean hand"):
        Skeleton(("hand", "arm"), (("hands", "arm"),))
    with pytest.raises(DataError, match="without 'right ankle'"):
        k.from_json([{"points": {}, "hidden": []}], k.LSP)
