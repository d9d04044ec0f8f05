"""From a run to its report: pictures/*.png, report.html, metrics.csv, summary.json."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

from torch import nn

from legato.files import write_text
from legato.picture.style import number
from legato.progress import SILENT, Progress
from legato.reports import (
    agreement,
    calibration,
    confusion,
    data,
    detection,
    filters,
    first_batch,
    layers,
    learning,
    making,
    results,
    specimens,
    worst,
)
from legato.reports.page import Section, page
from legato.reports.trained import Trained
from legato.run import Run
from legato.training import Evaluation

SECTIONS: dict[str, Callable[[Trained], Section | None]] = {
    "Results": results.section,
    "Learning curves": learning.section,
    "Specimens": specimens.section,
    "Worst errors": worst.section,
    "Detections": detection.section,
    "Classes": confusion.section,
    "Predictions": agreement.section,
    "Calibration": calibration.section,
    "First batch": first_batch.section,
    "First-layer filters": filters.section,
    "Layers": layers.section,
    "Data": data.section,
    "Task and recipe": making.recipe,
    "Time and memory": making.timing,
    "Next": making.commands,
    "Made with": making.versions,
}


def write(
    run: Run, net: nn.Module, evaluations: Mapping[str, Evaluation], show: Progress = SILENT, track: bool = False
) -> Path:
    """Write all that there is to tell of a run into its folder; the path of report.html.

    `evaluations` are by split, in the order they are shown; a section that cannot be made says so in a line. With
    `track` TensorBoard event files as well: raises UsageError where tensorboard is not installed.
    """
    trained = Trained(run, net, evaluations)
    show.start("report", len(SECTIONS))
    sections = []
    for title, make in SECTIONS.items():
        if (section := made(title, make, trained)) is not None:
            sections.append(section)
        show.advance(1, title.lower)
    show.stop()
    figures = [figure for section in sections for figure in section.figures]
    (run.folder / "pictures").mkdir(exist_ok=True)
    for figure in figures:
        (run.folder / "pictures" / f"{figure.name}.png").write_bytes(figure.png)
    write_text(run.folder / "metrics.csv", as_csv(trained.metrics))
    write_text(run.folder / "summary.json", json.dumps(outcome(trained), indent=1))
    write_text(run.folder / "report.html", page(run.folder.resolve().name, lead(trained), tiles(trained), sections))
    if track:
        from legato.reports.track import write_events

        write_events(trained, figures)
    return run.folder / "report.html"


def made(title: str, make: Callable[[Trained], Section | None], trained: Trained) -> Section | None:
    """A section; a line in its place where anything at all goes wrong, so that the others are not lost."""
    try:
        return make(trained)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return Section(title, [f'<p class="failed">This section could not be made: {escape(reason)}</p>'])


def lead(trained: Trained) -> str:
    """One line below the title: task, network, data."""
    task = trained.task
    parts = [task.name, *(str(getattr(task, name, "")) for name in ("network", "data"))]
    return " · ".join(part for part in parts if part)


def tiles(trained: Trained) -> list[tuple[str, str]]:
    """The numbers one looks for first."""
    found: list[tuple[str, str]] = []
    for split, evaluation in trained.evaluations.items():
        name, value = next(iter(evaluation.scores.items()))
        found.append((f"{value:.4f}" if abs(value) < 10 else number(value), f"{name.replace('_', ' ')} on {split}"))
    if trained.evaluation is not None and {"errors", "count"} <= trained.evaluation.scores.keys():
        scores = trained.evaluation.scores
        found.append((f"{scores['errors']:,.0f}", f"errors of {scores['count']:,.0f} on {trained.split}"))
    found.append((f"{trained.parameters:,}", "parameters"))
    if trained.metrics:
        seconds = sum(line.get("seconds", 0.0) for line in making.clock_of(trained.run))
        found.append((f"{trained.metrics[-1]['epoch']:.0f}", f"epochs in {making.lasting(seconds)}"))
    return found


def outcome(trained: Trained) -> dict[str, object]:
    """What a program wants to know of a finished run."""
    scores = {split: dict(evaluation.scores) for split, evaluation in trained.evaluations.items()}
    return {"scores": scores, "parameters": trained.parameters}


def as_csv(metrics: Sequence[Mapping[str, float]]) -> str:
    """A line a report, a column a number; empty where a report has no such number."""
    columns = list(dict.fromkeys(name for line in metrics for name in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(metrics)
    return text.getvalue()
