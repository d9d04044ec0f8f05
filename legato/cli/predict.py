"""legato predict RUN FILE …: what it says of them."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, make_dataclass
from glob import glob
from itertools import chain, count
from os.path import exists, isdir, isfile  # unlike Path's, they know that a long sentence is no file
from pathlib import Path
from typing import Annotated, Any

import tyro

from legato import api, picture
from legato.cli import arguments, show
from legato.data.decode import ENDINGS
from legato.data.text_files import read_text
from legato.errors import DataError, UsageError
from legato.run import Run
from legato.task import Decoding
from legato.values import Image, Text

LONGEST = 80  # letters of a name that is a sentence


@dataclass
class Asking:
    """What is no choice of the run's task."""

    run: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RUN")]
    """Folder of the run."""
    sources: tyro.conf.Positional[tuple[str, ...]]
    """Files, folders, globs, or - for a path a line from stdin. A network that reads is given sentences as well; one
    that tags or translates answers each line of a file."""
    save: str = ""
    """Folder for pictures of the answers."""
    export: str = ""
    """Folder for files of the answers, in the form their field exchanges: index PNGs of pixels, YOLO's lines of boxes,
    numbered masks of objects."""
    views: int = 1
    """Look at each picture in so many ways, mirrored, turned or varied as in training, and take the mean."""
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
    if options.views < 1:
        raise UsageError(f"--views {options.views}: must be at least 1")
    trained = api.load(options.run, options.device)
    unreadable: list[DataError] = []
    sources, names = list(files(options.sources, trained.task, unreadable)), Names()
    for error in unreadable:
        print(f"legato: {error}", file=sys.stderr)
    broken = len(unreadable)
    for source, (input, answer) in zip(sources, trained.answers(sources, how, options.views)):
        if isinstance(answer, DataError):
            broken += 1
            print(f"legato: {answer}", file=sys.stderr)
            continue
        written = in_files(trained.task, input, answer, options, names.of(source))
        if options.json:
            found = answer if isinstance(answer, dict) else {"answer": answer}
            show.as_json({"file" if exists(source) else "sentence": source, **found, **written})
        else:
            print("\t".join([source, trained.task.line(answer), *written.values()]), flush=True)
    if broken:
        others = "; the others are answered above" if broken < len(sources) + len(unreadable) else ""
        what = "sentences" if trained.task.by_line else "inputs" if Text in trained.task.takes else "files"
        many = f"{broken} file{'s' * (broken != 1)}" if unreadable else f"{broken} of {len(sources)} {what}"
        raise DataError(f"{many} could not be read{others}")


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
        if not exists(source):  # a sentence, whose points and strokes are no suffixes and folders
            stem, folder = re.sub(r"[^\w]+", "_", source).strip("_")[:LONGEST] or "answer", "answer"
        tried = chain([stem, f"{folder}-{stem}"], (f"{stem}-{k}" for k in count(2)))
        name = next(name for name in tried if name not in self.taken)
        self.taken.add(name)
        return name


def files(sources: tuple[str, ...], task: api.AnyTask, unreadable: list[DataError] | None = None) -> Iterator[str]:
    """Every file meant, in order, or every sentence; what is wrong with files of sentences goes to
    `unreadable`, if it is given. Raises UsageError where nothing is."""
    for source in sources:
        if source == "-":
            yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
            continue
        for one in meant(source, task):
            try:
                yield from sentences_of(Path(one)) if task.by_line and isfile(one) else [one]
            except DataError as error:
                if unreadable is None:
                    raise
                unreadable.append(error)
    if not sources:
        what = "sentences or text files" if Text in task.takes else "files, folders, globs"
        raise UsageError(
            f"legato predict RUN {'TEXT' if Text in task.takes else 'FILE'} …: name {what}, or - for stdin"
        )


def meant(source: str, task: api.AnyTask) -> list[str]:
    """The files of a folder or a glob; else what was said."""
    if isdir(source):
        return in_folder(Path(source), task)
    return [source] if exists(source) else sorted(glob(source)) or [source]


def in_folder(folder: Path, task: api.AnyTask) -> list[str]:
    """The pictures in a folder; for a network that reads, the texts. Raises UsageError where there is none."""
    what, endings = ("pictures", ENDINGS) if Image in task.takes else (".txt files", (".txt",))
    found = sorted(str(p) for p in folder.rglob("*") if p.suffix.lower() in endings)
    if not found:
        raise UsageError(f"{folder}: no {what} in this folder")
    return found


def sentences_of(file: Path) -> list[str]:
    """The lines of a text file that say something. Raises DataError for one that is empty or not UTF-8."""
    return [line.strip() for line in read_text(file).split("\n") if line.strip()]
