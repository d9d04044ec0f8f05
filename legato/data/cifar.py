"""CIFAR-10 and CIFAR-100 as their author distributes them: the binary version, and the "python version", a pickle.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. A record is one label (CIFAR-10) or a
coarse and a fine one (CIFAR-100), then 32×32 red, green and blue bytes. A pickle could run any program; of these only
the bytes are taken out, and nothing is imported.
"""

import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from legato.data.examples import PictureSet, Pixels, pictures
from legato.errors import DataError
from legato.task import Split

PIXELS = 3 * 32 * 32
TEN = {"train": [f"data_batch_{k}" for k in range(1, 6)], "test": ["test_batch"]}
HUNDRED = {"train": ["train"], "test": ["test"]}
Batch = tuple[UInt8[np.ndarray, "n 3 32 32"], Int64[np.ndarray, "n"]]


def recognises(path: Path) -> bool:
    return version(path) is not None


def read(path: Path) -> PictureSet:
    """The training batches there are, and the test batch. Raises DataError for a damaged or dangerous file."""
    found = version(path)
    if found is None:
        raise DataError(f"{path}: no CIFAR batches (data_batch_1.bin or train.bin, or those without .bin)")
    files, suffix = found
    splits = {}
    splits_there: dict[Split, list[Path]] = {
        "train": [p for p in (path / f"{name}{suffix}" for name in files["train"]) if p.exists()],
        "test": [p for p in (path / f"{name}{suffix}" for name in files["test"]) if p.exists()],
    }
    for split, paths in splits_there.items():
        if paths:
            batches = [(read_binary if suffix else read_pickled)(p, len(files["train"]) == 1) for p in paths]
            pixels, labels = (np.concatenate(parts) for parts in zip(*batches))
            splits[split] = pictures(Pixels(split, pixels), labels)
    policy = f"{' and '.join(splits)} as in the batches of {path.name}"
    return PictureSet("cifar", "class", class_names(path, suffix, splits["train"].targets), splits, policy)


def version(path: Path) -> tuple[dict[str, list[str]], str] | None:
    """Which of the two sets lies there, and the suffix of its files: `.bin` or, of pickles, none."""
    for files in (TEN, HUNDRED):
        for suffix in (".bin", ""):
            if (path / f"{files['train'][0]}{suffix}").is_file():
                return files, suffix
    return None


def read_binary(path: Path, hundred: bool) -> Batch:
    data = np.fromfile(path, np.uint8)
    record = (2 if hundred else 1) + PIXELS
    if not len(data) or len(data) % record:
        raise DataError(f"{path}: {len(data):,} bytes are no whole number of records of {record}; fetch it again")
    records = data.reshape(-1, record)
    return records[:, -PIXELS:].reshape(-1, 3, 32, 32), records[:, -PIXELS - 1].astype(np.int64)


def read_pickled(path: Path, hundred: bool) -> Batch:
    batch = unpickle(path)
    try:
        labels = np.array(batch["fine_labels" if hundred else "labels"], np.int64)
        pixels = np.frombuffer(bytearray(batch["data"].data), np.uint8).reshape(len(labels), 3, 32, 32)
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a CIFAR batch ({type(error).__name__}: {error}); fetch it again") from None
    return pixels, labels


def class_names(path: Path, suffix: str, labels: Int64[np.ndarray, "n"]) -> tuple[str, ...]:
    """As the set's own list has them; their numbers if there is none."""
    for name in ("batches.meta.txt", "fine_label_names.txt"):
        if (path / name).exists():
            return tuple((path / name).read_text().split())
    for name, key in (("batches.meta", "label_names"), ("meta", "fine_label_names")):
        if not suffix and (path / name).exists():
            return tuple(map(str, unpickle(path / name).get(key, ())))
    return tuple(map(str, range(int(labels.max(initial=-1)) + 1)))


class Inert:
    """Stands where the pickle asks for numpy: keeps the bytes of an array, does nothing."""

    data = b""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.data = state[-1]  # of an array: (version, shape, type, in Fortran's order, bytes)


class Bytes(pickle.Unpickler):
    """Lists, dicts, numbers, text, and arrays as Inert."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray") and name in NUMPY:
            return Inert
        if (module, name) == ("_codecs", "encode"):
            return latin1
        raise DataError(f"it asks for {module}.{name}, which no CIFAR batch does: do not trust it")


NUMPY = {"_reconstruct", "ndarray", "dtype"}


def latin1(text: str, _: str) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    return text.encode("latin1")


def unpickle(path: Path) -> dict[str, Any]:
    """The dictionary in it, keys as text."""
    try:
        found = Bytes(BytesIO(path.read_bytes()), encoding="bytes").load()
        return {
            text(key): [text(v) for v in value] if isinstance(value, list) else value for key, value in found.items()
        }
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # a damaged pickle fails in as many ways as it has opcodes
        raise DataError(f"{path}: not a CIFAR batch ({type(error).__name__}: {error}); fetch it again") from None


def text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
