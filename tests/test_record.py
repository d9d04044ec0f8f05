"""Frozen dataclasses to JSON and back, and what a damaged record is answered with."""

import json
from dataclasses import dataclass
from typing import Literal

import pytest

from legato.errors import LegatoError
from legato.record import from_json, to_json


@dataclass(frozen=True)
class Inner:
    names: tuple[str, ...]
    pair: tuple[float, int]


@dataclass(frozen=True)
class Outer:
    name: str
    how: Literal["a", "b"] = "a"
    rate: float = 1.0
    inner: Inner | None = None
    pairs: tuple[tuple[str, str], ...] = ()


def test_there_and_back():
    value = Outer("x", "b", 0.5, Inner(("p", "q"), (1.5, 2)), (("a", "b"),))
    assert from_json(Outer, json.loads(json.dumps(to_json(value))), "run.json") == value
    assert from_json(Outer, {"name": "x", "rate": 1}, "run.json") == Outer("x", rate=1.0)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"name": 3}, "run.json.name: 3 is not str"),
        ({"name": "x", "how": "c"}, "run.json.how"),
        ({"name": "x", "rate": True}, "run.json.rate: True is not float"),
        ({"name": "x", "raet": 1.0}, "did you mean rate"),
        ({"name": "x", "inner": {"names": ["a"]}}, "pair"),
        ({}, "name"),
        ([], "not an object"),
    ],
)
def test_what_does_not_fit_is_named(found, message):
    with pytest.raises(LegatoError, match=message):
        from_json(Outer, found, "run.json")
