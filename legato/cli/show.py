"""What verbs print on stdout: a JSON object, or a table."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def as_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))


def table(rows: Sequence[Mapping[str, Any]], title: str = "") -> None:
    """Columns by the keys of the first row; numbers to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if not rows:
        print("nothing")
        return
    shown = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left")
    for key in rows[0]:
        number = all(isinstance(row[key], int | float) for row in rows)
        shown.add_column(key, justify="right" if number else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(cell(value) for value in row.values()))
    Console(width=None).print(shown)


def cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def scores(found: Mapping[str, float]) -> None:
    """A line a score, percentages where they are shares."""
    width = max(map(len, found))
    for name, value in found.items():
        share = isinstance(value, float) and 0 <= value <= 1 and "loss" not in name
        print(f"{name:{width}}  {value:.2%}" if share else f"{name:{width}}  {cell(value)}")
