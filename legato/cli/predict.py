"""legato predict RUN FILE …: what it says of them."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import tyro

from legato import api, picture
from legato.cli import arguments, show
from legato.data.decode import ENDINGS
from legato.errors import DataError, UsageError
from legato.task import Decoding
from legato.values import Image


@dataclass
class Predict:
    """Answers for files, for the pictures in folders, for globs, or for the paths on stdin (-)."""

    run: tyro.conf.Positional[str]
    """Folder of the run."""
    sources: tyro.conf.Positional[tuple[str, ...]]
    """Files, folders, globs, or - for a path a line from stdin."""
    top: int = 5
    """How many of the likeliest answers."""
    save: str = ""
    """Folder for pictures of the answers."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    json: bool = False
    """Print one JSON object a line, and nothing else, on stdout."""
    quiet: bool = False
    """Leave only results."""


def main(args: list[str]) -> None:
    options = arguments.parse(Predict, args, "predict")
    trained = api.load(options.run, options.device)
    sources = list(files(options.sources))
    broken = 0
    for source, (input, answer) in zip(sources, trained.answers(sources, Decoding(options.top))):
        if isinstance(answer, DataError):
            broken += 1
            print(f"legato: {answer}", file=sys.stderr)
        elif options.json:
            show.as_json({"file": source, **(answer if isinstance(answer, dict) else {"answer": answer})})
        else:
            print(f"{source}\t{trained.task.line(answer)}")
        if options.save and not isinstance(answer, DataError):
            save(trained.task.draw(input, answer), Path(options.save), Path(source).stem)
    if broken:
        raise DataError(f"{broken} of {len(sources)} files could not be read; the others are answered above")


def save(drawn: Image | str, folder: Path, name: str) -> None:
    """The answer drawn, as a PNG; one that cannot be drawn as text."""
    if isinstance(drawn, Image):
        picture.save(picture.pixels(drawn), folder / f"{name}.png")
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(drawn + "\n")


def files(sources: tuple[str, ...]) -> Iterator[str]:
    """Every file meant, in order. Raises UsageError where nothing is."""
    for source in sources:
        path = Path(source)
        if source == "-":
            yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
        elif path.is_dir():
            found = sorted(str(p) for p in path.rglob("*") if p.suffix.lower() in ENDINGS)
            if not found:
                raise UsageError(f"{source}: no pictures in this folder")
            yield from found
        elif not path.exists() and glob(source):
            yield from sorted(glob(source))
        else:
            yield source
    if not sources:
        raise UsageError("legato predict RUN FILE …: name files, folders, globs, or - for paths from stdin")
