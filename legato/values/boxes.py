"""Boxes on a picture, in one convention, and the three that files use.

A box is x1 y1 x2 y2 in pixels on a continuous plane: pixel (i, j) covers [j, j + 1] × [i, i + 1], so that the whole of
a 640 × 480 picture is 0 0 640 480, a width is x2 − x1, and flipping twice changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import cos, radians, sin
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from legato.errors import DataError, nearest


@dataclass(frozen=True, eq=False)
class Boxes:
    """n boxes: x1 y1 x2 y2 in pixels, for each the index of its name, and how sure one is of it (1 for truth)."""

    xyxy: Float32[Tensor, "n 4"]
    labels: Int64[Tensor, "n"]
    scores: Float32[Tensor, "n"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: Tensor | slice) -> "Boxes":
        """Some of them: a mask, indices in a tensor, or a slice."""
        return replace(self, xyxy=self.xyxy[chosen], labels=self.labels[chosen], scores=self.scores[chosen])

    def __eq__(self, other: object) -> bool:
        """Tensor by tensor, exactly."""
        return (
            isinstance(other, Boxes)
            and self.names == other.names
            and all(torch.equal(a, b) for a, b in zip(self.tensors(), other.tensors()))
        )

    def __str__(self) -> str:
        """3 cat, 1 dog."""
        counts = torch.bincount(self.labels, minlength=len(self.names)).tolist()
        return ", ".join(f"{count} {name}" for name, count in zip(self.names, counts) if count) or "nothing"

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.xyxy, self.labels, self.scores

    @property
    def area(self) -> Float[Tensor, "n"]:
        """Square pixels."""
        return (self.xyxy[:, 2:] - self.xyxy[:, :2]).clamp(min=0).prod(dim=1)

    # geometry: what happens to a box when this happens to its picture
    def flip(self, width: int) -> "Boxes":
        """The picture, `width` pixels wide, seen in a mirror: x becomes width − x."""
        x1, y1, x2, y2 = self.xyxy.unbind(1)
        return self.moved(torch.stack([width - x2, y1, width - x1, y2], dim=1))

    def scale(self, x: float, y: float) -> "Boxes":
        """The picture x times as wide and y times as high."""
        return self.moved(self.xyxy * self.xyxy.new_tensor([x, y, x, y]))

    def crop(self, left: float, top: float, width: float, height: float, visible: float = 0.0) -> "Boxes":
        """A window cut out: boxes move with it and end at its edge; gone are those of which no more than the
        share `visible` of the area is left."""
        cut = self.moved(self.xyxy - self.xyxy.new_tensor([left, top, left, top])).clip(width, height)
        return cut[(cut.area > visible * self.area) & (cut.area > 0)]

    def clip(self, width: float, height: float) -> "Boxes":
        """The part of each box that lies on the picture; what lies beside it gets an area of 0."""
        return self.moved(self.xyxy.clamp(min=0).minimum(self.xyxy.new_tensor([width, height, width, height])))

    def rotate(self, degrees: float, width: int, height: int) -> "Boxes":
        """The picture turned counter-clockwise about its middle: the upright boxes around the turned ones.

        They are looser than they were, and may reach over the edge: `clip` or `crop` follows.
        """
        c, s = cos(radians(degrees)), sin(radians(degrees))
        middle = self.xyxy.new_tensor([width / 2, height / 2])
        corners = self.xyxy[:, [0, 1, 2, 1, 2, 3, 0, 3]].view(-1, 4, 2) - middle
        turned = corners @ corners.new_tensor([[c, -s], [s, c]]) + middle  # y points down
        return self.moved(torch.cat([turned.amin(dim=1), turned.amax(dim=1)], dim=1))

    def moved(self, xyxy: Tensor) -> "Boxes":
        return replace(self, xyxy=xyxy.float())

    # the forms of the files
    def to_coco(self) -> list[list[float]]:
        """x y width height, pixels."""
        x1, y1, x2, y2 = self.xyxy.unbind(1)
        return torch.stack([x1, y1, x2 - x1, y2 - y1], dim=1).tolist()

    def to_voc(self) -> list[list[int]]:
        """xmin ymin xmax ymax: the first and the last pixel, counted from 1."""
        return (self.xyxy.round().long() + torch.tensor([1, 1, 0, 0])).tolist()

    def to_yolo(self, width: int, height: int) -> list[list[float]]:
        """centre x, centre y, width, height, each as a share of the picture's."""
        x1, y1, x2, y2 = self.scale(1 / width, 1 / height).xyxy.unbind(1)
        return torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], dim=1).tolist()

    def to_json(self) -> list[dict[str, Any]]:
        """One record a box: its label, its score, x1 y1 x2 y2."""
        return [
            {"label": self.names[label], "score": round(score, 6), "box": [round(v, 3) for v in box]}
            for box, label, score in zip(self.xyxy.tolist(), self.labels.tolist(), self.scores.tolist())
        ]


def truth(xyxy: Sequence[Sequence[float]] | Tensor, labels: Sequence[int] | Tensor, names: tuple[str, ...]) -> Boxes:
    """Boxes one is sure of, from x1 y1 x2 y2 in pixels."""
    index = torch.as_tensor(labels, dtype=torch.int64).reshape(-1)
    box = torch.as_tensor(xyxy, dtype=torch.float32).reshape(-1, 4)
    return Boxes(box, index, torch.ones(len(index)), names)


def from_coco(xywh: Sequence[Sequence[float]], labels: Sequence[int], names: tuple[str, ...]) -> Boxes:
    """From x y width height, pixels."""
    box = torch.tensor(xywh, dtype=torch.float32).reshape(-1, 4)
    return truth(torch.cat([box[:, :2], box[:, :2] + box[:, 2:]], dim=1), labels, names)


def from_voc(corners: Sequence[Sequence[float]], labels: Sequence[int], names: tuple[str, ...]) -> Boxes:
    """From xmin ymin xmax ymax: the first and the last pixel, counted from 1."""
    return truth(torch.tensor(corners, dtype=torch.float32).reshape(-1, 4) - torch.tensor([1, 1, 0, 0]), labels, names)


def from_yolo(
    cxcywh: Sequence[Sequence[float]], labels: Sequence[int], names: tuple[str, ...], width: int, height: int
) -> Boxes:
    """From centre x, centre y, width, height, each as a share of the picture's, `width` × `height` pixels."""
    box = torch.tensor(cxcywh, dtype=torch.float32).reshape(-1, 4)
    centre, half = box[:, :2], box[:, 2:] / 2
    return truth(torch.cat([centre - half, centre + half], dim=1), labels, names).scale(width, height)


def from_json(records: Sequence[dict[str, Any]], names: tuple[str, ...]) -> Boxes:
    """What `to_json` wrote. Raises DataError for a label that is none of the names."""
    for record in records:
        if record["label"] not in names:
            raise DataError(f"no class called {record['label']!r}{nearest(record['label'], names)}")
    boxes = truth([r["box"] for r in records], [names.index(r["label"]) for r in records], names)
    return replace(boxes, scores=torch.tensor([float(r["score"]) for r in records]))


def inside(points: Float[Tensor, "p 2"], boxes: Boxes) -> Bool[Tensor, "p n"]:
    """Which points, x y in pixels, lie in which boxes."""
    x, y = points[:, :1], points[:, 1:]
    x1, y1, x2, y2 = boxes.xyxy.unbind(1)
    return (x1 <= x) & (x < x2) & (y1 <= y) & (y < y2)
