"""Pictures of people with their joints. Recognised by what lies in the folder:

lsp       joints.mat beside images/ (Leeds Sports Pose)
csv       a table, or joints.csv (keypoints.csv, poses.csv) in the folder: file, then `NAME x`, `NAME y` and perhaps
          `NAME visible` for each joint, and perhaps a column split; an empty cell is a joint nobody knows
coco      annotations/person_keypoints_….json, or such a file: each person is an example, cut out with some room around

A joint that is called `left x` or `left_x` changes places with `right x` in a mirror.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Float32

from legato.data.decode import read_image
from legato.data.examples import SetAside
from legato.data.splits import deal, hold_out, parse_fold, shares, who_validates
from legato.errors import DataError
from legato.task import Split
from legato.values import Image, Keypoints, Skeleton
from legato.values.keypoints import ARM_AND_LEG, COCO, LSP

VISIBLE, HIDDEN, UNKNOWN = 1, 0, -1  # the third number of a joint
ROOM = 0.125  # of a person's box, seen on each side of it
BROKEN = 0.01  # share of pictures that may be missing


@dataclass(frozen=True, eq=False)
class PosedPictures(Sequence[tuple[Image, Keypoints]]):
    """Pictures with one person each, read when they are asked for; of pictures with several, a piece each."""

    files: tuple[Path, ...]
    joints: Float32[np.ndarray, "n k 3"]  # x, y in pixels of the whole picture; 1 visible, 0 hidden, −1 unknown
    skeleton: Skeleton
    boxes: Float32[np.ndarray, "n 4"] | None = None  # x1 y1 x2 y2 around each person, if there may be others beside
    channels: int = 3

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Image, Keypoints]:  # type: ignore[override]
        """Raises DataError for a broken picture."""
        image = Image(read_image(self.files[i], self.channels), str(self.files[i]))
        points, state = torch.from_numpy(self.joints[i, None, :, :2]), torch.from_numpy(self.joints[i, None, :, 2])
        person = Keypoints(points.clone(), state > HIDDEN, (state > UNKNOWN).float(), self.skeleton)
        if self.boxes is None:
            return image, person
        left, top, right, bottom = frame(self.boxes[i], *image.pixels.shape[1:])
        piece = Image(image.pixels[:, top:bottom, left:right], image.source)
        return piece, person.crop(left, top, right - left, bottom - top)

    def name(self, i: int) -> str:
        return self.files[i].name

    def take(self, chosen: np.ndarray) -> "PosedPictures":
        """Those of these numbers."""
        boxes = None if self.boxes is None else self.boxes[chosen]
        files = tuple(self.files[i] for i in chosen.tolist())
        return replace(self, files=files, joints=self.joints[chosen], boxes=boxes)


def frame(box: np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is cut out for a person: the box and its room, on the picture."""
    x1, y1, x2, y2 = box.tolist()
    dx, dy = ROOM * (x2 - x1), ROOM * (y2 - y1)
    left, top = (min(max(0, int(low)), side - 1) for low, side in ((x1 - dx, width), (y1 - dy, height)))
    right, bottom = (
        min(max(low + 1, round(high)), side) for low, high, side in ((left, x2 + dx, width), (top, y2 + dy, height))
    )
    return left, top, right, bottom


@dataclass(frozen=True, eq=False)
class PoseSet:
    """A data set as read: the people of each split, and where the splits came from."""

    format: str
    skeleton: Skeleton
    splits: dict[Split, PosedPictures]
    policy: str
    set_aside: SetAside = field(default_factory=list)

    @cached_property
    def fingerprint(self) -> str:
        """A sha256 that changes with the names, the joints and the splits."""
        sha = hashlib.sha256(repr(self.skeleton).encode())
        for split, people in self.splits.items():
            sha.update(repr((split, [file.name for file in people.files])).encode())
            sha.update(people.joints.tobytes())
        return sha.hexdigest()


def recognises(path: Path) -> bool:
    """Whether there are people with joints, and nothing that asks another question of the same pictures."""
    return path.exists() and any(form.recognises(path) for form in forms())


def read(path: str | Path, fold: str = "") -> PoseSet:
    """The people there, in three splits; `fold`: "2/5", the second fifth of train and valid validates.

    Raises DataError for a path without joints, or where joints and pictures do not agree.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: not found")
    if (form := next((form for form in forms() if form.holds(path)), None)) is None:
        raise DataError(
            f"{path}: no poses; legato reads joints.mat beside images/ (Leeds Sports Pose), COCO's person_keypoints, "
            "and tables with columns NAME x, NAME y"
        )
    return complete(form.read(path), fold)


def forms() -> list[ModuleType]:
    from legato.data import poses_coco, poses_csv, poses_lsp  # they fill the tables of this file

    return [poses_lsp, poses_csv, poses_coco]


def complete(found: PoseSet, fold: str) -> PoseSet:
    """All three splits: without one to validate on, a tenth of train; pictures that are missing set aside."""
    set_aside = list(found.set_aside)
    splits = {split: present(people, set_aside) for split, people in found.splits.items()}
    train = splits["train"]
    nobody, policy = train.take(np.arange(0)), found.policy
    valid = splits.get("valid", nobody)
    if fold:
        number, folds = parse_fold(fold)
        every = joined(train, valid)
        held = deal(of_each(every), np.zeros(len(every)), folds) == number
        train, valid = every.take(np.flatnonzero(~held)), every.take(np.flatnonzero(held))
        policy += f"; of the others {who_validates(fold)}"
    elif not len(valid):
        held = hold_out(of_each(train), np.zeros(len(train))) == 1
        train, valid = train.take(np.flatnonzero(~held)), train.take(np.flatnonzero(held))
        policy += "; valid is the last tenth of the others by the hash of each name"
    if not len(train):
        raise DataError(f"{found.format}: nobody to train on; {policy}")
    test = splits.get("test", nobody)
    policy += "" if len(test) else "; there is no test split"
    return replace(found, splits={"train": train, "valid": valid, "test": test}, policy=policy, set_aside=set_aside)


def of_each(people: PosedPictures) -> np.ndarray:
    """By the picture's name, so that all people of a picture fall to one split."""
    return shares(file.name for file in people.files)


def joined(a: PosedPictures, b: PosedPictures) -> PosedPictures:
    boxes = None if a.boxes is None or b.boxes is None else np.concatenate([a.boxes, b.boxes])
    return replace(a, files=a.files + b.files, joints=np.concatenate([a.joints, b.joints]), boxes=boxes)


def present(people: PosedPictures, set_aside: SetAside) -> PosedPictures:
    """Those whose picture is there. Raises DataError if more than 1 % are missing."""
    there = np.array([file.is_file() for file in people.files], bool)
    missing = [people.files[i] for i in np.flatnonzero(~there).tolist()]
    set_aside += [(file.name, f"{file}: listed, but there is no such picture") for file in missing]
    if len(missing) > max(1, BROKEN * len(people)):
        raise DataError(f"{len(missing)} of {len(people)} pictures are missing, the first: {missing[0]}")
    return people.take(np.flatnonzero(there)) if missing else people


def skeleton_of(names: Sequence[str], limbs: Sequence[tuple[str, str]] = ()) -> Skeleton:
    """Joints by these names, and the limbs between them: those given, else those a body is known to have."""
    known = limbs or [
        limb for limb in dict.fromkeys((*ARM_AND_LEG, *LSP.limbs, *COCO.limbs)) if set(limb) <= set(names)
    ]
    return Skeleton(tuple(names), tuple(known))
