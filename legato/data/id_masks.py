"""Pictures beside masks that number their objects: 0 is nothing, every other number one object, all of one class.

As the 2018 Data Science Bowl's nuclei are often kept. Folders and stems as `masks.pairs` has them; read when outlines
are asked for by name, for the same folders may hold masks of classes.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from jaxtyping import Bool
from torch import Tensor

from legato.data import masks
from legato.data.annotated import Annotated, AnnotatedSet, Table, tenths
from legato.data.examples import Paths, SetAside
from legato.data.legends import raw
from legato.data.policy import TENTHS
from legato.errors import DataError
from legato.task import Split

NAMES = ("object",)


def holds(path: Path) -> bool:
    return path.is_dir() and masks.pairs(path) is not None


def read(path: Path) -> AnnotatedSet:
    """Reads every mask once, no picture. Raises DataError for masks in colours."""
    found = masks.pairs(path)
    assert found is not None, "holds() first"
    set_aside: SetAside = []
    splits: dict[Split, Annotated] = {}
    notes: list[str] = []
    for split, pairs in found.items():
        there = masks.present(pairs, set_aside)
        splits[split or "train"], said = numbered(path, there)  # type: ignore[index]
        notes += said
    if "train" not in splits:
        raise DataError(f"{path}: masks for {', '.join(splits)}, but none for training")
    policy = f"{', '.join(splits)} as in the folders"
    if "" in found:
        splits, policy = tenths(splits["train"]), TENTHS
    return AnnotatedSet("id_masks", NAMES, splits, policy, tuple(notes), set_aside)


def numbered(root: Path, pairs: list[masks.Pair]) -> tuple[Annotated, tuple[str, ...]]:
    """The objects of these masks, a row a picture; what `outline` is given is picture and number in one."""
    table, sizes = Table(), []
    for row, (_, file) in enumerate(pairs):
        ids = numbers(file)
        own = [k for k in np.unique(ids).tolist() if k]
        boxes = np.array([around(ids == k) for k in own]).reshape(-1, 4)
        labels, sure = np.zeros(len(own), np.int64), np.ones(len(own), bool)
        table.add(boxes, labels, sure, (ids.shape[0], ids.shape[1]), np.array([(row << 32) + k for k in own], np.int64))
        sizes.append(ids.shape)

    def outline(number: int) -> Tensor:
        return torch.from_numpy(numbers(pairs[number >> 32][1]) == number & 0xFFFFFFFF)

    store = Paths(root, (str(picture.relative_to(root)) for picture, _ in pairs))
    every = np.array(sizes, np.int64).reshape(-1, 2)
    return Annotated(store, every, table.objects(outline), NAMES, np.arange(len(pairs))), table.notes()


@lru_cache(maxsize=8)  # the objects of a picture are asked for one after another
def numbers(file: Path) -> np.ndarray:
    ids = raw(file, "")
    if ids.ndim != 2:
        raise DataError(f"{file}: coloured; masks of objects hold a number a pixel")
    return ids.astype(np.int64)


def around(inside: np.ndarray) -> list[int]:
    """x1 y1 x2 y2."""
    rows, columns = (np.flatnonzero(inside.any(axis=axis)).tolist() for axis in (1, 0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def write(file: Path, bitmaps: Bool[Tensor, "n h w"]) -> Path:
    """A PNG of 16 bits a pixel: the number of the first of these that holds it, counted from 1, or 0."""
    numbers = torch.arange(len(bitmaps), 0, -1)[:, None, None]
    first = (bitmaps * numbers).amax(0) if len(bitmaps) else torch.zeros(bitmaps.shape[1:], dtype=torch.long)
    ids = torch.where(first > 0, len(bitmaps) + 1 - first, 0)
    file.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(ids.numpy().astype(np.uint16)).save(file)
    return file
