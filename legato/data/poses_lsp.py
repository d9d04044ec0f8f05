"""The Leeds Sports Pose form: joints.mat beside images/ (Johnson & Everingham 2010). The last fifth tests."""

from pathlib import Path

import numpy as np
import scipy.io
from jaxtyping import Float32

from legato.data.decode import ENDINGS
from legato.data.poses import PosedPictures, PoseSet
from legato.errors import DataError
from legato.values.keypoints import LSP


def recognises(path: Path) -> bool:
    return (path / "joints.mat").is_file() and (path / "images").is_dir()


holds = recognises


def read(root: Path) -> PoseSet:
    """Raises DataError where joints and pictures do not agree."""
    files = tuple(sorted(p for p in (root / "images").iterdir() if p.suffix.lower() in ENDINGS))
    everybody = PosedPictures(files, joints(root / "joints.mat"), LSP)
    if len(files) != len(everybody.joints):
        counts = f"{len(everybody.joints)} people in joints.mat, {len(files)} pictures in images/"
        raise DataError(f"{root}: {counts}; there must be as many")
    n = len(files)
    known, test = everybody.take(np.arange(n - n // 5)), everybody.take(np.arange(n - n // 5, n))
    return PoseSet("lsp", LSP, {"train": known, "test": test}, "test is the last fifth of the pictures")


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
    found[:, 2] = found[:, 2] > 0
    if not np.isfinite(found).all():
        raise DataError(f"{file}: some joints are not numbers; write them again")
    return np.ascontiguousarray(found.transpose(2, 0, 1))
