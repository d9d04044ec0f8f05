"""Average precision as COCO defines it (Lin et al. 2014; pycocotools' cocoeval.py, which it is tested to equal).

Which box hits which object is decided picture by picture; what is summed over batches and machines is a table of
pictures × their boxes. From it follow average precision, curves, and intervals over other pictures one might have had.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from legato.layers.regions import area, intersection
from legato.layers.regions.objects import MOST, Detections, Truth
from legato.task import Tally

THRESHOLDS = torch.linspace(0.5, 0.95, 10, dtype=torch.float64)  # of intersection over union
RECALLS = np.linspace(0, 1, 101)


def tally(
    found: Sequence[Detections], truths: Sequence[Truth], pictures: Sequence[int], count: int, classes: int
) -> Tally:
    """Of `count` pictures these rows: of each box its score, class and hits at each threshold; and how many objects."""
    table = {
        "scores": torch.zeros(count, MOST),
        "classes": torch.zeros(count, MOST, dtype=torch.int32),  # counted from 1; 0: no box
        "hits": torch.zeros(count, MOST, len(THRESHOLDS), dtype=torch.uint8),
        "idle": torch.zeros(count, MOST, len(THRESHOLDS), dtype=torch.uint8),  # on something that does not count
        "objects": torch.zeros(count, classes, dtype=torch.int32),
        "seen": torch.zeros(count, dtype=torch.int32),
    }
    for one, truth, row in zip(found, truths, pictures):
        n = len(one.scores)
        hits, idle = matched(one, truth)
        table["scores"][row, :n], table["classes"][row, :n] = one.scores.cpu(), one.labels.cpu().int() + 1
        table["hits"][row, :n], table["idle"][row, :n] = hits.byte(), idle.byte()
        table["objects"][row] = torch.bincount(truth.labels[truth.sure].cpu(), minlength=classes).int()
        table["seen"][row] = 1
    return table


def matched(found: Detections, truth: Truth) -> tuple[Bool[Tensor, "n t"], Bool[Tensor, "n t"]]:
    """Which boxes hit an object at each threshold, and which hit something unsure and so do not count.

    The surest box chooses first: of the objects of its class that are still free, the one it overlaps most.
    """
    hits = torch.zeros(len(found.scores), len(THRESHOLDS), dtype=torch.bool)
    idle = hits.clone()
    overlap = overlaps(found, truth).cpu()
    for k in found.labels.unique().tolist():
        boxes = (found.labels == k).nonzero().squeeze(1).cpu()
        objects = (truth.labels == k).nonzero().squeeze(1).cpu()
        sure = truth.sure.cpu()[objects]
        hits[boxes], idle[boxes] = assigned(overlap[boxes][:, objects], sure)
    return hits, idle


def overlaps(found: Detections, truth: Truth) -> Float64[Tensor, "n m"]:
    """Intersection over union of boxes, or of outlines where both have them; over its own area for what is unsure."""
    if found.bitmaps.dim() == 3 and truth.bitmaps.numel():
        a, b = found.bitmaps.flatten(1).double(), truth.bitmaps.flatten(1).double()
        both, area_a, area_b = a @ b.mT, a.sum(dim=1), b.sum(dim=1)
    else:
        a, b = found.boxes.double(), truth.boxes.double()
        both, area_a, area_b = intersection(a, b), area(a), area(b)
    union = torch.where(truth.sure, area_a[:, None] + area_b - both, area_a[:, None])
    return both / union.clamp(min=1e-12)


def assigned(
    overlap: Float64[Tensor, "n m"], sure: Bool[Tensor, "m"]
) -> tuple[Bool[Tensor, "n t"], Bool[Tensor, "n t"]]:
    """The greedy rule for the boxes and objects of one class and picture, at all thresholds side by side."""
    n, m, limits = *overlap.shape, THRESHOLDS
    hits = torch.zeros(n, len(limits), dtype=torch.bool)
    idle, free = hits.clone(), torch.ones(len(limits), m, dtype=torch.bool)
    if not m:
        return hits, idle
    every = torch.arange(len(limits))
    for i, row in enumerate(overlap):
        enough = row >= limits[:, None].clamp(max=1 - 1e-10)
        real = torch.where(enough & free & sure, row, -1.0)
        best = m - 1 - real.flip(1).argmax(dim=1)  # of equals the last, as in cocoeval
        hit = real[every, best] >= 0
        free[every[hit], best[hit]] = False
        hits[i], idle[i] = hit, ~hit & (enough & ~sure).any(dim=1)  # a crowd may be hit by many
    return hits, idle


def scores(table: Tally, names: Sequence[str]) -> dict[str, float]:
    """AP50 first; then the mean over 0.5 … 0.95, AP75, the recall of 100 boxes, and AP50 of each class."""
    ap = average_precision(table)
    recall = recalls(table)
    classes = {f"AP50 {name}": float(ap[k, 0]) for k, name in enumerate(names)} if len(names) <= 20 else {}
    means = {"AP50": ap[:, 0], "AP": ap, "AP75": ap[:, 5], "AR100": recall}
    return {name: mean(values) for name, values in means.items()} | {
        k: 0.0 if v != v else v for k, v in classes.items()
    }


def mean(values: np.ndarray) -> float:
    """Over the classes that occur; 0 if none does."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else 0.0


