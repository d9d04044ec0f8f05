"""Pictures with boxes and outlines on them: lazy tables in three splits, whichever format they were written in.

Boxes that cannot be meant are set aside, those that reach over the edge are clipped, and both are counted: what a set
holds and what was made of it is told once, when it is read.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from legato.data.examples import Paths, SetAside, file_size
from legato.data.splits import deal, hold_out, parse_fold, shares, who_validates
from legato.errors import DataError
from legato.task import Split
from legato.values import Boxes, Image, Masks

Corners = Float32[np.ndarray, "m 4"]  # x1 y1 x2 y2, pixels
Outline = Callable[[int], Tensor]  # number of an object → its (h, w) bitmap
BROKEN = 0.01  # share of pictures that may be missing


@dataclass(frozen=True, eq=False)
class Objects:
    """Everything drawn on the pictures of a split, picture after picture.

    `sure` is false for what counts neither as found nor as missed: VOC's difficult objects, COCO's crowds.
    """

    corners: Corners
    labels: Int64[np.ndarray, "m"]
    sure: Bool[np.ndarray, "m"]
    first: Int64[np.ndarray, "p_and_1"]  # picture p has objects first[p] … first[p + 1] − 1
    outline: Outline | None = None
    numbers: Int64[np.ndarray, "m"] | None = None  # what `outline` calls each object


@dataclass(frozen=True, eq=False)
class Annotated(Sequence[Any]):
    """A split: rows of a table of pictures with their objects; nothing is decoded before it is asked for."""

    store: Paths
    sizes: Int64[np.ndarray, "p 2"]  # height and width of each picture, as its annotation says
    objects: Objects
    names: tuple[str, ...]
    rows: Int64[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[Image, Boxes]:  # type: ignore[override]
        """The picture and its true boxes; score 0 marks one that does not count.

        Raises DataError for a file that is broken, or of another size than its annotation says.
        """
        return self.image(i), self.boxes(i)

    def image(self, i: int) -> Image:
        image = self.store.image(int(self.rows[i]), 3)
        found, told = tuple(image.pixels.shape[1:]), tuple(self.sizes[self.rows[i]].tolist())
        if found != told:
            raise DataError(
                f"{image.source}: {found[1]} × {found[0]} pixels, but annotated as {told[1]} × {told[0]}: "
                "its boxes would be in the wrong place; restore the picture or scale its boxes"
            )
        return image

    def of(self, i: int) -> slice:
        """Its objects in the table."""
        row = self.rows[i]
        return slice(int(self.objects.first[row]), int(self.objects.first[row + 1]))

    def boxes(self, i: int) -> Boxes:
        own = self.of(i)
        corners, labels, sure = self.objects.corners[own], self.objects.labels[own], self.objects.sure[own]
        scores = torch.from_numpy(sure.astype(np.float32))
        return Boxes(torch.from_numpy(corners.copy()), torch.from_numpy(labels.copy()), scores, self.names)

    def masks(self, i: int) -> Masks:
        """Its objects with their outlines. Raises DataError where a set has boxes only."""
        outline, numbers = self.objects.outline, self.objects.numbers
        if outline is None or numbers is None:
            raise DataError(f"{self.store.root}: boxes only, no outlines; use the task detect")
        height, width = self.sizes[self.rows[i]].tolist()
        bitmaps = [outline(number) for number in numbers[self.of(i)].tolist()]
        return Masks(
            torch.stack(bitmaps) if bitmaps else torch.zeros(0, height, width, dtype=torch.bool), self.boxes(i)
        )

    def name(self, i: int) -> str:
        return self.store[int(self.rows[i])]

    def names_of_pictures(self) -> list[str]:
        return [self.store[row] for row in self.rows.tolist()]

    def take(self, chosen: np.ndarray) -> "Annotated":
        return replace(self, rows=self.rows[chosen])

    def counts(self) -> dict[str, int]:
        """Objects of each class."""
        per_picture = np.diff(self.objects.first)
        wanted = np.zeros(len(per_picture), bool)
        wanted[self.rows] = True
        labels = self.objects.labels[np.repeat(wanted, per_picture)]
        return dict(zip(self.names, np.bincount(labels, minlength=len(self.names)).tolist()))


@dataclass(frozen=True, eq=False)
class AnnotatedSet:
    """A data set as read. `policy` says which split came from where; `notes` what was clipped or set aside."""

    format: str
    names: tuple[str, ...]
    splits: dict[Split, Annotated]
    policy: str
    notes: tuple[str, ...] = ()
    set_aside: SetAside = field(default_factory=list)
    kind: str = "boxes"

    @property
    def outlined(self) -> bool:
        """Whether objects have outlines, from which masks are drawn."""
        return self.splits["train"].objects.outline is not None


def tenths(every: Annotated) -> dict[Split, Annotated]:
    """80 % to train on, a tenth to validate and a tenth to test with, by the hash of each picture's name."""
    part = hold_out(shares(every.names_of_pictures()), np.zeros(len(every), np.int64), parts=2)
    return {"train": every.take(part == 0), "valid": every.take(part == 1), "test": every.take(part == 2)}


