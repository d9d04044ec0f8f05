"""Which format is this? A format is a file of this folder with `recognises(path)` and `read(path)`, listed here."""

from pathlib import Path
from types import ModuleType

from legato.data import cifar, digits, idx, image_folder, npz, table
from legato.data.examples import PictureSet
from legato.data.image_folder import contents
from legato.data.policy import complete
from legato.errors import DataError, nearest

READERS: dict[str, ModuleType] = {  # the first that recognises a path is asked to read it
    "idx": idx,
    "cifar": cifar,
    "npz": npz,
    "table": table,
    "image_folder": image_folder,
    "digits": digits,
}
FORMATS = {name: (reader.__doc__ or "").partition("\n")[0] for name, reader in READERS.items()}  # and what it is
KNOWN = (
    "class folders, train/valid/test folders, CSV or TSV tables, IDX (MNIST), CIFAR, .npz, or the built-in set digits"
)


def detect(path: str | Path) -> str:
    """The name of the format of a file or folder; `digits` is built in. Raises DataError where there is none."""
    path = Path(path)
    if not path.exists() and not digits.recognises(path):
        raise DataError(f"{path}: not found{neighbour(path)}")
    for name, reader in READERS.items():
        if reader.recognises(path):
            return name
    raise DataError(f"{path}: {described(path)}; legato reads {KNOWN}")


def read(path: str | Path, fold: str = "") -> PictureSet:
    """The set of pictures there, in three splits, no picture decoded yet. `fold`: "2/5", the second of five.

    Raises DataError for what cannot be meant, UsageError for a fold that is none.
    """
    found = READERS[detect(path)].read(Path(path))
    try:
        return complete(found, fold)
    except DataError as error:
        alone = table.table_files(Path(path)).get(None, path) if found.format == "table" else path
        raise DataError(f"{alone}: {error}") from None


def neighbour(path: Path) -> str:
    """What lies beside a path that does not exist and is called alike."""
    if not path.parent.is_dir():
        return f"; neither is {path.parent}"
    beside = sorted(p.name for p in path.parent.iterdir() if not p.name.startswith("."))
    near = nearest(path.name, [*beside, digits.NAME])
    return near if "did you mean" in near else ""


def described(path: Path) -> str:
    if path.is_file():
        return f"a file of no known format ({path.suffix or 'no suffix'})"
    return f"no pictures in class folders, nor any table or archive ({contents(path)})"