def average_precision(table: Tally, times: Float[Tensor, "p"] | None = None) -> Float64[np.ndarray, "k t"]:
    """Of each class at each threshold; NaN for a class that does not occur. `times`: how often each picture counts."""
    weight = (table["seen"] if times is None else times).double().numpy()
    objects = (table["objects"].double().numpy() * weight[:, None]).sum(0)
    return np.stack([class_precision(table, k, weight, n) for k, n in enumerate(objects)])


def class_precision(table: Tally, k: int, weight: np.ndarray, objects: float) -> Float64[np.ndarray, "t"]:
    if not objects:
        return np.full(len(THRESHOLDS), np.nan)
    precision, recall = curve(table, k, weight, objects)
    found = np.zeros(len(THRESHOLDS))
    for t in range(len(THRESHOLDS)):
        envelope = np.maximum.accumulate(precision[::-1, t])[::-1]
        at = np.searchsorted(recall[:, t], RECALLS, side="left")
        found[t] = np.concatenate([envelope, [0.0]])[np.minimum(at, len(envelope))].mean()
    return found


def curve(
    table: Tally, k: int, weight: np.ndarray | None = None, objects: float = 0
) -> tuple[Float64[np.ndarray, "n t"], Float64[np.ndarray, "n t"]]:
    """Precision and recall of class k after each of its boxes, surest first, at each threshold."""
    weight = table["seen"].double().numpy() if weight is None else weight
    objects = objects or float((table["objects"][:, k].double().numpy() * weight).sum())
    picture, place = (table["classes"] == k + 1).nonzero(as_tuple=True)
    order = np.argsort(-table["scores"][picture, place].numpy(), kind="stable")
    counts = weight[picture.numpy()][order, None] * (1 - table["idle"][picture, place].numpy()[order])
    right = np.cumsum(counts * table["hits"][picture, place].numpy()[order], axis=0)
    every = np.cumsum(counts, axis=0)
    return right / np.maximum(every, np.spacing(1)), right / max(objects, np.spacing(1))


def recalls(table: Tally) -> Float64[np.ndarray, "k t"]:
    """The share of each class's objects that were found at all."""
    objects = table["objects"].sum(0).double().numpy()
    found = [table["hits"][table["classes"] == k + 1].double().sum(0).numpy() for k in range(len(objects))]
    with np.errstate(invalid="ignore"):
        return np.stack([f / n if n else np.full(len(THRESHOLDS), np.nan) for f, n in zip(found, objects)])


def interval(table: Tally, level: float = 0.95, draws: int = 400, seed: int = 0) -> tuple[float, float]:
    """Between what AP50 lies, were the pictures others of their kind: percentiles over pictures drawn with replacement.

    Efron 1979, "Bootstrap methods".
    """
    seen = table["seen"].nonzero().squeeze(1)
    rng, values = np.random.default_rng(seed), []
    halves = {k: v if v.dim() < 3 else v[..., :1] for k, v in table.items()}  # one threshold is enough
    for _ in range(draws):
        drawn = torch.from_numpy(rng.integers(len(seen), size=len(seen)))
        times = torch.zeros(len(table["seen"])).index_add_(0, seen[drawn], torch.ones(len(drawn)))
        values.append(mean(first_threshold(halves, times)))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def first_threshold(table: Tally, times: Tensor) -> Float64[np.ndarray, "k"]:
    weight = times.double().numpy()
    objects = (table["objects"].double().numpy() * weight[:, None]).sum(0)
    found = []
    for k, n in enumerate(objects):
        if not n:
            continue
        precision, recall = curve(table, k, weight, n)
        envelope = np.concatenate([np.maximum.accumulate(precision[::-1, 0])[::-1], [0.0]])
        found.append(envelope[np.minimum(np.searchsorted(recall[:, 0], RECALLS), len(precision))].mean())
    return np.array(found)
