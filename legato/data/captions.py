"""Pictures and what people say of them: Flickr8k's files, or a table `image,caption` beside the pictures.

A picture has a line for each of its captions. Lists of names, such as Flickr_8k.trainImages.txt, make the splits.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from legato.data.sentences import in_parts
from legato.data.splits import shares
from legato.data.text_files import decoded
from legato.errors import DataError
from legato.task import Split

TABLES = ("captions.txt", "captions.csv")
TOKENS = "*.token.txt"  # Flickr8k as its authors give it: name.jpg#0, a tab, the caption
FOLDERS = ("Images", "images", "Flicker8k_Dataset", "Flickr8k_Dataset", ".")
LISTS: dict[Split, str] = {"train": "*[tT]rain*mages.txt", "valid": "*[dD]ev*mages.txt", "test": "*[tT]est*mages.txt"}
Captioned = tuple[str, tuple[str, ...]]  # a picture's file, and its captions


@dataclass(frozen=True, eq=False)
class CaptionSet:
    """A data set as read: the pictures of each split, with their captions."""

    format: str
    pictures: Path  # the folder they are in
    splits: dict[Split, list[Captioned]]
    policy: str

    @property
    def fingerprint(self) -> str:
        return sha256(repr(self.splits).encode("utf-8", "surrogatepass")).hexdigest()


def recognises(path: Path) -> bool:
    """A folder with a table of captions."""
    return path.is_dir() and table(path) is not None


def table(path: Path) -> Path | None:
    """The file with the captions."""
    if tokens := sorted(path.glob(TOKENS)):
        return tokens[0]
    return next((path / name for name in TABLES if (path / name).is_file() and header(path / name)), None)


def header(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.readline().strip().lower().startswith(b"image,caption")


def read(path: Path, fold: str = "") -> CaptionSet:
    """All captions of all pictures; no picture is opened. Raises DataError for a picture that is not there."""
    file = table(path) if path.is_dir() else None
    if file is None:
        raise DataError(f"{path}: no captions; legato reads a folder with captions.txt, a line `image,caption` first")
    captions: dict[str, list[str]] = {}
    for number, name, caption in rows(file):
        if not caption.strip():
            raise DataError(f"{file}:{number}: {name} has an empty caption; mend the line or take it out")
        captions.setdefault(name, []).append(caption.strip())
    if not captions:
        raise DataError(f"{file}: no captions in it")
    folder = folder_of(path, next(iter(captions)))
    if missing := [name for name in captions if not (folder / name).is_file()]:
        raise DataError(
            f"{file}: {len(missing):,} of {len(captions):,} pictures are not in {folder}, such as {missing[0]}"
        )
    every = [(name, tuple(said)) for name, said in captions.items()]
    parts, policy = listed(path, every)
    splits, policy = in_parts(parts, policy, addresses, fold)
    return CaptionSet("captions", folder, splits, policy)


def rows(file: Path) -> Iterator[tuple[int, str, str]]:
    """(line, picture, caption). Raises DataError for a line that is neither."""
    lines = decoded(file).splitlines()
    if file.match(TOKENS):
        for number, line in enumerate(lines, 1):
            name, tab, caption = line.partition("\t")
            if line.strip() and not tab:
                raise DataError(f"{file}:{number}: no tab between picture and caption")
            if line.strip():
                yield number, name.partition("#")[0], caption
        return
    for number, row in enumerate(csv.reader(lines[1:]), 2):
        if row and len(row) < 2:
            raise DataError(f"{file}:{number}: {len(row)} column; a line is `image,caption`")
        if row:
            yield number, row[0], ",".join(row[1:])  # a caption with commas that nobody has quoted


def folder_of(path: Path, name: str) -> Path:
    """Where the pictures are."""
    found = next((path / folder for folder in FOLDERS if (path / folder / name).is_file()), None)
    if found is None:
        raise DataError(f"{path}: no picture {name} there, nor in {', '.join(FOLDERS[:-1])}")
    return found


def listed(path: Path, every: list[Captioned]) -> tuple[dict[Split, list[Captioned]], str]:
    """The splits that lists of names make; without a list for training all pictures are in one."""
    files = {split: found[0] for split, pattern in LISTS.items() if (found := sorted(path.glob(pattern)))}
    if "train" not in files:
        return {"train": every}, "all captions of a picture stay together"
    named = {split: set(decoded(file).split()) for split, file in files.items()}
    for split, names in named.items():
        if unknown := names - {name for name, _ in every}:
            raise DataError(f"{files[split]}: {len(unknown):,} names have no caption, such as {min(unknown)}")
    parts = {split: [one for one in every if one[0] in names] for split, names in named.items()}
    return parts, f"{', '.join(parts)} as in {', '.join(file.name for file in files.values())}"


def addresses(examples: Sequence[Captioned]) -> tuple[Any, Int64[np.ndarray, "n"]]:
    """The hash of each picture's name; all are one stratum."""
    return shares(name for name, _ in examples), np.zeros(len(examples), np.int64)
