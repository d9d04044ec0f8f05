"""Pictures with what should be said of them: lazy tables, in memory or on disk, and the three splits of a set."""

import hashlib
import os
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Int64, Shaped, UInt8
from torch import Tensor

from legato.data.decode import read_image, read_size, with_channels
from legato.errors import DataError
from legato.task import Split
from legato.values import Image

Kind = Literal["class", "labels", "numbers"]
PLURAL: dict[Kind, str] = {"class": "classes", "labels": "labels", "numbers": "numbers"}
SetAside = list[tuple[str, str]]  # name of a picture, and why it cannot be used


class Paths:
    """Names of files below one folder: each subfolder once, names end to end. A million take about 40 MB."""

    def __init__(self, root: Path, names: Iterable[str] = ()) -> None:
        self.root = root
        self.folders: dict[str, int] = {}
        self.prefixes: list[str] = []  # the same, by number
        self.folder = array("i")  # of each file, the number of its folder
        self.end = array("q", [0])  # of each file, the end of its name in `text`
        self.text = bytearray()
        self.extend(names)

    def extend(self, names: Iterable[str]) -> None:
        """More names, relative to the root, parted by `/`."""
        for path in names:
            cut = path.rfind("/") + 1
            self.folder.append(self.folders.setdefault(path[:cut], len(self.folders)))
            self.text += path[cut:].encode("utf-8", "surrogateescape")
            self.end.append(len(self.text))
        self.prefixes = list(self.folders)

    def __len__(self) -> int:
        return len(self.folder)

    def __getitem__(self, i: int) -> str:
        name = self.text[self.end[i] : self.end[i + 1]].decode("utf-8", "surrogateescape")
        return self.prefixes[self.folder[i]] + name

    def image(self, i: int, channels: int, at_least: tuple[int, int] | None = None) -> Image:
        path = self.root / self[i]
        return Image(read_image(path, channels, at_least), str(path))

    def size(self, i: int) -> tuple[int, int, int]:
        return read_size(self.root / self[i])


class Pixels:
    """Pictures of one size in one array; they are called by their number: `train[17]`."""

    def __init__(self, name: str, pixels: UInt8[np.ndarray, "n c h w"]) -> None:
        self.name, self.pixels = name, pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, i: int) -> str:
        return f"{self.name}[{i}]"

    def image(self, i: int, channels: int, at_least: tuple[int, int] | None = None) -> Image:
        return Image(with_channels(torch.from_numpy(self.pixels[i]), channels), self[i])

    def size(self, i: int) -> tuple[int, int, int]:
        channels, height, width = self.pixels.shape[1:]
        return height, width, channels


@dataclass(frozen=True, eq=False)
class Pictures(Sequence):  # of (Image, target); said in brackets, checkers of types would decode a picture to see
    """Rows of a store of pictures, with their targets; nothing is decoded before it is asked for.

    `targets`: (n,) int64 class indices, or (n, k) float32 labels (0, 1) or numbers, NaN where unknown.
    """

    store: Paths | Pixels
    rows: Int64[np.ndarray, "n"]
    targets: Shaped[np.ndarray, "n *k"]
    channels: int = 3

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[Image, int | Tensor]:  # type: ignore[override]
        """The picture and its target: a class index, or (k,) float32. Raises DataError for a broken file."""
        return self.image(i), self.target(i)

    def image(self, i: int, at_least: tuple[int, int] | None = None) -> Image:
        """The picture alone; a JPEG may be reduced, to no less than `at_least` (h, w)."""
        return self.store.image(int(self.rows[i]), self.channels, at_least)

    def target(self, i: int) -> int | Tensor:
        return int(self.targets[i]) if self.targets.ndim == 1 else torch.from_numpy(self.targets[i])

    def name(self, i: int) -> str:
        """What identifies it: its path below the set's folder, or `train[17]`."""
        return self.store[int(self.rows[i])]

    def names(self) -> Iterable[str]:
        return (self.store[row] for row in self.rows.tolist())

    def size(self, i: int) -> tuple[int, int, int]:
        """(h, w, channels), by the header alone."""
        return self.store.size(int(self.rows[i]))

    def take(self, chosen: Int64[np.ndarray, "m"] | Bool[np.ndarray, "n"]) -> "Pictures":
        """These examples; the store is shared."""
        return replace(self, rows=self.rows[chosen], targets=self.targets[chosen])

    def without(self, set_aside: SetAside) -> "Pictures":
        """All but those set aside, in their order: what `memory.load` has made tensors of."""
        gone = {name for name, _ in set_aside}
        return self.take(np.array([name not in gone for name in self.names()], bool)) if gone else self


