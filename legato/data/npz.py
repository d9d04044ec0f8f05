"""NumPy archives: arrays called `x_train` and `y_train`, `train_images` and `train_labels`, or `images` and `labels`.

Object arrays, which are pickles, are refused.
"""

import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt8

from legato.data.examples import Pictures, PictureSet, Pixels, kind_of, pictures
from legato.data.policy import SPLITS, TENTHS, tenths
from legato.errors import DataError
from legato.task import Split

ROLES = {
    **dict.fromkeys(("x", "image", "images", "data", "pictures"), "pictures"),
    **dict.fromkeys(("y", "label", "labels", "targets"), "targets"),
    **dict.fromkeys(("names", "classes"), "names"),
}
Arrays = dict[tuple[Split | None, str], Shaped[np.ndarray, "..."]]  # (split if it names one, role) → array


def recognises(path: Path) -> bool:
    return path.suffix == ".npz" and path.is_file()


def read(path: Path) -> PictureSet:
    """Pictures (n, h, w), (n, h, w, c) or (n, c, h, w), bytes or numbers in [0, 1].

    Targets: (n,) whole numbers, or rows with a single 1, are classes; (n, k) of 0 and 1 are labels, others numbers.
    `names` or `classes` may name them. Raises DataError for anything else.
    """
    arrays = read_arrays(path)
    known: tuple[Split | None, ...] = ("train", "valid", "test", None)
    given = [split for split in known if (split, "pictures") in arrays]
    if "train" not in given and None not in given:
        raise DataError(f"{path}: has neither x_train and y_train nor images and labels; name its arrays so")
    pairs = {split: (as_pictures(path, arrays[split, "pictures"]), as_targets(path, split, arrays)) for split in given}
    if all(one_hot(y) for _, y in pairs.values()):
        pairs = {split: (x, y.argmax(1)) for split, (x, y) in pairs.items()}
    tables: dict[Split | None, Pictures] = {}
    for split, (x, y) in pairs.items():
        if len(x) != len(y):
            raise DataError(f"{path}: {split or 'images'}: {len(x)} pictures but {len(y)} targets")
        tables[split] = pictures(Pixels(split or path.stem, x), y)
    if "train" in tables:
        splits: dict[Split, Pictures] = {split: table for split, table in tables.items() if split}
        policy = f"{', '.join(splits)} as in the arrays of these names"
    else:
        splits, policy = tenths(tables[None]), TENTHS
    kind = kind_of(splits["train"].targets)
    return PictureSet("npz", kind, names(arrays, splits["train"].targets), splits, policy)


def read_arrays(path: Path) -> Arrays:
    """Those whose names say what they are."""
    found: Arrays = {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            for key in archive.files:
                words = re.split(r"[^a-z]+", key.lower())
                split = next((SPLITS[w] for w in words if w in SPLITS), None)
                if role := next((ROLES[w] for w in words if w in ROLES), None):
                    found[split, role] = archive[key]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({' '.join(str(error).split())}); save it again by np.savez") from None
    return found


def as_pictures(path: Path, x: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, "n c h w"]:
    """Bytes, channels second."""
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise DataError(f"{path}: pictures of shape {x.shape}; make them (n, h, w), (n, h, w, 3) or (n, 3, h, w)")
    if x.dtype != np.uint8:
        if not len(x) or x.dtype.kind != "f" or not (x.min() >= 0 and x.max() <= 1):
            raise DataError(f"{path}: pictures of {x.dtype}; save them as uint8, or as floats in [0, 1]")
        x = np.round(x * 255).astype(np.uint8)
    return np.ascontiguousarray(x)


def as_targets(path: Path, split: Split | None, arrays: Arrays) -> Shaped[np.ndarray, "n *k"]:
    """(n,) int64 or (n, k) float32."""
    if (split, "targets") not in arrays:
        raise DataError(f"{path}: {split or 'images'} have no targets; add {f'y_{split}' if split else 'labels'}")
    y = arrays[split, "targets"]
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 1 and y.dtype.kind in "iu":
        return y.astype(np.int64)
    if y.ndim > 2 or y.dtype.kind not in "iufb":
        raise DataError(
            f"{path}: targets of shape {y.shape} and type {y.dtype}; make them whole numbers or (n, k) numbers"
        )
    return y.reshape(len(y), -1).astype(np.float32)


def one_hot(y: Shaped[np.ndarray, "n *k"]) -> bool:
    return y.ndim == 2 and y.shape[1] > 1 and bool(np.isin(y, (0, 1)).all() and (y.sum(1) == 1).all())


def names(arrays: Arrays, targets: Shaped[np.ndarray, "n *k"]) -> tuple[str, ...]:
    """As the archive has them, or their numbers."""
    if (None, "names") in arrays:
        return tuple(map(str, arrays[None, "names"].tolist()))
    return tuple(map(str, range(targets.shape[1] if targets.ndim == 2 else int(targets.max(initial=-1)) + 1)))
