"""What the network was shown: how much, how it was split, what was left out."""

import dataclasses
from typing import Any, get_args

from legato import picture
from legato.reports.page import Cell, Figure, Part, Section, facts, folded, paragraph, table
from legato.reports.trained import Trained
from legato.task import Split

SPLITS: tuple[Split, ...] = get_args(Split)
TOLD = {"policy", "counts", "set_aside", "names", "examples"}  # each has its own place
MOST_BARS = 40


def section(trained: Trained) -> Section | None:
    learnt = getattr(trained.task, "learnt", None)
    counted = getattr(learnt, "examples", None) or [len(trained.task.examples(split)) for split in SPLITS]
    sizes: list[tuple[str, Cell]] = [(split, count) for split, count in zip(SPLITS, counted)]
    parts: list[Part] = []
    if policy := getattr(learnt, "policy", ""):
        parts.append(paragraph(policy))
    parts.append(facts([*sizes, *others(learnt)]))
    counts = getattr(learnt, "counts", ())
    if 1 < len(counts) <= MOST_BARS:
        drawn = picture.bars(trained.names(len(counts)), counts, "Training examples", "examples")
        parts.append(Figure("counts", drawn, "How often each class, label or target occurs in the training split."))
    if aside := getattr(learnt, "set_aside", ()):
        parts.append(folded(f"{len(aside):,} set aside", table(["file", "why"], aside)))
    return Section("Data", parts)


def others(learnt: Any) -> list[tuple[str, Cell]]:
    """What else `adapt` found, as long as it can be said on a line."""
    if not dataclasses.is_dataclass(learnt):
        return []
    found = [(f.name, getattr(learnt, f.name)) for f in dataclasses.fields(learnt) if f.name not in TOLD]
    plain = [
        (name, value) for name, value in found if isinstance(value, str | int | float | tuple) and value not in ("", ())
    ]
    return [(name.replace("_", " "), line_of(value)) for name, value in plain]


def line_of(value: Any) -> Cell:
    if isinstance(value, tuple):
        more = f" … ({len(value):,})" if len(value) > 8 else ""
        return ", ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in value[:8]) + more
    return str(value) if isinstance(value, bool) else value
