"""A folder for each class, pictures in them; perhaps below train/, valid/ (val/, validation/) and test/."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from legato.data.decode import ENDINGS
from legato.data.examples import Paths, PictureSet, pictures
from legato.data.policy import SPLITS, TENTHS, tenths
from legato.errors import DataError
from legato.task import Split

LAYOUT = "a folder of class folders, or train/, valid/ and test/ with class folders in each"


def recognises(path: Path) -> bool:
    return path.is_dir() and bool(subfolders(path))


def read(path: Path) -> PictureSet:
    """Lists the files, opens none of them but a few headers. Raises DataError for a layout that cannot be meant."""
    given = split_folders(path)
    if not given:
        classes = class_folders(path)
        store, counts = list_all(path, "", classes)
        every = pictures(store, np.repeat(np.arange(len(classes)), counts))
        return PictureSet("image_folder", "class", classes, tenths(every), TENTHS)
    classes = class_folders(path / given["train"])
    store, splits = Paths(path), {}
    for split, folder in given.items():
        same_classes(path, given["train"], classes, folder)
        first = len(store)
        counts = add_all(store, f"{folder}/", classes)
        splits[split] = pictures(store, np.repeat(np.arange(len(classes)), counts), first)
    policy = f"{listed(given)} as in the folders {listed(f'{folder}/' for folder in given.values())}"
    return PictureSet("image_folder", "class", classes, splits, policy)


def split_folders(path: Path) -> dict[Split, str]:
    """{"train": "train", "valid": "val"}; empty if the classes lie in the folder itself.

    A class may be called train: a split has folders in it.
    """
    named = {folder: SPLITS[folder.lower()] for folder in subfolders(path) if folder.lower() in SPLITS}
    given: dict[Split, str] = {}
    for folder, split in named.items():
        if subfolders(path / folder):
            if split in given:
                raise DataError(f"{path}: both {given[split]}/ and {folder}/; which of them is {split}? Keep one")
            given[split] = folder
    if "train" not in given and (given or len(named) > 1):
        raise DataError(f"{path}: {listed(f'{folder}/' for folder in named)}, but no train/ with class folders in it")
    return {split: given[split] for split in ("train", "valid", "test") if split in given}


def class_folders(path: Path) -> tuple[str, ...]:
    """In alphabetical order. Raises DataError for fewer than two."""
    classes = tuple(subfolders(path))
    if len(classes) == 1:
        inner = subfolders(path / classes[0])
        tables = listed(sorted(p.name for p in path.iterdir() if p.suffix.lower() in (".csv", ".tsv")))
        hint = f"; did you mean {path / classes[0]}?" if len(inner) > 1 else "; add folders of other classes"
        hint += f", or name one of the tables {tables}" if tables else ""
        raise DataError(f"{path}: one class only ({classes[0]}), there must be two or more{hint}")
    return classes


def same_classes(path: Path, train: str, classes: tuple[str, ...], folder: str) -> None:
    found = set(subfolders(path / folder))
    if more := sorted(found - set(classes)):
        raise DataError(f"{path}: {folder}/ has classes that {train}/ has not: {listed(more)}; rename or remove them")
    if fewer := sorted(set(classes) - found):
        raise DataError(f"{path}: {folder}/ lacks classes of {train}/: {listed(fewer)}; add or rename them")


def list_all(path: Path, prefix: str, classes: tuple[str, ...]) -> tuple[Paths, list[int]]:
    store = Paths(path)
    return store, add_all(store, prefix, classes)


def add_all(store: Paths, prefix: str, classes: tuple[str, ...]) -> list[int]:
    """Add the pictures of each class to the store; how many there are of each."""
    counts = []
    for name in classes:
        found = picture_files(store.root / prefix / name)
        if not found:
            where = store.root / prefix / name
            raise DataError(f"{where}: no pictures in this class folder ({contents(where)}); add some or remove it")
        store.extend(f"{prefix}{name}/{file}" for file in found)
        counts.append(len(found))
    return counts


def subfolders(path: Path) -> list[str]:
    """Sorted, without the hidden ones."""
    try:
        with os.scandir(path) as entries:
            return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith((".", "__")))
    except OSError as error:
        raise DataError(f"{path}: cannot be listed ({error.strerror}); check the name and your rights") from None


def picture_files(path: Path) -> list[str]:
    """All pictures below, by their suffix, sorted; folders that are links are not entered."""
    found, folders = [], []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.lower().endswith(ENDINGS) and not entry.name.startswith("."):
                    found.append(entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
    except OSError as error:
        raise DataError(f"{path}: cannot be listed ({error.strerror}); check the name and your rights") from None
    for folder in folders:
        found += [f"{folder}/{name}" for name in picture_files(path / folder)]
    return sorted(found)


def contents(path: Path) -> str:
    """What lies in a folder, in a few words: `3 .txt, 1 .csv`."""
    try:
        names = [name for name in os.listdir(path) if not name.startswith(".")]
    except OSError as error:
        return f"cannot be listed: {error.strerror}"
    kinds = Counter("folder" if (path / n).is_dir() else Path(n).suffix.lower() or "file without suffix" for n in names)
    return listed(f"{count} {kind}" for kind, count in kinds.most_common(4)) or "it is empty"


def listed(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`; no more than eight of them."""
    names = list(names)
    if len(names) > 8:
        names = [*names[:7], f"{len(names) - 7} more"]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
