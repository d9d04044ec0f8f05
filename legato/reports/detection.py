"""How well boxes were found, to look at: precision against recall, and the worst errors of each kind."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch

from legato import picture
from legato.layers.regions import iou
from legato.layers.regions.objects import Detections, Truth
from legato.metrics.detection import SIZES, average_precision, curve, interval, matched, mean, of_size
from legato.reports.page import Cell, Figure, Section, paragraph, table
from legato.reports.trained import Trained
from legato.task import Split, Tally

Kind = Literal["missed", "confused", "ghost"]
PLURAL: dict[Kind, str] = {"missed": "missed", "confused": "confused", "ghost": "on nothing"}
FRAMES: dict[Kind, str] = {"missed": picture.ORANGE, "confused": picture.PURPLE, "ghost": picture.SKY}
SHOWN = 8  # classes with a curve of their own
UNFOLDED = 20  # classes in the table, the most frequent ones
LOOKED_AT, OF_EACH = 36, 12  # pictures searched for errors; errors shown of each kind
AROUND = 0.5  # of a box's sides, what a crop shows of its surroundings


class Error(NamedTuple):
    """One thing that went wrong: where, what it was or was taken for, and how sure the network was of it."""

    kind: Kind
    picture: int
    box: tuple[float, float, float, float]  # x1 y1 x2 y2, pixels of what the network saw
    true: str  # empty for a ghost
    said: str  # empty for what was missed
    score: float


def section(trained: Trained) -> Section | None:
    """Of a task that finds boxes or outlines."""
    split, table = trained.split, trained.tally
    if split is None or not {"hits", "objects", "seen"} <= table.keys():
        return None
    names = trained.names(table["objects"].shape[1])
    low, high = interval(table)
    about = paragraph(
        f"AP50 is {mean(average_precision(table)[:, 0]):.3f}; were these {int(table['seen'].sum()):,} pictures others "
        f"of their kind, it would lie between {low:.3f} and {high:.3f} in 95 of 100 cases (bootstrap over pictures)."
    )
    drawn = picture.curves(precision_recall(table, names), "recall", "precision", f"Precision and recall on {split}")
    note = f"At an overlap of 0.5, for the {SHOWN} most frequent classes; the area under a curve is its AP50."
    beside: list[str | Figure] = [Figure("precision_recall", drawn, note), sizes(table, names)]
    return Section("Detections", [about, beside, *gallery(trained, split)])


def sizes(table_: Tally, names: Sequence[str]) -> str:
    """AP of each class, of all its objects and by size."""
    columns = [average_precision(of_size(table_, size)).mean(axis=1) for size in SIZES]
    objects = table_["objects"].sum(0).tolist()
    rows: list[list[Cell]] = [
        [name, *(None if np.isnan(c[k]) else float(c[k]) for c in columns), objects[k]] for k, name in enumerate(names)
    ]
    order = sorted(range(len(names)), key=lambda k: -objects[k])[:UNFOLDED]
    heads = ["class", *(f"AP{size}" for size in SIZES), "objects"]
    return table(heads, [rows[k] for k in order], heads[1:-1])


def gallery(trained: Trained, split: Split) -> list[Figure]:
    """The worst errors of each kind on the worst pictures."""
    evaluation = trained.evaluations[split]
    indices = [i for _, i in evaluation.worst[:LOOKED_AT]]
    if not indices:
        return []
    inputs, targets, outputs = trained.outputs(split, indices)
    names = trained.names(evaluation.tally["objects"].shape[1])
    every = errors(outputs, targets.truths, names)
    shown = [e for kind in ("missed", "confused", "ghost") for e in [e for e in every if e.kind == kind][:OF_EACH]]
    if not shown:
        return []
    pictures = [pixels[:, :h, :w] for pixels, (h, w) in zip(inputs.pixels, inputs.sizes.tolist())]
    tiles = [(crop(pictures[e.picture], e), caption(e)) for e in shown]
    counts = Counter(e.kind for e in every)
    title = ", ".join(f"{counts[kind]} {word}" for kind, word in PLURAL.items())
    note = (
        f"Errors at a score of 0.5 on the {len(indices)} worst pictures of {split}: objects without a box, boxes of "
        f"another class, boxes on nothing; the worst {OF_EACH} of each."
    )
    frames = [FRAMES[e.kind] for e in shown]
    return [Figure("errors", picture.sheet(tiles, 6, title, frames, tile=320), note)]


def precision_recall(table: Tally, names: Sequence[str]) -> dict[str, tuple[list[float], list[float]]]:
    """For each of the most frequent classes its name with its AP50, and recall and precision at an overlap of 0.5."""
    objects, ap = table["objects"].sum(0), average_precision(table)[:, 0]
    curves = {}
    for k in objects.argsort(descending=True, stable=True)[:SHOWN].tolist():
        if objects[k]:
            precision, recall = curve(table, k)
            curves[f"{names[k]} {ap[k]:.2f}"] = (
                [0.0] * min(1, len(recall)) + recall[:, 0].tolist(),
                [*precision[:1, 0].tolist(), *precision[:, 0].tolist()],
            )
    return curves


def errors(
    found: Sequence[Detections], truths: Sequence[Truth], names: Sequence[str], threshold: float = 0.5
) -> list[Error]:
    """Objects that no box hit, boxes on an object of another class, and boxes on nothing: the worst of each kind first.

    Boxes below `threshold` are not told, and so not wrong. What is missed comes largest first.
    """
    every: list[Error] = []
    for i, (one, truth) in enumerate(zip(found, truths)):
        every += wrong_on(i, one, truth, names, threshold)
    rank = {"missed": 0, "confused": 1, "ghost": 2}
    return sorted(every, key=lambda e: (rank[e.kind], -e.score, -(e.box[2] - e.box[0]) * (e.box[3] - e.box[1])))


def wrong_on(picture: int, found: Detections, truth: Truth, names: Sequence[str], threshold: float) -> list[Error]:
    """The errors on one picture."""
    told = found.scores >= threshold
    bitmaps = found.bitmaps[told] if len(found.bitmaps) else found.bitmaps
    found = Detections(found.boxes[told], found.labels[told], found.scores[told], bitmaps)
    (hits,), (idle,) = matched(found, truth)
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
