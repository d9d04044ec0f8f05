"""legato predict RUN FILE …: what it says of them."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, make_dataclass
from glob import glob
from itertools import chain, count
from os.path import exists, isdir  # unlike Path's, they know that a long sentence is no file
from pathlib import Path
from typing import Annotated, Any

import tyro

from legato import api, picture
from legato.cli import arguments, show
from legato.data.decode import ENDINGS
from legato.errors import DataError, UsageError
from legato.run import Run
from legato.task import Decoding
from legato.values import Image

LONGEST = 80  # letters of a name that is a sentence


@dataclass
class Asking:
    """What is no choice of the run's task."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """Folder of the run."""
    sources: tyro.conf.Positional[tuple[str, ...]]
    """Files, folders, globs, or - for a path a line from stdin."""
    save: str = ""
    """Folder for pictures of the answers."""
    export: str = ""
    """Folder for files of the answers, in the form their field exchanges: index PNGs of pixels, YOLO's lines of boxes,
    numbered masks of objects."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    json: bool = False
    """Print one JSON object a line, and nothing else, on stdout."""
    quiet: bool = False
    """Leave only results."""


def main(args: list[str]) -> None:
    kind = decoding_of(args)
    options = arguments.parse(options_of(kind), args, "predict")
    how = kind(**{f.name: getattr(options, f.name) for f in fields(kind)})
    if options.top < 1:
        raise UsageError(f"--top {options.top}: must be at least 1")
    trained = api.load(options.run, options.device)
    sources, broken, names = list(files(options.sources)), 0, Names()
    for source, (input, answer) in zip(sources, trained.answers(sources, how)):
        if isinstance(answer, DataError):
            broken += 1
            print(f"legato: {answer}", file=sys.stderr)
            continue
        written = in_files(trained.task, input, answer, options, names.of(source))
        if options.json:
            found = answer if isinstance(answer, dict) else {"answer": answer}
            show.as_json({"file": source, **found, **written})
        else:
            print("\t".join([source, trained.task.line(answer), *written.values()]), flush=True)
    if broken:
        others = "; the others are answered above" if broken < len(sources) else ""
        raise DataError(f"{broken} of {len(sources)} files could not be read{others}")


def decoding_of(args: list[str]) -> type[Decoding]:
    """What may be said of the answers of the run that is named."""
    run = Path(arguments.positional(args, {"--help", *arguments.switches(Asking)}))
    return Run(run).task().decoding if (run / "run.json").is_file() else Decoding


def options_of(kind: type[Decoding]) -> type[Any]:
    """All flags of predicting, and of decoding the answers of this task."""
    about = "Answers for files, for the pictures in folders, for globs, or for the paths on stdin (-)."
    return make_dataclass("Predict", arguments.as_flags(kind), bases=(Asking,), namespace={"__doc__": about})


def in_files(task: api.AnyTask, input: Any, answer: Any, options: Any, name: str) -> dict[str, str]:
    """What was asked to be written of an answer, and into which files."""
    written = {}
    if options.save:
        written["saved"] = save(task.draw(input, answer), Path(options.save), name)
    if options.export:
        written["exported"] = str(task.export(input, answer, Path(options.export), name))
    return written


def save(drawn: Image | str, folder: Path, name: str) -> str:
    """The answer drawn, as a PNG; one that cannot be drawn as text. The file it is in."""
    if isinstance(drawn, Image):
        picture.save(picture.pixels(drawn), folder / f"{name}.png")
        return str(folder / f"{name}.png")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(drawn + "\n")
    return str(folder / f"{name}.txt")


class Names:
    """A name for each file, no two alike: its own without the suffix, else with that of its folder or a number."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def of(self, source: str) -> str:
        stem, folder = Path(source).stem[:LONGEST], Path(source).parent.name[:LONGEST]
        tried = chain([stem, f"{folder}-{stem}"], (f"{stem}-{k}" for k in count(2)))
        name = next(name for name in tried if name not in self.taken)
        self.taken.add(name)
        return name


def files(sources: tuple[str, ...]) -> Iterator[str]:
    """Every file meant, in order. Raises UsageError where nothing is."""
    for source in sources:
        path = Path(source)
        if source == "-":
            yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
        elif isdir(source):
            found = sorted(str(p) for p in path.rglob("*") if p.suffix.lower() in ENDINGS)
            if not found:
                raise UsageError(f"{source}: no pictures in this folder")
            yield from found
        elif not exists(source) and glob(source):
            yield from sorted(glob(source))
        else:
            yield source
    if not sources:
        raise UsageError("legato predict RUN FILE …: name files, folders, globs, or - for paths from stdin")
