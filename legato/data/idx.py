"""IDX, the format of MNIST and its kin: `train-images-idx3-ubyte` and three more files, gzipped or not.

Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits": two zero bytes, the type (8: bytes), the
number of dimensions, each dimension as a big-endian int32, then the array.
"""

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from legato.data.examples import PictureSet, Pixels, pictures
from legato.errors import DataError
from legato.task import Split

STARTS: dict[str, Split] = {"train": "train", "valid": "valid", "val": "valid", "test": "test", "t10k": "test"}
MOST_DEFLATED = 1032  # gzip cannot make more of a byte


def recognises(path: Path) -> bool:
    return path.is_dir() and any(split == "train" for split, _ in image_files(path))


def read(path: Path) -> PictureSet:
    """The classes are called "0", "1", … up to the largest training label. Raises DataError for a damaged file."""
    splits = {}
    for split, images in image_files(path):
        labels = label_file(images)
        pixels, targets = read_array(images, 3), read_array(labels, 1)
        if len(pixels) != len(targets):
            raise DataError(f"{images}: {len(pixels)} pictures, but {labels.name} has {len(targets)} labels")
        splits[split] = pictures(Pixels(split, pixels[:, None]), targets.astype(np.int64))
    classes = int(splits["train"].targets.max(initial=-1)) + 1
    policy = f"{' and '.join(splits)} as in the files of these names"
    return PictureSet("idx", "class", tuple(map(str, range(classes))), splits, policy)


def image_files(path: Path) -> list[tuple[Split, Path]]:
    """The files of pictures with the split that the start of their name says, train first."""
    found = [p for p in sorted(path.iterdir()) if "images" in p.name and "idx3" in p.name]
    return [(split, p) for start, split in STARTS.items() for p in found if p.name.startswith(start)]


def label_file(images: Path) -> Path:
    """Beside the pictures, gzipped or not."""
    plain = images.with_name(images.name.replace("images", "labels").replace("idx3", "idx1").removesuffix(".gz"))
    for path in (plain, plain.with_name(f"{plain.name}.gz")):
        if path.exists():
            return path
    raise DataError(f"{images}: the labels are missing; put {plain.name} beside it")


def read_array(path: Path, dimensions: int) -> UInt8[np.ndarray, "n ..."]:
    """The array of an IDX file. Raises DataError for another type, or fewer bytes than its header promises."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4 + 4 * dimensions)
            if head[:4] != bytes((0, 0, 8, dimensions)) or len(head) < 4 + 4 * dimensions:
                raise DataError(f"{path}: not an IDX file of {dimensions}-dimensional bytes; fetch it again")
            shape = [int(n) for n in np.frombuffer(head, ">u4", offset=4)]
            if prod(shape) > MOST_DEFLATED * path.stat().st_size:
                raise DataError(f"{path}: too short for the {shape} bytes its header promises; fetch it again")
            data = file.read(prod(shape))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch it again") from None
    if len(data) < prod(shape):
        raise DataError(f"{path}: {len(data):,} bytes where the header promises {prod(shape):,}; fetch it again")
    return np.frombuffer(bytearray(data), np.uint8).reshape(shape)
