"""How well boxes were found, to look at: precision against recall, and the worst errors of each kind."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from legato.layers.regions import iou
from legato.layers.regions.objects import Detections, Truth
from legato.metrics.detection import average_precision, curve, matched
from legato.task import Tally

Kind = Literal["missed", "confused", "ghost"]
SHOWN = 8  # classes with a curve of their own
AROUND = 0.5  # of a box's sides, what a crop shows of its surroundings


class Error(NamedTuple):
    """One thing that went wrong: where, what it was or was taken for, and how sure the network was of it."""

    kind: Kind
    picture: int
    box: tuple[float, float, float, float]  # x1 y1 x2 y2, pixels of what the network saw
    true: str  # empty for a ghost
    said: str  # empty for what was missed
    score: float


def precision_recall(table: Tally, names: Sequence[str]) -> Figure:
    """A curve for each of the most frequent classes, at an overlap of 0.5; the area under it is its AP50."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    objects, ap = table["objects"].sum(0), average_precision(table)[:, 0]
    for k in objects.argsort(descending=True, stable=True)[:SHOWN].tolist():
        if objects[k]:
            precision, recall = curve(table, k)
            axes.plot(np.r_[0, recall[:, 0]], np.r_[1, precision[:, 0]], label=f"{names[k]}  {ap[k]:.2f}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(title="AP50", loc="lower left", frameon=False)
    return figure


def errors(
    found: Sequence[Detections], truths: Sequence[Truth], names: Sequence[str], threshold: float = 0.5
) -> list[Error]:
    """Objects that no box hit, boxes on an object of another class, and boxes on nothing: the worst of each kind first.

    Boxes below `threshold` are not told, and so not wrong. What is missed comes largest first.
    """
    every: list[Error] = []
    for picture, (one, truth) in enumerate(zip(found, truths)):
        every += wrong_on(picture, one, truth, names, threshold)
    rank = {"missed": 0, "confused": 1, "ghost": 2}
    return sorted(every, key=lambda e: (rank[e.kind], -e.score, -(e.box[2] - e.box[0]) * (e.box[3] - e.box[1])))


def wrong_on(picture: int, found: Detections, truth: Truth, names: Sequence[str], threshold: float) -> list[Error]:
    """The errors on one picture."""
    told = found.scores >= threshold
    bitmaps = found.bitmaps[told] if len(found.bitmaps) else found.bitmaps
    found = Detections(found.boxes[told], found.labels[told], found.scores[told], bitmaps)
    hits, idle = matched(found, truth)
    overlap = iou(found.boxes.double(), truth.boxes.double()) * truth.sure
    same = found.labels[:, None] == truth.labels
    seen = (hits[:, 0, None] & same & (overlap >= 0.5)).any(dim=0)
    wrong = []
    for i in (~hits[:, 0] & ~idle[:, 0]).nonzero().flatten().tolist():
        others = torch.where(same[i], 0.0, overlap[i])
        other = int(others.argmax()) if len(others) and others.max() >= 0.5 else -1
        kind: Kind = "ghost" if other < 0 else "confused"
        true = names[int(truth.labels[other])] if other >= 0 else ""
        wrong.append(
            Error(kind, picture, corners(found.boxes[i]), true, names[int(found.labels[i])], float(found.scores[i]))
        )
        if other >= 0:
            seen[other] = True  # told of already
    missed = (truth.sure & ~seen).nonzero().flatten().tolist()
    wrong += [Error("missed", picture, corners(truth.boxes[j]), names[int(truth.labels[j])], "", 0.0) for j in missed]
    return wrong


def corners(box: torch.Tensor) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box.tolist()
    return x1, y1, x2, y2


def caption(error: Error) -> str:
    """What to write below its crop."""
    match error.kind:
        case "missed":
            return f"{error.true} missed"
        case "confused":
            return f"{error.true} taken for {error.said} ({error.score:.0%})"
        case "ghost":
            return f"{error.said} where none is ({error.score:.0%})"


def crop(pixels: torch.Tensor, error: Error) -> torch.Tensor:
    """The error with its surroundings, cut from the (c, h, w) picture it is on."""
    x1, y1, x2, y2 = error.box
    wide, high = AROUND * (x2 - x1), AROUND * (y2 - y1)
    top, left = max(0, int(y1 - high)), max(0, int(x1 - wide))
    return pixels[:, top : max(top + 1, int(y2 + high) + 1), left : max(left + 1, int(x2 + wide) + 1)]
