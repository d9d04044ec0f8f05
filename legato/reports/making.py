"""How it was made and how to go on: the choices, the recipe, the clock, the versions, the commands."""

import dataclasses
import shlex
from statistics import median
from typing import Any

from legato.device import GIB
from legato.files import json_lines
from legato.recipe import Recipe
from legato.reports.page import Cell, Section, code, facts, paragraph, table
from legato.reports.trained import Trained
from legato.run import Run


def commands(trained: Trained) -> Section:
    """What one may type next."""
    folder = shlex.quote(str(trained.run.folder))
    lines = [
        *([f"legato evaluate {folder} --split test"] if tested(trained) else []),
        f"legato predict {folder} FILE …",
        f"legato explain {folder} FILE",
        f"legato describe {folder}",
        f"legato resume {folder} --epochs {2 * trained.recipe.epochs}",
        f"legato train --like {folder} --to FOLDER",
    ]
    return Section("Next", [code(lines)])


def tested(trained: Trained) -> bool:
    """Whether there is a test split."""
    return len(trained.task.examples("test")) > 0


def recipe(trained: Trained) -> Section:
    """Every choice, and what had been recommended where it is another."""
    chosen = [(f.name, getattr(trained.task, f.name)) for f in dataclasses.fields(trained.task) if flag(f)]
    given, recommended = trained.recipe, advice(trained)
    rows: list[list[Cell]] = []
    for field in dataclasses.fields(given):
        value = getattr(given, field.name)
        advised = getattr(recommended, field.name) if recommended else value
        rows.append([field.name.replace("_", " "), told(value), "" if advised == value else told(advised)])
    heads = ["recipe", "used", "recommended, where it differs"]
    task: list[tuple[str, Cell]] = [("task", trained.task.name), *((n.replace("_", " "), told(v)) for n, v in chosen)]
    return Section("Task and recipe", [facts(task), table(heads, rows)])


def flag(field: dataclasses.Field[Any]) -> bool:
    return bool(field.metadata.get("flag", True))


def advice(trained: Trained) -> Recipe | None:
    """What the task recommends; None where it needs what is no longer there to say so."""
    try:
        return trained.task.recipe()
    except Exception:  # a report is of use without this column
        return None


def told(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value) or "–"


def timing(trained: Trained) -> Section | None:
    clock = clock_of(trained.run)
    if not clock:
        return None
    seconds = [line["seconds"] for line in clock]
    memory = max(line.get("memory_bytes", 0) for line in clock) / GIB
    rows: list[tuple[str, Cell]] = [
        ("training, all epochs", lasting(sum(seconds))),
        ("an epoch (median)", lasting(median(seconds))),
        ("examples or tokens a second (median)", round(median(line["examples_per_second"] for line in clock))),
        ("largest memory", f"{memory:.2f} GiB"),
    ]
    return Section(
        "Time and memory",
        [facts(rows), paragraph("Training alone: validation, pictures and this page are not counted.")],
    )


def clock_of(run: Run) -> list[dict[str, float]]:
    """The lines of timing.jsonl."""
    return json_lines(run.folder / "timing.jsonl")


def lasting(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def versions(trained: Trained) -> Section:
    about = trained.run.about()
    rows: list[tuple[str, Cell]] = [
        *about["made_with"].items(),
        *((f"device {k}", v) for k, v in about["device"].items()),
    ]
    return Section("Made with", [facts((name, value if value != "" else "–") for name, value in rows)])
