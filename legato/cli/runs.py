"""legato runs [FOLDER]: runs side by side."""

from dataclasses import dataclass

import tyro

from legato import api
from legato.cli import arguments, show


@dataclass
class Runs:
    """Compare the runs in a folder: task, network, epochs, best score, loss, minutes, parameters."""

    folder: tyro.conf.Positional[str] = "runs"
    """Where the runs are."""
    json: bool = False
    """Print JSON, and nothing else, on stdout."""


def main(args: list[str]) -> None:
    options = arguments.parse(Runs, args, "runs")
    rows = api.compare(options.folder)
    show.as_json(rows) if options.json else show.table(rows)
