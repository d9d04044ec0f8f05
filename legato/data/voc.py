"""Pascal VOC: JPEGImages/, Annotations/ with an XML file for each picture, and ImageSets/Main/ with the splits.

Everingham et al. 2010, "The Pascal Visual Object Classes challenge". Corners are the first and last pixel counted from
1; a set in which a box begins at 0 counts from 0, as many labelling tools do.
"""

from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.parsers import expat

import numpy as np

from legato.data.annotated import Annotated, AnnotatedSet, Table, present
from legato.data.decode import ENDINGS
from legato.data.examples import Paths, SetAside
from legato.data.policy import SPLITS, TENTHS
from legato.data.splits import hold_out, shares
from legato.errors import DataError
from legato.task import Split

LAYOUT = "JPEGImages/, Annotations/ and perhaps ImageSets/Main/{train,val,test}.txt"
CORNERS = ("xmin", "ymin", "xmax", "ymax")
PARTS: dict[Split, int] = {"train": 0, "valid": 1, "test": 2}  # as `hold_out` numbers them


class Annotation(NamedTuple):
    """What one XML file says, in its own words."""

    file_name: str
    size: tuple[int, int]  # height, width
    names: list[str]
    corners: np.ndarray  # (m, 4), first and last pixel
    difficult: np.ndarray  # (m,)


def recognises(path: Path) -> bool:
    return (path / "Annotations").is_dir() and (path / "JPEGImages").is_dir()


def read(path: Path) -> AnnotatedSet:
    """Reads every annotation, no picture. Raises DataError naming the file that cannot be meant."""
    splits, policy = split_names(path)
    stems = list(dict.fromkeys(stem for listed in splits.values() for stem in listed))
    found = [parse(path / "Annotations" / f"{stem}.xml") for stem in stems]
    names = tuple(sorted({name for one in found for name in one.names}))
    origin = 0 if any((one.corners[:, :2] == 0).any() for one in found) else 1
    number, table = {name: k for k, name in enumerate(names)}, Table()
    for one in found:
        corners = one.corners - [origin, origin, 0, 0]
        table.add(corners, np.array([number[n] for n in one.names], np.int64), ~one.difficult, one.size)
    store = Paths(path / "JPEGImages", (picture_of(path, stem, one.file_name) for stem, one in zip(stems, found)))
    set_aside: SetAside = []
    there = present(store, set_aside)
    row = {stem: i for i, stem in enumerate(stems)}
    objects, sizes = table.objects(), np.array([one.size for one in found], np.int64).reshape(-1, 2)
    parts: dict[Split, Annotated] = {}
    for split, listed in splits.items():
        rows = np.array([row[stem] for stem in listed if there[row[stem]]], np.int64)
        parts[split] = Annotated(store, sizes, objects, names, rows)
    seen_in_training(path, parts)
    return AnnotatedSet("voc", names, parts, policy, table.notes(), set_aside)


def split_names(path: Path) -> tuple[dict[Split, list[str]], str]:
    """The stems of each split, from ImageSets/Main; without it, tenths of all annotations."""
    folder = path / "ImageSets" / "Main"
    by_stem = {f.stem: f for f in folder.glob("*.txt")}
    lists = {split: by_stem[word] for word, split in SPLITS.items() if word in by_stem}
    if "train" in lists:
        given: dict[Split, list[str]] = {}
        for split, file in lists.items():
            given[split] = [line.split()[0] for line in file.read_text().splitlines() if line.strip()]
        twice = set(given["train"]) & {stem for split, listed in given.items() if split != "train" for stem in listed}
        if twice:
            raise DataError(
                f"{folder}: {len(twice)} pictures are in train and in another split, such as {min(twice)}; "
                "keep each in one"
            )
        return given, f"{', '.join(given)} as in ImageSets/Main"
    stems = sorted(file.stem for file in (path / "Annotations").glob("*.xml"))
    if not stems:
        raise DataError(f"{path / 'Annotations'}: no XML files; legato reads VOC as {LAYOUT}")
    part = hold_out(shares(stems), np.zeros(len(stems), np.int64), parts=2)
    dealt = {split: [s for s, p in zip(stems, part) if p == k] for split, k in PARTS.items()}
    return dealt, TENTHS


def picture_of(path: Path, stem: str, told: str) -> str:
    """The file beside the annotation: of its own stem, or as it says itself."""
    folder = path / "JPEGImages"
    candidates = [f"{stem}.jpg", Path(told.replace("\\", "/")).name, *(f"{stem}{suffix}" for suffix in ENDINGS)]
    return next((name for name in candidates if name and (folder / name).is_file()), f"{stem}.jpg")


def parse(file: Path) -> Annotation:
    """One annotation. Raises DataError for damage, a missing part, or a document type, which may hide a bomb."""
    root = tree(file)
    boxes: list[list[float]] = []
    names: list[str] = []
    difficult: list[bool] = []
    for thing in root.findall("object"):
        box = thing.find("bndbox")
        corners = [box.findtext(corner) if box is not None else None for corner in CORNERS]
        name = (thing.findtext("name") or "").strip()
        if not name or None in corners:
            raise DataError(
                f"{file}: object {len(names) + 1} lacks its name or a corner of its box; complete it or take it out"
            )
        names.append(name)
        boxes.append([number(file, text) for text in corners])
        difficult.append((thing.findtext("difficult") or "0").strip() == "1")
    height, width = (int(number(file, root.findtext(f"size/{side}"))) for side in ("height", "width"))
    if height < 1 or width < 1:
        raise DataError(f"{file}: the picture's size is {width} × {height}; write its true size")
    corners_array = np.array(boxes, np.float64).reshape(-1, 4)
    return Annotation(root.findtext("filename") or "", (height, width), names, corners_array, np.array(difficult, bool))


def number(file: Path, text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise DataError(f"{file}: {text!r} stands where a number of pixels should") from None


def tree(file: Path) -> Element:
    """The XML of a file, without any entity: a document type is refused before it can define one."""
    builder, parser = TreeBuilder(), expat.ParserCreate()

    def refuse(name: str, *_: object) -> None:
        raise DataError(f"{file}: declares a document type ({name}), which annotations have no use for; take it out")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(file.read_bytes(), True)
        return builder.close()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}), but a split lists it") from None
    except (expat.ExpatError, ParseError, ValueError, LookupError) as error:
        raise DataError(f"{file}: not well-formed XML ({error}); write it again") from None


def seen_in_training(path: Path, parts: dict[Split, Annotated]) -> None:
    """Raises DataError for a class that only other splits have."""
    trained = {name for name, count in parts["train"].counts().items() if count}
    for split, part in parts.items():
        unseen = [name for name, count in part.counts().items() if count and name not in trained]
        if unseen:
            raise DataError(
                f"{path}: {split} has classes that train has no box of: {', '.join(unseen[:8])}; "
                "add some or take them out"
            )
