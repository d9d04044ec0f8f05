"""COCO: one JSON file a split with `images`, `annotations` and `categories`, read as a stream however large it is.

Lin et al. 2014, "Microsoft COCO" (arXiv:1405.0312). Outlines stay in the file and are read when they are asked for.
"""

import json
import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from legato.data.annotated import Annotated, AnnotatedSet, Objects, Table, present, same_names, tenths
from legato.data.examples import Paths, SetAside
from legato.data.policy import SPLITS, TENTHS
from legato.errors import DataError
from legato.task import Split
from legato.values.masks import from_polygons, from_runs, unpack_runs

BLOCK = 1 << 20  # bytes read at a time
WORDS = re.compile(r"[a-z]+")
SPACE = re.compile(r"[ \t\r\n]*")
DECODER = json.JSONDecoder()


def recognises(path: Path) -> bool:
    return bool(files(path))


def read(path: Path) -> AnnotatedSet:
    """Reads every annotation once, no picture, in memory that does not grow with the outlines."""
    given = files(path)
    if "train" not in given:
        raise DataError(
            f"{path}: {', '.join(f.name for f in given.values())}, but none for training; "
            "name one instances_train….json"
        )
    indices = {split: Index(file) for split, file in given.items()}
    names = same_names({s: tuple(i.names.values()) for s, i in indices.items()}, {s: str(f) for s, f in given.items()})
    set_aside: SetAside = []
    notes: list[str] = []
    splits: dict[Split, Annotated] = {}
    for split, index in indices.items():
        splits[split], said = index.annotated(path, names, set_aside)
        notes += [f"{split}: {note}" for note in said]
    policy = f"{', '.join(splits)} from {', '.join(f.name for f in given.values())}"
    if len(splits) == 1:
        splits, policy = tenths(splits["train"]), TENTHS
    return AnnotatedSet("coco", names, splits, policy, tuple(notes), set_aside)


def files(path: Path) -> dict[Split, Path]:
    """The file of boxes of each split: `path` itself, or those below it whose names say a split."""
    if path.is_file():
        return {"train": path} if path.suffix == ".json" and has_categories(path) else {}
    found: dict[Split, Path] = {}
    folders = [path / "annotations", path, *(path / name for name in SPLITS)]
    for file in (f for folder in folders if folder.is_dir() for f in sorted(folder.glob("*.json"))):
        words = WORDS.findall(file.stem.lower().removeprefix("_"))
        split = next((SPLITS[w] for w in (*words, file.parent.name.lower()) if w in SPLITS), None)
        if split and split not in found and not {"captions", "keypoints"} & set(words) and has_categories(file):
            found[split] = file
    return {split: found[split] for split in SPLITS.values() if split in found}


def has_categories(file: Path) -> bool:
    """Whether this is such a file, by its first and last hundred kilobytes."""
    both = ends(file)
    whole = b"".join(both)
    return (
        both[0].lstrip()[:1] == b"{" and b'"categories"' in whole and (b'"bbox"' in whole or b'"annotations"' in whole)
    )


def ends(file: Path, length: int = 100_000) -> tuple[bytes, bytes]:
    """How a file begins and ends; nothing of one that cannot be read."""
    try:
        with file.open("rb") as f:
            head = f.read(length)
            f.seek(max(0, file.stat().st_size - length))
            return head, f.read()
    except OSError:
        return b"", b""


