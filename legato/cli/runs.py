"""legato runs [FOLDER]: runs side by side."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from legato import api
from legato.cli import arguments, show
from legato.errors import UsageError
from legato.reports.making import lasting


@dataclass
class Runs:
    """Compare the runs in a folder: task, network, epochs, best score, loss, minutes, parameters."""

    folder: tyro.conf.Positional[str] = "runs"
    """Where the runs are."""
    json: bool = False
    """Print JSON, and nothing else, on stdout."""


def main(args: list[str]) -> None:
    options = arguments.parse(Runs, args, "runs")
    if not Path(options.folder).is_dir():
        raise UsageError(f"{options.folder}: not a folder; name the one that holds your runs")
    rows = api.compare(options.folder)
    if options.json:
        show.as_json(rows)
        return
    for row in rows:
        if "error" in row:
            print(f"legato: {row['error']}", file=sys.stderr)
    if rows:
        show.table([readable(row) for row in rows if "error" not in row])
    else:
        print(f"no runs in {options.folder}; `legato train DATA --to {options.folder}/NAME` makes one")


def readable(row: dict[str, Any]) -> dict[str, Any]:
    """Minutes as people say them."""
    minutes = row.pop("minutes", None)
    return row | {"trained for": lasting(60 * minutes) if minutes is not None else ""}
