"""legato predict RUN FILE …: what it says of them."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from itertools import chain, count
from pathlib import Path
from typing import Annotated

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

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
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
    if options.top < 1:
        raise UsageError(f"--top {options.top}: must be at least 1")
    trained = api.load(options.run, options.device)
    sources, broken, names = list(files(options.sources)), 0, Names()
    for source, (input, answer) in zip(sources, trained.answers(sources, Decoding(options.top))):
        if isinstance(answer, DataError):
            broken += 1
            print(f"legato: {answer}", file=sys.stderr)
            continue
        saved = save(trained.task.draw(input, answer), Path(options.save), names.of(source)) if options.save else ""
        if options.json:
            found = answer if isinstance(answer, dict) else {"answer": answer}
            show.as_json({"file": source, **found} | ({"saved": saved} if saved else {}))
        else:
            print("\t".join(filter(None, [source, trained.task.line(answer), saved])), flush=True)
    if broken:
        others = "; the others are answered above" if broken < len(sources) else ""
        raise DataError(f"{broken} of {len(sources)} files could not be read{others}")


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
        path = Path(source)
        tried = chain([path.stem, f"{path.parent.name}-{path.stem}"], (f"{path.stem}-{k}" for k in count(2)))
        name = next(name for name in tried if name not in self.taken)
        self.taken.add(name)
        return name


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