class Table:
    """Objects while they are being read, picture by picture; what is wrong with them is counted."""

    def __init__(self) -> None:
        self.corners: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []
        self.sure: list[np.ndarray] = []
        self.numbers: list[np.ndarray] = []
        self.first = [0]
        self.wrong: Counter[str] = Counter()

    def add(
        self,
        corners: np.ndarray,
        labels: np.ndarray,
        sure: np.ndarray,
        size: tuple[int, int],
        numbers: np.ndarray | None = None,
    ) -> None:
        """The objects of the next picture, which is (height, width) pixels."""
        kept, clipped = usable(corners, size, self.wrong)
        self.corners.append(clipped[kept])
        self.labels.append(labels[kept])
        self.sure.append(sure[kept])
        self.numbers.append((np.arange(len(labels)) if numbers is None else numbers)[kept])
        self.first.append(self.first[-1] + int(kept.sum()))

    def objects(self, outline: Outline | None = None) -> Objects:
        return Objects(
            np.concatenate([*self.corners, np.zeros((0, 4))]).astype(np.float32),
            np.concatenate([*self.labels, np.zeros(0)]).astype(np.int64),
            np.concatenate([*self.sure, np.zeros(0)]).astype(bool),
            np.array(self.first, np.int64),
            outline,
            np.concatenate([*self.numbers, np.zeros(0)]).astype(np.int64),
        )

    def notes(self) -> tuple[str, ...]:
        return tuple(f"{count:,} boxes {what}" for what, count in sorted(self.wrong.items()))


def usable(corners: np.ndarray, size: tuple[int, int], wrong: Counter[str]) -> tuple[np.ndarray, np.ndarray]:
    """Which boxes can be meant, and all of them clipped to their picture; `wrong` counts what happened."""
    corners = np.asarray(corners, np.float64).reshape(-1, 4)
    height, width = size
    finite: np.ndarray = np.all(np.isfinite(corners), axis=1)
    ordered: np.ndarray = finite & np.all(corners[:, 2:] >= corners[:, :2], axis=1)
    clipped = np.clip(np.nan_to_num(corners), 0, [width, height, width, height])
    has_area = ordered & (corners[:, 2:] > corners[:, :2]).all(1)
    kept: np.ndarray = has_area & (clipped[:, 2:] > clipped[:, :2]).all(1)
    wrong["set aside: not numbers"] += int((~finite).sum())
    wrong["set aside: corners exchanged"] += int((finite & ~ordered).sum())
    wrong["set aside: without area"] += int((ordered & ~has_area).sum())
    wrong["set aside: beside their picture"] += int((has_area & ~kept).sum())
    wrong["clipped to the edge of their picture"] += int((kept & (np.abs(clipped - corners) > 0.5).any(1)).sum())
    for what in [what for what, count in wrong.items() if not count]:
        del wrong[what]
    return kept, clipped


def same_names(given: dict[Split, tuple[str, ...]], where: dict[Split, str]) -> tuple[str, ...]:
    """The one list of classes of all splits. Raises DataError naming the difference."""
    train = given["train"]
    for split, names in given.items():
        more = [n for n in names if n not in train]
        fewer = [n for n in train if n not in names]
        if more or fewer:
            difference = [f"has {', '.join(more[:8])} more"] * bool(more) + [f"lacks {', '.join(fewer[:8])}"] * bool(
                fewer
            )
            raise DataError(
                f"{where[split]}: classes differ from {where['train']}: "
                f"{' and '.join(difference)}; make the two lists equal"
            )
        if names != train:
            first = next(i for i, (a, b) in enumerate(zip(names, train)) if a != b)
            raise DataError(
                f"{where[split]}: class {first} is {names[first]}, but {train[first]} in {where['train']}; "
                "make the two lists equal"
            )
    return train


