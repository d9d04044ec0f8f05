"""Instances: a box and a bitmap each; and the two other ways files write a bitmap, runs and polygons.

A pixel belongs to a polygon if its centre lies inside by the even–odd rule, so that bitmap → outline → bitmap is exact,
holes and islands included. COCO's own tools shift outlines by up to half a pixel; areas agree to within the border.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional as F

from legato.errors import DataError
from legato.values.boxes import Boxes, truth
from legato.values.turning import turned

Polygon = Sequence[float]  # x1 y1 x2 y2 x3 y3 …, pixels, as in COCO's files
Bitmap = Bool[Tensor, "h w"]


@dataclass(frozen=True, eq=False)
class Masks:
    """n instances: (n, h, w) bitmaps of a picture's size, and the box, class and score of each."""

    bitmaps: Bool[Tensor, "n h w"]
    boxes: Boxes

    def __len__(self) -> int:
        return len(self.boxes)

    def __eq__(self, other: object) -> bool:
        """Pixel by pixel."""
        return isinstance(other, Masks) and self.boxes == other.boxes and torch.equal(self.bitmaps, other.bitmaps)

    def __str__(self) -> str:
        """3 cat, 1 dog."""
        return str(self.boxes)

    def __getitem__(self, chosen: Tensor | slice) -> "Masks":
        """Some of them: a mask, indices in a tensor, or a slice."""
        return Masks(self.bitmaps[chosen], self.boxes[chosen])

    # geometry: boxes are moved, not measured again, for they may hold more than what is seen
    def flip(self) -> "Masks":
        """In a mirror: left becomes right."""
        return Masks(self.bitmaps.flip(-1), self.boxes.flip(self.bitmaps.shape[-1]))

    def resize(self, height: int, width: int) -> "Masks":
        """A pixel is in if what lay under its centre was."""
        h, w = self.bitmaps.shape[-2:]
        scaled = F.interpolate(self.bitmaps.byte()[:, None], (height, width), mode="nearest-exact")
        return Masks(scaled[:, 0].bool(), self.boxes.scale(width / w, height / h))

    def crop(self, left: int, top: int, width: int, height: int) -> "Masks":
        """A window cut out; instances that cannot be seen in it are gone."""
        h, w = self.bitmaps.shape[-2:]
        over = (-left, left + width - w, -top, top + height - h)
        bitmaps = F.pad(self.bitmaps, over, value=False)  # negative padding cuts
        offset = self.boxes.xyxy.new_tensor([left, top, left, top])
        moved = self.boxes.moved(self.boxes.xyxy - offset).clip(width, height)
        return Masks(bitmaps, moved)[bitmaps.flatten(1).any(dim=1)]

    def rotate(self, degrees: float) -> "Masks":
        """Turned counter-clockwise about the picture's middle; instances that leave the picture are gone."""
        height, width = self.bitmaps.shape[-2:]
        bitmaps = turned(self.bitmaps.float(), degrees, "nearest") > 0.5
        moved = self.boxes.rotate(degrees, width, height).clip(width, height)
        return Masks(bitmaps, moved)[bitmaps.flatten(1).any(dim=1)]

    def to_json(self) -> list[dict[str, Any]]:
        """One record an instance: label, score, box, and its bitmap as COCO's uncompressed runs."""
        runs = ({"size": list(bitmap.shape), "counts": to_runs(bitmap)} for bitmap in self.bitmaps)
        return [record | {"segmentation": run} for record, run in zip(self.boxes.to_json(), runs)]


def from_bitmaps(bitmaps: Bool[Tensor, "n h w"], labels: Sequence[int], names: tuple[str, ...]) -> Masks:
    """Instances one is sure of, each in the smallest box around it. Raises DataError for an empty bitmap."""
    return Masks(bitmaps, truth([around(bitmap) for bitmap in bitmaps], labels, names))


def from_ids(ids: Tensor, label: int, names: tuple[str, ...]) -> Masks:
    """From (h, w) with a number for each instance, 0 for none."""
    numbers = ids.unique()
    bitmaps = ids == numbers[numbers != 0][:, None, None]
    return from_bitmaps(bitmaps, [label] * len(bitmaps), names)


