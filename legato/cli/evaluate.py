"""legato evaluate RUN …: how good it is."""

from dataclasses import dataclass
from typing import Literal

import tyro

from legato import api
from legato.cli import arguments, show
from legato.progress import choose


@dataclass
class Evaluate:
    """Scores of a run on a split; of several runs, of the mean of their outputs (an ensemble)."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Folders of runs."""
    data: str = ""
    """Other data of the same kind; empty: the run's own."""
    split: Literal["train", "valid", "test"] = "test"
    """Which examples."""
    views: int = 1
    """Look at each example in so many ways, mirrored, turned or varied as in training, and take the mean."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    quiet: bool = False
    """Leave only results."""
    json: bool = False
    """Print one JSON object, and nothing else, on stdout."""


def main(args: list[str]) -> None:
    options = arguments.parse(Evaluate, args, "evaluate")
    watching = choose(options.quiet or options.json)
    found = api.evaluate(options.runs, options.split, options.data, options.device, options.views, watching)
    show.as_json(found) if options.json else show.scores(found)