def complete(found: AnnotatedSet, fold: str = "") -> AnnotatedSet:
    """All three splits: a tenth of train validates where no split does; `fold` 2/5: the second fifth of both."""
    train = found.splits["train"]
    nobody = np.arange(0)
    splits: dict[Split, Annotated] = {s: found.splits.get(s, train.take(nobody)) for s in ("train", "valid", "test")}
    policy = found.policy
    if fold:
        number, folds = parse_fold(fold)
        if splits["valid"].store is not train.store and len(splits["valid"]):
            raise DataError(
                f"{found.format}: train and valid are two files; folds need them in one: join them, or leave --fold out"
            )
        known = replace(train, rows=np.concatenate([train.rows, splits["valid"].rows]))
        dealt = deal(shares(known.names_of_pictures()), np.zeros(len(known), np.int64), folds)
        splits["train"], splits["valid"] = known.take(dealt != number), known.take(dealt == number)
        policy += (
            f"; then train and valid were dealt anew into {folds} folds by the hash of each name: {who_validates(fold)}"
        )
    elif not len(splits["valid"]):
        part = hold_out(shares(train.names_of_pictures()), np.zeros(len(train), np.int64))
        splits["train"], splits["valid"] = train.take(part == 0), train.take(part == 1)
        policy += (
            f"; valid is the last tenth of train by the hash of each name ({(part == 1).sum():,} of {len(part):,})"
        )
    if not len(splits["test"]):
        policy += "; there is no test split"
    if not len(splits["train"]):
        raise DataError(f"{found.format}: no training pictures; {policy}")
    if not sum(splits["train"].counts().values()):
        raise DataError(f"{found.format}: not one box on {len(splits['train'])} training pictures; {policy}")
    return replace(found, splits=splits, policy=policy)


def present(store: Paths, set_aside: SetAside) -> Bool[np.ndarray, "p"]:
    """Which pictures are there; the others are set aside. Raises DataError if more than 1 % are missing."""
    there = np.array([(store.root / store[i]).is_file() for i in range(len(store))], bool)
    missing = np.flatnonzero(~there).tolist()
    set_aside += [(store[i], f"{store.root / store[i]}: annotated, but there is no such picture") for i in missing]
    if len(missing) > max(1, BROKEN * len(store)):
        raise DataError(
            f"{len(missing)} of {len(store)} annotated pictures are missing, the first: "
            f"{store.root / store[missing[0]]}"
        )
    return there


def fingerprint(found: AnnotatedSet, weighed: int = 1000) -> str:
    """A sha256 that changes with names, splits, boxes, and the sizes of a thousand files. Pictures are not read."""
    sha = hashlib.sha256(repr(found.names).encode())
    for split, examples in found.splits.items():
        sha.update(repr((split, len(examples))).encode())
        for array in (examples.objects.corners, examples.objects.labels, examples.rows):
            sha.update(np.ascontiguousarray(array).tobytes())
        for row in examples.rows[:: len(examples) // weighed + 1].tolist():
            sha.update(repr((examples.store[row], file_size(examples.store.root / examples.store[row]))).encode())
    return sha.hexdigest()


def recognises(path: Path) -> bool:
    """Whether there are pictures with boxes."""
    return path.exists() and form_of(path) is not None


def read(path: str | Path, fold: str = "") -> AnnotatedSet:
    """The set of annotated pictures there, in three splits. Raises DataError for what cannot be meant."""
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: not found")
    from legato.data import id_masks

    if (form := form_of(path) or (id_masks if id_masks.holds(path) else None)) is None:
        raise DataError(
            f"{path}: no boxes found; legato reads Pascal VOC, COCO (a file or a folder), YOLO's text files, and masks "
            "that number objects"
        )
    return complete(form.read(path), fold)


def form_of(path: Path) -> ModuleType | None:
    """The module that reads this, if one does."""
    from legato.data import coco, voc, yolo_txt  # they fill the tables of this file

    return next((form for form in (voc, coco, yolo_txt) if form.recognises(path)), None)
