"""Pictures of people with their joints: the Leeds Sports Pose form, joints.mat beside images/."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.io
import torch
from jaxtyping import Float32

from legato.data.decode import ENDINGS, read_image
from legato.data.splits import deal, hold_out, parse_fold, shares
from legato.errors import DataError
from legato.task import Split
from legato.values import Image, Keypoints
from legato.values.keypoints import LSP, truth


@dataclass(frozen=True, eq=False)
class PosedPictures(Sequence[tuple[Image, Keypoints]]):
    """Pictures with one person each, read when they are asked for."""

    files: tuple[Path, ...]
    joints: Float32[np.ndarray, "n 14 3"]  # x, y in pixels, visible
    channels: int = 3

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Image, Keypoints]:  # type: ignore[override]
        image = Image(read_image(self.files[i], self.channels), str(self.files[i]))
        return image, truth(torch.from_numpy(self.joints[i, :, :2]), torch.from_numpy(self.joints[i, :, 2] > 0), LSP)

    def take(self, chosen: np.ndarray) -> "PosedPictures":
        """Those of these numbers."""
        return replace(self, files=tuple(self.files[i] for i in chosen.tolist()), joints=self.joints[chosen])


@dataclass(frozen=True, eq=False)
class PoseSet:
    """A data set as read: the people of each split, and where the splits came from."""

    format: str
    splits: dict[Split, PosedPictures]
    policy: str

    @cached_property
    def fingerprint(self) -> str:
        """A sha256 that changes with the names, the joints and the splits."""
        sha = hashlib.sha256()
        for split, people in self.splits.items():
            sha.update(repr((split, [file.name for file in people.files])).encode())
            sha.update(people.joints.tobytes())
        return sha.hexdigest()


def recognises(path: Path) -> bool:
    """Whether this folder holds joints.mat beside images/."""
    return (path / "joints.mat").is_file() and (path / "images").is_dir()


def read(path: str | Path, fold: str = "") -> PoseSet:
    """The people there, in three splits: the last fifth of the pictures tests; `fold`: "2/5", the second of five.

    Raises DataError for a folder without joints, or where joints and pictures do not agree.
    """
    root = Path(path)
    if not recognises(root):
        raise DataError(f"{root}: no poses; legato reads joints.mat beside images/, as Leeds Sports Pose has them")
    everybody = PosedPictures(pictures(root), joints(root / "joints.mat"))
    if len(everybody.files) != len(everybody.joints):
        counts = f"{len(everybody.joints)} people in joints.mat, {len(everybody.files)} pictures in images/"
        raise DataError(f"{root}: {counts}; there must be as many")
    n = len(everybody)
    known, test = np.arange(n - n // 5), np.arange(n - n // 5, n)
    of_each = shares(everybody.files[i].name for i in known)
    policy = "test is the last fifth of the pictures"
    if fold:
        number, folds = parse_fold(fold)
        held = deal(of_each, np.zeros(len(known)), folds) == number
        policy += f"; valid is fold {fold} of the others"
    else:
        held = hold_out(of_each, np.zeros(len(known))) == 1
        policy += "; valid is the last tenth of the others by the hash of each name"
    splits: dict[Split, np.ndarray] = {"train": known[~held], "valid": known[held], "test": test}
    return PoseSet("lsp", {split: everybody.take(chosen) for split, chosen in splits.items()}, policy)


def pictures(root: Path) -> tuple[Path, ...]:
    return tuple(sorted(p for p in (root / "images").iterdir() if p.suffix.lower() in ENDINGS))


def joints(file: Path) -> Float32[np.ndarray, "n 14 3"]:
    """The array `joints`, (14, 3, n), or (3, 14, n) as the first edition has it."""
    try:
        found = np.asarray(scipy.io.loadmat(file)["joints"], dtype=np.float32)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: no array `joints` can be read from it ({error})") from None
    if found.ndim == 3 and found.shape[:2] == (3, 14):
        found = found.transpose(1, 0, 2)
        found[:, 2] = 1 - found[:, 2]  # there 1 says that a joint is hidden
    if found.ndim != 3 or found.shape[:2] != (14, 3):
        raise DataError(f"{file}: joints are {found.shape}, not (14, 3, people)")
    return np.ascontiguousarray(found.transpose(2, 0, 1))
