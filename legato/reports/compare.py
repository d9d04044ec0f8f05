"""Runs beside one another: a line each, and their curves in one picture."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from legato import picture
from legato.picture import Picture
from legato.reports import learning
from legato.reports.making import clock_of
from legato.reports.page import Figure, facts, inline
from legato.run import Run


def summary(run: Run) -> dict[str, str | int | float | None]:
    """What `legato runs` says of a run: name, task, network, epochs, score (its name), best, loss (the last), minutes,
    parameters. None for what is not known yet. Reads no weights and no data.

    Raises LegatoError where run.json is damaged.
    """
    about, metrics = run.about(), run.metrics()
    found = learning.score(metrics)
    losses = [v for k, v in (metrics[-1] if metrics else {}).items() if k.startswith("train/")]
    return {
        "name": run.folder.resolve().name,
        "task": str(about["task"]["name"]),
        "network": str(about["task"].get("network", "")),
        "epochs": int(metrics[-1]["epoch"]) if metrics else 0,
        "score": found[0] if found else None,
        "best": found[2][1] if found else None,
        "loss": sum(losses) if losses else None,
        "minutes": sum(line.get("seconds", 0.0) for line in clock_of(run)) / 60,
        "parameters": outcome(run).get("parameters"),
    }


def outcome(run: Run) -> dict[str, Any]:
    """summary.json; nothing where no report was written."""
    file = run.folder / "summary.json"
    return json.loads(file.read_text()) if file.exists() else {}


def curves(runs: Sequence[Run]) -> Picture:
    """The deciding score of each run by epoch."""
    found = {run.folder.resolve().name: learning.score(run.metrics()) for run in runs}
    lines = {name: score[1] for name, score in found.items() if score}
    what = " or ".join(dict.fromkeys(score[0] for score in found.values() if score))
    return picture.curves(lines, "epoch", f"validation {what}", "Runs compared")


def html_summary(run: Run) -> str:
    """A small block for notebooks: what it is, how good it is, its loss."""
    told = {name: value for name, value in summary(run).items() if value not in (None, "")}
    scores = outcome(run).get("scores", {})
    firsts = {f"{next(iter(found))} on {split}": next(iter(found.values())) for split, found in scores.items() if found}
    metrics = run.metrics()
    drawn = (
        picture.curves(learning.losses(metrics), "epoch", "loss", "Loss", learning.spans_decades(metrics))
        if metrics
        else None
    )
    image = inline(Figure("loss", drawn, "loss by epoch")) if drawn is not None else ""
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:1.5rem;align-items:flex-start">'
        f"<div><b>{escape(str(told.pop('name')))}</b>{facts([*told.items(), *firsts.items()])}"
        f"<code>{escape(str(run.folder))}</code></div>"
        f'<div style="max-width:32rem">{image}</div></div>'
    )
