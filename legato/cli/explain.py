"""legato explain RUN FILE …: why a network answers as it does."""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from legato import api, picture, progress
from legato.cli import arguments, show
from legato.cli.predict import files
from legato.errors import DataError, UsageError
from legato.explain.among import Among
from legato.explain.subject import METHODS, Method, Shown, Subject, default, fitting


@dataclass
class Explain:
    """Why a network answers as it does, in pictures: for each input, or of the network itself."""

    run: tyro.conf.Positional[str]
    """Folder of the run; or a network's name, with --start-from."""
    sources: tyro.conf.Positional[tuple[str, ...]] = ()
    """Files, folders, globs, or - for a path a line from stdin; sentences for a network that reads. None for methods
    that look at the network alone."""
    how: str = ""
    """Methods, parted by commas; `list` shows all, and which fit. Empty: gradcam, or what fits instead."""
    what: str = ""
    """Class, label or word to explain; empty: the answer."""
    stage: str = ""
    """Stage of the network to look at, by its name in `legato describe RUN`; empty: the method chooses."""
    channel: int = -1
    """Channel of that stage; -1: the method chooses."""
    in_: Annotated[str, tyro.conf.arg(name="in")] = "train"
    """Where methods that compare look: a folder, or train, valid or test of the run's own data."""
    start_from: str = ""
    """Weights for a network named instead of a run: a file, or `imagenet` to fetch them."""
    save: str = "explained"
    """Folder for the pictures."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    json: bool = False
    """Print one JSON object a picture, and nothing else, on stdout."""
    quiet: bool = False
    """Leave only results."""


def main(args: list[str]) -> None:
    options = arguments.parse(Explain, args, "explain")
    ready = api.load(options.run, options.device, start_from=options.start_from)
    if options.how == "list":
        rows = listing(ready)
        show.as_json(rows) if options.json else show.table([shortly(row) for row in rows])
        return
    methods = chosen(ready, options)
    among = Among(ready.task, options.in_)
    broken, watching = 0, progress.choose(options.quiet or options.json)
    for source, input in inputs(ready, options, methods):
        if isinstance(input, DataError):
            broken += 1
            print(f"legato: {input}", file=sys.stderr)
            continue
        subject = Subject(
            ready.task,
            ready.network,
            ready.device,
            input,
            options.what,
            options.stage,
            options.channel,
            among,
            watching,
        )
        for found in methods:
            if found.reads(bool(options.sources)) == (input is not None):
                for number, shown in enumerate(found.show(subject)):
                    tell(options, source, found.name, subject, shown._replace(name=shown.name or str(number or "")))
    if broken:
        raise DataError(f"{broken} of the inputs could not be read; the others are explained above")


def listing(ready: api.Ready) -> list[dict[str, Any]]:
    """Every method, and whether it fits; those that do first."""
    rows = [
        {"method": m.name, "what": m.about, "fits": why or "yes"}
        for m in METHODS.values()
        for why in [m.fits(ready.task, ready.network)]
    ]
    return sorted(rows, key=lambda row: (row["fits"] != "yes", row["method"]))


def shortly(row: dict[str, Any]) -> dict[str, Any]:
    """What the method does; or why it makes no sense here."""
    fits = row["fits"] == "yes"
    return {"method": row["method"], "fits": fits, "what it shows, or why not": row["what"] if fits else row["fits"]}


def chosen(ready: api.Ready, options: Explain) -> list[Method]:
    """The methods asked for, in that order. Raises UsageError for one that does not fit, or has nothing to explain."""
    if not options.how:
        return [default(ready.task, ready.network, needs_input=bool(options.sources))]
    methods = [fitting(name.strip(), ready.task, ready.network) for name in options.how.split(",")]
    lacking = [m.name for m in methods if m.needs_input]
    if lacking and not options.sources:
        raise UsageError(f"{lacking[0]} explains an answer: name what to answer, legato explain RUN FILE …")
    return methods


def inputs(ready: api.Ready, options: Explain, methods: Sequence[Method]) -> Iterator[tuple[str, Any]]:
    """(source, input): first the run without one, where a method looks at the network alone."""
    given = bool(options.sources)
    if not all(m.reads(given) for m in methods):
        yield options.run, None
    if any(m.reads(given) for m in methods):
        yield from ((source, ready.read(source)) for source in files(options.sources, ready.task))


def tell(options: Explain, source: str, how: str, subject: Subject, shown: Shown) -> None:
    """Write the picture, and say where it is and what it says."""
    named = [Path(source).stem if subject.input is not None else "", how, shown.name]
    file = Path(options.save) / f"{'-'.join(slug(part) for part in named if part)}.png"
    picture.save(shown.picture, file)
    answer = subject.answer if subject.input is not None else None
    if options.json:
        about = {"file": source, "how": how, "picture": str(file), "lines": shown.lines}
        show.as_json(about if answer is None else about | {"answer": answer, "what": subject.target})
        return
    print(f"{source}\t{how if answer is None else subject.task.line(answer)}\t{file}")
    for line in shown.lines:
        print(f"  {line}")


def slug(part: str) -> str:
    """What may stand in the name of a file."""
    return re.sub(r"[^\w.+-]+", "_", part)[:80]
