"""What the numbers, or the colours, of a mask mean.

`name,r,g,b` a line in class_dict.csv, classes.csv or legend.csv; `r g b name` in label_colors.txt; a name a line, in
the order of their numbers, in classes.txt; and where nothing is written, what the masks hold.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from jaxtyping import UInt8

from legato.errors import DataError
from legato.values import VOID, LabelMap

LEGENDS = ("class_dict.csv", "classes.csv", "legend.csv", "label_colors.txt")
MANY = 20  # objects on a picture that classes would not be numbered like
VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


@dataclass(frozen=True)
class Legend:
    """What the numbers, or the colours, of a mask mean."""

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...] = ()  # of colour-coded masks, in the order of the names
    two_valued: bool = False  # black and white: everything above 127 is the second class

    def read(self, path: Path) -> LabelMap:
        """Raises DataError for a mask that cannot be read."""
        return LabelMap(torch.from_numpy(self.indices(path)), self.names)

    def indices(self, path: Path) -> UInt8[np.ndarray, "h w"]:
        if self.colours:
            return self.from_colours(raw(path, "RGB"))
        index = raw(path, "")
        if self.two_valued:
            return (index > 127).astype(np.uint8)
        return np.where(index < len(self.names), index, VOID).astype(np.uint8)

    def from_colours(self, rgb: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
        """Colours that are not in the legend are VOID."""
        index = np.full(rgb.shape[:2], VOID, np.uint8)
        for k, colour in enumerate(self.colours):
            index[(rgb == np.array(colour, np.uint8)).all(axis=-1)] = k
        return index


def legend(root: Path, masks: Sequence[Path]) -> Legend:
    """From a file in the folder that says so, or from what the masks hold."""
    file = next((root / name for name in LEGENDS if (root / name).is_file()), None)
    if file is not None:
        return read_legend(file)
    if (file := root / "classes.txt").is_file():
        names = [line.strip() for line in file.read_text().splitlines() if line.strip()]
        known = [name for name in names if name.lower() not in ("void", "unlabelled", "unlabeled", "ignore")]
        if names[: len(known)] != known:
            raise DataError(f"{file}: what is unknown must come last, or its index counts as a class")
        return Legend(tuple(known))
    return guessed(masks, voc=(root / "SegmentationClass").is_dir())


def read_legend(file: Path) -> Legend:
    """name,r,g,b with a heading or without, or r g b name. Raises DataError naming the line."""
    names, colours = [], []
    for number, row in enumerate(legend_rows(file), start=1):
        numbers, words = [v for v in row if v.isdecimal()], [v for v in row if not v.isdecimal()]
        if number == 1 and not numbers:
            continue  # the heading
        if len(numbers) != 3 or not words or any(int(v) > 255 for v in numbers):
            raise DataError(
                f"{file}, line {number}: {' '.join(row)!r} is not a name and red, green, blue from 0 to 255"
            )
        red, green, blue = map(int, numbers)
        names.append(" ".join(words))
        colours.append((red, green, blue))
    return Legend(tuple(names), tuple(colours))


def legend_rows(file: Path) -> Iterator[list[str]]:
    if file.suffix == ".csv":
        yield from ([v.strip() for v in row] for row in csv.reader(file.read_text().splitlines()) if row)
    else:
        yield from (line.split() for line in file.read_text().splitlines() if line.strip())


def guessed(masks: Sequence[Path], voc: bool, looked_at: int = 64) -> Legend:
    """From a few masks from all over. Raises DataError for colours without a legend."""
    values, counted = set[int](), set[int]()  # all that occur; the last of those that number 0, 1, 2, … without a gap
    chosen = masks[:: max(1, len(masks) // looked_at)]
    for mask in chosen:
        index = raw(mask, "")
        if index.ndim == 3:
            raise DataError(f"{mask}: coloured, and no legend says what the colours mean; add {LEGENDS[0]}: name,r,g,b")
        own = np.unique(index)
        values |= set(own.tolist())
        if (own == np.arange(len(own))).all():
            counted.add(len(own))
    if len(counted) > max(2, len(chosen) // 4) and max(values) >= MANY:
        raise DataError(
            f"{masks[0].parent}: these masks number objects, up to {max(values)} in a picture, not classes; "
            "`legato train instances` reads them, or add classes.txt"
        )
    if values <= {0, 255}:
        return Legend(("background", "foreground"), two_valued=True)
    classes = sorted(values - {VOID})
    if voc and classes[-1] < len(VOC_NAMES):
        return Legend(VOC_NAMES)
    return Legend(tuple(str(k) for k in range(classes[-1] + 1)))


def raw(path: Path, mode: str) -> np.ndarray:
    """The numbers in the file, as they are, or converted to `mode`; grey stored as colours is grey again."""
    try:
        with PIL.Image.open(path) as image:
            array = np.array(image.convert(mode) if mode else image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a mask ({error}); save it as PNG") from None
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    grey = not mode and array.ndim == 3 and (array[..., :1] == array[..., :3]).all()
    return array[..., 0] if grey else array