class Index:
    """What one file says: pictures and boxes as arrays, and of each outline where in the file it stands."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.names: dict[int, str] = {}
        self.rows: dict[int, int] = {}  # id of a picture → its row
        self.paths: list[str] = []
        self.sizes = array("q")
        self.picture, self.category = array("q"), array("q")  # of each annotation; ids, for rows may come later
        self.box, self.crowd = array("d"), array("b")
        self.place = array("q")  # of each annotation, its first byte in the file, and its length
        for section, value, start, length in sections(file):
            try:
                self.take(section, value, start, length)
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"{file}: an entry of {section} at byte {start:,} lacks or garbles {error}; mend it or take it out"
                ) from None

    def take(self, section: str, value: Any, start: int, length: int) -> None:
        if section == "categories":
            self.names[int(value["id"])] = utf8(value["name"])
        elif section == "images":
            self.rows[int(value["id"])] = len(self.paths)
            self.paths.append(utf8(value["file_name"]))
            self.sizes.extend((int(value["height"]), int(value["width"])))
        elif section == "annotations" and "bbox" in value:
            x, y, w, h = (float("nan") if v is None else float(v) for v in value["bbox"])
            self.picture.append(int(value["image_id"]))
            self.category.append(int(value["category_id"]))
            self.box.extend((x, y, x + w, y + h))
            self.crowd.append(bool(value.get("iscrowd", 0)))
            self.place.extend((start, length))

    def annotated(self, path: Path, names: tuple[str, ...], set_aside: SetAside) -> tuple[Annotated, tuple[str, ...]]:
        """The split, its objects ordered by picture; and what was wrong with some of them."""
        number = {key: names.index(name) for key, name in self.names.items()}
        table = Table()
        row = np.array([self.rows.get(i, -1) for i in self.picture], np.int64)
        label = np.array([number.get(i, -1) for i in self.category], np.int64)
        table.wrong["set aside: of a category the file does not list"] = int((label < 0).sum())
        table.wrong["set aside: on a picture the file does not list"] = int((row < 0).sum())
        boxes, crowd = np.array(self.box).reshape(-1, 4), np.array(self.crowd, bool)
        order = np.argsort(row, kind="stable")
        order = order[(row[order] >= 0) & (label[order] >= 0)]
        sizes = np.array(self.sizes, np.int64).reshape(-1, 2)
        ends = np.searchsorted(row[order], np.arange(len(sizes) + 1))
        for i, size in enumerate(sizes.tolist()):
            own = order[ends[i] : ends[i + 1]]
            table.add(boxes[own], label[own], ~crowd[own], (size[0], size[1]), own)
        store = Paths(pictures_folder(path, self.file, self.paths), self.paths)
        rows = np.flatnonzero(present(store, set_aside))
        objects: Objects = table.objects(self.outline)
        return Annotated(store, sizes, objects, names, rows), table.notes()

    def outline(self, number: int) -> Tensor:
        """The (h, w) bitmap of an annotation, from the file. One without an outline is its whole box."""
        with self.file.open("rb") as f:
            f.seek(self.place[2 * number])
            entry = json.loads(f.read(self.place[2 * number + 1]))
        row = self.rows[self.picture[number]]
        height, width = self.sizes[2 * row], self.sizes[2 * row + 1]
        what = entry.get("segmentation")
        try:
            if isinstance(what, dict):
                runs = unpack_runs(what["counts"]) if isinstance(what["counts"], str) else what["counts"]
                return from_runs(runs, height, width)
            if what:
                return from_polygons(what, height, width)
        except (DataError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{self.file}: annotation {entry.get('id')}: {error}") from None
        bitmap = torch.zeros(height, width, dtype=torch.bool)
        x1, y1, x2, y2 = (round(v) for v in self.box[4 * number : 4 * number + 4])
        bitmap[max(0, y1) : y2, max(0, x1) : x2] = True
        return bitmap


def sections(file: Path) -> Iterator[tuple[str, Any, int, int]]:
    """(name of a section, one of its entries, first byte, length) through a file of the form {"name": [{…}, …], …}.

    Bytes are taken for letters one by one, so that positions are bytes; `utf8` puts text right again. Raises DataError
    with the byte where the file stops being JSON.
    """
    with file.open("r", encoding="latin-1", newline="") as f:
        text = Window(f, file)
        text.expect("{")
        while not text.sees("}"):
            name = text.value()[0]
            text.expect(":")
            if text.sees("["):
                text.expect("[")
                while not text.sees("]"):
                    value, start, end = text.value()
                    yield str(name), value, start, end - start
                    text.skip(",")
                text.expect("]")
            else:
                text.value()
            text.skip(",")


class Window:
    """A piece of a long text, which moves along as values are taken from it."""

    def __init__(self, f: Any, file: Path) -> None:
        self.f, self.file = f, file
        self.text, self.at, self.before = "", 0, 0  # what is held, where we are in it, how much came before it

    def more(self) -> bool:
        """Forget what was read, and read on; False at the end."""
        block = self.f.read(max(BLOCK, len(self.text) - self.at))
        self.before += self.at
        self.text, self.at = self.text[self.at :] + block, 0
        return bool(block)

    def letter(self) -> str:
        """The next letter that is no space; empty at the end."""
        while True:
            self.at = SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def sees(self, letter: str) -> bool:
        found = self.letter()
        if not found:
            raise self.broken("it ends too soon")
        return found == letter

    def skip(self, letter: str) -> None:
        found = self.letter()  # moves on
        self.at += found == letter

    def expect(self, letter: str) -> None:
        if self.letter() != letter:
            raise self.broken(f"{letter} expected")
        self.at += 1

    def value(self) -> tuple[Any, int, int]:
        """The next value, and its first and last byte; more is read until it is whole."""
        while True:
            self.letter()
            try:
                value, end = DECODER.raw_decode(self.text, self.at)
            except ValueError as error:
                if self.more():
                    continue
                raise self.broken(str(error).partition(":")[0]) from None
            if end == len(self.text) and self.more():  # a number may go on
                continue
            start, self.at = self.at, end
            return value, self.before + start, self.before + end

    def broken(self, why: str) -> DataError:
        return DataError(
            f"{self.file}: not JSON from byte {self.before + self.at:,} on ({why}); download or write it again"
        )


def utf8(text: Any) -> str:
    """Letters that were bytes."""
    if not isinstance(text, str):
        raise TypeError(f"{text!r}, which should be text")
    try:
        return text.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):  # written as \u0000 escapes
        return text


def pictures_folder(path: Path, file: Path, names: list[str]) -> Path:
    """Where the pictures lie: below the set, beside the file, or in a folder named as the file's split."""
    root = path if path.is_dir() else path.parent
    tail = file.stem.rpartition("_")[2]
    candidates = [
        root / tail,
        file.parent.parent / tail,
        root / "images" / tail,
        root / "images",
        root,
        file.parent,
        file.parent.parent,
        *folders(root),
    ]
    for folder in candidates:
        if any((folder / name).is_file() for name in names[:5]):
            return folder
    return candidates[0]


def folders(root: Path) -> list[Path]:
    return [root / name for name in ("train", "valid", "val", "test", "JPEGImages")]
