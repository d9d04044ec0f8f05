"""legato resume RUN: go on with a training."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from legato import api
from legato.cli import arguments, show
from legato.progress import choose


@dataclass
class Resume:
    """Go on with an interrupted training, as if it had never stopped; or make a finished one longer."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """Folder of the run."""
    epochs: int = 0
    """New number of epochs in all; 0: as begun."""
    data: str = ""
    """Where its data are now, if they have been moved."""
    device: str = ""
    """Another device than it was begun on."""
    quiet: bool = False
    """Print nothing but errors."""
    json: bool = False
    """Print one JSON object, and nothing else, on stdout."""


def main(args: list[str]) -> None:
    options = arguments.parse(Resume, args, "resume")
    quiet = options.quiet or options.json
    where = {"data": options.data, "device": options.device}
    trained = api.resume(options.run, epochs=options.epochs, **where, show=choose(quiet))
    if options.json:
        show.as_json({"run": str(trained.run.folder), **api.best_report(trained.run)})