def pictures(store: Paths | Pixels, targets: Shaped[np.ndarray, "n *k"], first: int = 0) -> Pictures:
    """The rows of the store from `first` on that these targets belong to."""
    rows = np.arange(first, first + len(targets))
    channels = 1 if all_grey(store, rows) else 3
    return Pictures(store, rows, targets, channels)


def all_grey(store: Paths | Pixels, rows: Int64[np.ndarray, "n"], looked_at: int = 16) -> bool:
    """Whether a few pictures from all over are all grey. Broken ones are met, and named, later."""
    grey = set()
    for row in rows[:: max(1, len(rows) // looked_at)].tolist():
        try:
            grey.add(store.size(row)[2] == 1)
        except DataError:
            continue
    return grey == {True}


def kind_of(targets: Shaped[np.ndarray, "n *k"]) -> Kind:
    """What these targets ask."""
    if targets.ndim == 1:
        return "class"
    return "labels" if np.isin(targets[~np.isnan(targets)], (0, 1)).all() else "numbers"


def join(a: Pictures, b: Pictures) -> Pictures:
    """The examples of both, a's first."""
    targets = np.concatenate([a.targets, b.targets])
    if a.store is b.store or not len(b):
        return replace(a, rows=np.concatenate([a.rows, b.rows]), targets=targets)
    if isinstance(a.store, Pixels) and isinstance(b.store, Pixels):
        pixels = np.concatenate([a.store.pixels[a.rows], b.store.pixels[b.rows]])
        return replace(
            a, store=Pixels(f"{a.store.name}+{b.store.name}", pixels), rows=np.arange(len(pixels)), targets=targets
        )
    raise TypeError("pictures on disk are joined within one folder")


@dataclass(frozen=True, eq=False)
class PictureSet:
    """A data set as read: its format, what is asked of a picture, the examples of each split; test may be empty.

    kind: `class`, one of `names`; `labels`, any of them; `numbers`, one for each. `policy` is a sentence that says
    which split came from where; `set_aside` lists what could not be used, and why.
    """

    format: str
    kind: Kind
    names: tuple[str, ...]
    splits: dict[Split, Pictures]
    policy: str
    set_aside: SetAside = field(default_factory=list)

    @property
    def channels(self) -> int:
        """1 if the training pictures are grey, else 3."""
        return self.splits["train"].channels


def fingerprint(found: PictureSet, weighed: int = 1000) -> str:
    """A sha256 that changes with the names, the order, the labels, the splits, and the sizes of a thousand files.

    Contents are not read.
    """
    sha = hashlib.sha256(repr((found.kind, found.names)).encode())
    for split, examples in found.splits.items():
        sha.update(repr((split, len(examples))).encode())
        sha.update(examples.targets.tobytes())
        for name in examples.names():
            sha.update(name.encode("utf-8", "surrogateescape") + b"\0")
        if isinstance(examples.store, Pixels):
            sha.update(repr(examples.store.pixels.shape).encode())
            continue
        for row in examples.rows[:: len(examples) // weighed + 1].tolist():
            sha.update(repr(file_size(examples.store.root / examples.store[row])).encode())
    return sha.hexdigest()


def file_size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
