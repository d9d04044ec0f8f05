"""A table of joints: file, then `NAME x`, `NAME y` and perhaps `NAME visible` for each, and perhaps split.

`_` and `.` part words as a space does. An empty cell is a joint nobody knows; visible is 1 or 0, and 1 if not told.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from legato.data.policy import SPLITS
from legato.data.poses import HIDDEN, UNKNOWN, VISIBLE, PosedPictures, PoseSet, skeleton_of
from legato.errors import DataError
from legato.task import Split

TABLES = ("joints.csv", "keypoints.csv", "poses.csv")
FILE = ("file", "filename", "image", "path", "picture")
ENDS = {"x": "x", "y": "y", "v": "visible", "visible": "visible", "visibility": "visible"}
PARTED = re.compile(r"[ _.]+")


class Columns(NamedTuple):
    """Which column holds what."""

    file: int
    split: int  # −1: none
    joints: dict[str, dict[str, int]]  # name → x, y and perhaps visible


def recognises(path: Path) -> bool:
    return holds(path)


def holds(path: Path) -> bool:
    """Whether there is a table of joints."""
    return (file := table(path)) is not None and columns(header(file)) is not None


def table(path: Path) -> Path | None:
    if path.is_file():
        return path if path.suffix.lower() == ".csv" else None
    return next((path / name for name in TABLES if (path / name).is_file()), None)


def header(file: Path) -> list[str]:
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as text:
        return next(csv.reader(text), [])


def columns(names: Sequence[str]) -> Columns | None:
    """None where these are no columns of joints."""
    joints: defaultdict[str, dict[str, int]] = defaultdict(dict)
    plain = [name.strip().lower() for name in names]
    for i, name in enumerate(plain):
        words = [word for word in PARTED.split(name) if word]
        if len(words) > 1 and words[-1] in ENDS:
            joints[" ".join(words[:-1])][ENDS[words[-1]]] = i
    whole = {name: where for name, where in joints.items() if {"x", "y"} <= where.keys()}
    file = next((i for i, name in enumerate(plain) if name in FILE), -1)
    return Columns(file, plain.index("split") if "split" in plain else -1, whole) if whole and file >= 0 else None


def read(path: Path) -> PoseSet:
    """Raises DataError naming file and line."""
    file = table(path)
    assert file is not None, "holds() first"
    where = columns(header(file))
    assert where is not None, "holds() first"
    people: defaultdict[Split, list[tuple[Path, np.ndarray]]] = defaultdict(list)
    folder = next((f for f in (file.parent / "images", file.parent) if f.is_dir()), file.parent)
    with file.open(newline="", encoding="utf-8-sig") as text:
        for number, row in enumerate(csv.reader(text), start=1):
            if number == 1 or not any(row):
                continue
            name, split, joints = parsed(row, where, file, number)
            picture = next((f / name for f in (file.parent, folder) if (f / name).is_file()), file.parent / name)
            people[split].append((picture, joints))
    if not people["train"]:
        raise DataError(f"{file}: nobody to train on; rows need a split of train, or no column split")
    skeleton = skeleton_of(list(where.joints))
    splits: dict[Split, PosedPictures] = {
        split: PosedPictures(tuple(f for f, _ in own), np.stack([j for _, j in own]), skeleton)
        for split, own in people.items()
        if own
    }
    told = "splits as the table says" if where.split >= 0 else "the table has no column split"
    return PoseSet("csv", skeleton, splits, told)


def parsed(row: Sequence[str], where: Columns, file: Path, number: int) -> tuple[str, Split, np.ndarray]:
    """The picture's name, its split, and (k, 3) joints."""
    try:
        split = row[where.split].strip().lower() if where.split >= 0 else "train"
        if split not in SPLITS:
            raise DataError(f"{file}, line {number}: split {split!r} is none of {', '.join(SPLITS)}")
        joints = [joint(row, of) for of in where.joints.values()]
        return row[where.file].strip(), SPLITS[split], np.array(joints, np.float32)
    except (IndexError, ValueError) as error:
        raise DataError(f"{file}, line {number}: {error}; each joint has two numbers, or two empty cells") from None


def joint(row: Sequence[str], of: dict[str, int]) -> tuple[float, float, int]:
    x, y = row[of["x"]].strip(), row[of["y"]].strip()
    if not x and not y:
        return 0.0, 0.0, UNKNOWN
    if not np.isfinite([float(x), float(y)]).all():
        return 0.0, 0.0, UNKNOWN
    seen = row[of["visible"]].strip() if "visible" in of else "1"
    return float(x), float(y), VISIBLE if not seen or float(seen) > 0 else HIDDEN
