"""What verbs print on stdout: a JSON object, or a table."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def as_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))


def table(rows: Sequence[Mapping[str, Any]], title: str = "") -> None:
    """Columns by the keys of the first row, numbers to the right; never cut, so that a pipe gets all of it."""
    if not rows:
        print("nothing")
        return
    cells = [list(rows[0]), *([cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    right = [all(isinstance(row[key], int | float | None) for row in rows) for key in rows[0]]
    if title:
        print(title)
    for line in (cells[0], ["─" * width for width in widths], *cells[1:]):
        print("  ".join(f"{c:>{w}}" if r else f"{c:<{w}}" for c, w, r in zip(line, widths, right)).rstrip())


def cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


OWN_UNITS = {"loss", "rmse", "mae", "mse", "r2", "nats", "perplexity", "ratio", "psnr"}  # no shares, though below 1


def scores(found: Mapping[str, float]) -> None:
    """A line a score, percentages where they are shares."""
    width = max(map(len, found))
    for name, value in found.items():
        share = isinstance(value, float) and 0 <= value <= 1 and OWN_UNITS.isdisjoint(name.split("_"))
        print(f"{name:{width}}  {value:.2%}" if share else f"{name:{width}}  {cell(value)}")
