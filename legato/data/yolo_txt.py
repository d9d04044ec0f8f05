"""YOLO's text files: for each picture a .txt with a line an object, `class cx cy w h` as shares of the picture.

images/ and labels/ side by side, perhaps with a folder a split in each, or a folder a split with both inside; the
classes in data.yaml, classes.txt or obj.names. A line with more numbers is an outline: its box is what holds it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from legato.data.annotated import Annotated, AnnotatedSet, Table, same_names, tenths
from legato.data.decode import read_size
from legato.data.examples import Paths, SetAside
from legato.data.image_folder import picture_files
from legato.data.policy import SPLITS, TENTHS
from legato.errors import DataError
from legato.task import Split
from legato.values import Boxes

LISTS = ("classes.txt", "obj.names", "labels/classes.txt")
YAML = ("data.yaml", "data.yml", "dataset.yaml")


def recognises(path: Path) -> bool:
    return path.is_dir() and bool(layout(path))


def read(path: Path) -> AnnotatedSet:
    """Reads every label file and every picture's header. Raises DataError naming file and line."""
    given = layout(path)
    if "train" not in given:
        raise DataError(f"{path}: labels for {', '.join(given)}, but none for training")
    names = class_names(path, given)
    set_aside: SetAside = []
    splits: dict[Split, Annotated] = {}
    notes: list[str] = []
    for split, (images, labels) in given.items():
        splits[split], said = annotated(path / images, path / labels, names, set_aside)
        notes += [f"{split}: {note}" for note in said]
    policy = f"{', '.join(splits)} as in {', '.join(labels for _, labels in given.values())}"
    if len(splits) == 1:
        splits, policy = tenths(splits["train"]), TENTHS
    return AnnotatedSet("yolo_txt", names, splits, policy, tuple(notes), set_aside)


def layout(path: Path) -> dict[Split, tuple[str, str]]:
    """For each split the folders of its pictures and of its labels."""
    found: dict[Split, tuple[str, str]] = {}
    for word, split in SPLITS.items():
        for images, labels in ((f"images/{word}", f"labels/{word}"), (f"{word}/images", f"{word}/labels")):
            if split not in found and (path / images).is_dir() and (path / labels).is_dir():
                found[split] = images, labels
    if not found and (path / "images").is_dir() and any((path / "labels").glob("*.txt")):
        found["train"] = "images", "labels"
    return found


def class_names(path: Path, given: dict[Split, tuple[str, str]]) -> tuple[str, ...]:
    """From the set's own list; each split may have one too, which must be the same."""
    lists: dict[Split, tuple[str, ...]] = {}
    where: dict[Split, str] = {}
    for split, (images, labels) in given.items():
        for folder in (path / labels, (path / images).parent, path):
            if names := listed(folder):
                lists[split], where[split] = names[0], str(names[1])
                break
    if "train" not in lists:
        raise DataError(f"{path}: no list of classes; write their names, one a line, into {path / 'classes.txt'}")
    return same_names(lists, where)


def listed(folder: Path) -> tuple[tuple[str, ...], Path] | None:
    """The classes this folder lists, and where."""
    for name in LISTS:
        if (folder / name).is_file():
            lines = (folder / name).read_text().splitlines()
            return tuple(line.strip() for line in lines if line.strip()), folder / name
    for name in YAML:
        if (folder / name).is_file():
            return from_yaml(folder / name), folder / name
    return None


def from_yaml(file: Path) -> tuple[str, ...]:
    try:
        import yaml
    except ImportError:
        raise DataError(
            f"{file}: needs PyYAML to be read: pip install 'legato[vision]', or write classes.txt"
        ) from None
    try:
        about: Any = yaml.safe_load(file.read_text())
        names = about["names"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise DataError(f"{file}: no list called names in it ({error.__class__.__name__}); add one") from None
    return tuple(str(names[k]) for k in sorted(names)) if isinstance(names, dict) else tuple(map(str, names))


def annotated(
    images: Path, labels: Path, names: tuple[str, ...], set_aside: SetAside
) -> tuple[Annotated, tuple[str, ...]]:
    table, found, sizes = Table(), [], []
    without = 0
    for name in picture_files(images):
        try:
            height, width, _ = read_size(images / name)
        except DataError as error:
            set_aside.append((name, str(error)))
            continue
        file = (labels / name).with_suffix(".txt")
        lines = file.read_text().splitlines() if file.is_file() else []
        without += not file.is_file()
        rows = [row for i, line in enumerate(lines, 1) if (row := parsed(line, file, i, names))]
        corners = np.array([box for _, box in rows]).reshape(-1, 4) * [width, height, width, height]
        classes = np.array([label for label, _ in rows], np.int64)
        table.add(corners, classes, np.ones(len(rows), bool), (height, width))
        found.append(name)
        sizes.append((height, width))
    notes = table.notes() + ((f"{without:,} pictures have no label file: nothing is on them",) if without else ())
    store, every = Paths(images, found), np.array(sizes, np.int64).reshape(-1, 2)
    return Annotated(store, every, table.objects(), names, np.arange(len(found))), notes


def parsed(line: str, file: Path, number: int, names: Sequence[str]) -> tuple[int, list[float]] | None:
    """Class and corners, as shares of the picture; None for an empty line."""
    words = line.split()
    if not words:
        return None
    try:
        label, shares = int(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        raise DataError(f"{file}, line {number}: {line.strip()[:40]!r} is no `class cx cy w h`") from None
    if not 0 <= label < len(names):
        raise DataError(
            f"{file}, line {number}: class {label}, but there are {len(names)} ({', '.join(names[:8])}), counted from 0"
        )
    if len(shares) in (4, 5):  # the fifth is the score of one who found it
        x, y, w, h = shares[:4]
        return label, [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
    if len(shares) < 6 or len(shares) % 2:
        raise DataError(
            f"{file}, line {number}: {len(shares)} numbers after the class; a box has 4, an outline 6 or more"
        )
    return label, [min(shares[::2]), min(shares[1::2]), max(shares[::2]), max(shares[1::2])]


def write(folder: Path, name: str, boxes: Boxes, height: int, width: int) -> Path:
    """A line a box: class, centre x, centre y, width, height as shares of the picture's, score."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LISTS[0]).write_text("".join(f"{name}\n" for name in boxes.names))
    rows = zip(boxes.labels.tolist(), boxes.to_yolo(width, height), boxes.scores.tolist())
    lines = (f"{label} {' '.join(f'{v:.6f}' for v in box)} {score:.4f}\n" for label, box, score in rows)
    (file := folder / f"{name}.txt").write_text("".join(lines))
    return file