def around(bitmap: Bitmap) -> list[float]:
    """The smallest box that holds it, x1 y1 x2 y2. Raises DataError if it is empty."""
    rows, columns = bitmap.any(dim=1).nonzero().flatten(), bitmap.any(dim=0).nonzero().flatten()
    if not len(rows):
        raise DataError("an instance without a pixel has no box: leave it out")
    return [float(columns[0]), float(rows[0]), float(columns[-1]) + 1, float(rows[-1]) + 1]


# runs
def to_runs(bitmap: Bitmap) -> list[int]:
    """COCO's uncompressed code: how many 0s, then 1s, then 0s …, down the columns, left to right."""
    flat = bitmap.t().flatten().numpy()
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return [0, *counts] if flat[:1].any() else counts


def from_runs(counts: Sequence[int], height: int, width: int) -> Bitmap:
    """The bitmap again. Raises DataError where the runs do not fill it."""
    if (total := sum(counts)) != height * width:
        raise DataError(f"runs of {total} pixels do not fill a bitmap of {width} × {height} = {width * height}")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, np.asarray(counts, dtype=np.int64))
    return torch.from_numpy(flat).view(width, height).t().contiguous()


def unpack_runs(packed: str) -> list[int]:
    """COCO's compressed string: numbers of 5 bits a letter, low bits first, each from the third on a difference.

    A letter is 48 + 5 bits + 32 if more follow; the highest bit of a number is its sign (maskApi.c, rleFrString).
    """
    counts: list[int] = []
    value = shift = 0
    for letter in packed.encode():
        bits = letter - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts


def pack_runs(counts: Sequence[int]) -> str:
    """COCO's compressed string (maskApi.c, rleToString)."""
    letters = bytearray()
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            letters.append(48 + bits + 32 * more)
            if not more:
                break
    return letters.decode()


# polygons
def from_polygons(polygons: Sequence[Polygon], height: int, width: int) -> Bitmap:
    """The pixels whose centres lie inside an odd number of these outlines."""
    edges = [np.asarray(polygon, dtype=np.float64).reshape(-1, 2) for polygon in polygons]
    ends = np.concatenate([np.zeros((0, 4)), *(np.hstack([p, np.roll(p, -1, axis=0)]) for p in edges)])
    x0, y0, x1, y1 = ends.T[..., None]
    rows = np.arange(height) + 0.5
    edge, row = np.nonzero((np.minimum(y0, y1) <= rows) & (rows < np.maximum(y0, y1)))  # which one crosses which row
    x = (x0 + (rows - y0) * (x1 - x0) / np.where(y1 == y0, 1, y1 - y0))[edge, row]
    first = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)  # the first pixel whose centre lies right of it
    crossed = np.zeros((height, width + 1), dtype=np.uint8)
    np.bitwise_xor.at(crossed, (row, first), 1)
    return torch.from_numpy(np.bitwise_xor.accumulate(crossed[:, :width], axis=1).astype(bool))


def to_polygons(bitmap: Bitmap) -> list[list[float]]:
    """Its outlines along the edges of the pixels, the inside to the right; holes are outlines of their own."""
    onward: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for start, end in sides(bitmap):
        onward[start].append(end)
    polygons = []
    while onward:
        first = here = next(iter(onward))
        outline = [first]
        while (there := onward[here].pop()) != first:  # where two outlines touch, either way on fills the same pixels
            if not onward[here]:
                del onward[here]
            here = there
            outline.append(here)
        if not onward[here]:
            del onward[here]
        polygons.append(corners(outline))
    return polygons


def sides(bitmap: Bitmap) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """The pixels' sides between inside and outside, from point to point, the inside to the right."""
    padded = F.pad(bitmap, (1, 1, 1, 1)).numpy()
    inner = padded[1:-1, 1:-1]
    # the neighbour, and the side between from point to point, as seen from the pixel's upper left corner
    for beyond, (x0, y0), (x1, y1) in (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),  # above
        (padded[1:-1, 2:], (1, 0), (1, 1)),  # on the right
        (padded[2:, 1:-1], (1, 1), (0, 1)),  # below
        (padded[1:-1, :-2], (0, 1), (0, 0)),  # on the left
    ):
        for y, x in np.argwhere(inner & ~beyond).tolist():
            yield (x + x0, y + y0), (x + x1, y + y1)


def corners(outline: list[tuple[int, int]]) -> list[float]:
    """Only the points where the direction changes."""
    points = np.array(outline, dtype=np.float64)
    turns = (np.roll(points, -1, axis=0) - points != points - np.roll(points, 1, axis=0)).any(axis=1)
    return points[turns].flatten().tolist()
