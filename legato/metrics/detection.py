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
FEW = 300  # pictures: of more, AP50 hardly varies and its interval takes long
SIZES = {"": (0.0, float("inf")), " small": (0.0, 32.0**2), " medium": (32.0**2, 96.0**2), " large": (96.0**2, 1e10)}


def tally(
    found: Sequence[Detections],
    truths: Sequence[Truth],
    pictures: Sequence[int],
    count: int,
    classes: int,
    scales: Float[Tensor, "b 2"] | None = None,
) -> Tally:
    """Of `count` pictures these rows: of each box its score, class and hits at each threshold; and how many objects.

    The same again for small, medium and large objects, by their areas before they were enlarged by `scales`.
    """
    table = {
        "scores": torch.zeros(count, MOST),
        "classes": torch.zeros(count, MOST, dtype=torch.int32),  # counted from 1; 0: no box
        "seen": torch.zeros(count, dtype=torch.int32),
    }
    for size in SIZES:
        table[f"hits{size}"] = torch.zeros(count, MOST, len(THRESHOLDS), dtype=torch.uint8)
        table[f"idle{size}"] = torch.zeros(count, MOST, len(THRESHOLDS), dtype=torch.uint8)  # on what does not count
        table[f"objects{size}"] = torch.zeros(count, classes, dtype=torch.int32)
    enlarged = torch.ones(len(truths)) if scales is None else scales.cpu().prod(dim=1)
    for one, truth, row, factor in zip(found, truths, pictures, enlarged.tolist()):
        n = len(one.scores)
        table["scores"][row, :n], table["classes"][row, :n] = one.scores.cpu(), one.labels.cpu().int() + 1
        table["seen"][row] = 1
        own, theirs = area_of(one).cpu() / factor, area_of(truth).cpu() / factor
        ranges = torch.tensor(list(SIZES.values()), dtype=torch.float64)
        low, high = ranges[:, :1], ranges[:, 1:]
        counts = truth.sure.cpu() & (low <= theirs) & (theirs < high)
        hits, idle = matched(one, truth, counts)
        beside = ~hits & ~((low <= own) & (own < high))[..., None]  # of another size, and on nothing: not judged
        for i, size in enumerate(SIZES):
            table[f"hits{size}"][row, :n], table[f"idle{size}"][row, :n] = hits[i].byte(), (idle | beside)[i].byte()
            table[f"objects{size}"][row] = torch.bincount(truth.labels.cpu()[counts[i]], minlength=classes).int()
    return table


def matched(
    found: Detections, truth: Truth, counts: Bool[Tensor, "s m"] | None = None
) -> tuple[Bool[Tensor, "s n t"], Bool[Tensor, "s n t"]]:
    """Which boxes hit an object at each threshold, and which hit something that does not count and so do not either.

    `counts`: which objects do, in as many ways as one likes, side by side; None: those that are sure. The surest box
    chooses first: of the objects of its class that are still free, the one it overlaps most.
    """
    sure, labels, kinds = truth.sure.cpu(), found.labels.cpu(), truth.labels.cpu()
    counts = sure[None] if counts is None else counts
    overlap = overlaps(found, truth).cpu()
    hits = torch.zeros(len(counts), len(labels), len(THRESHOLDS), dtype=torch.bool)
    idle = hits.clone()
    if not len(sure):
        return hits, idle
    near = overlap.amax(dim=1) >= THRESHOLDS[0] - 1e-10  # the others hit nothing
    for k in labels[near].unique().tolist():
        boxes, objects = (near & (labels == k)).nonzero().squeeze(1), (kinds == k).nonzero().squeeze(1)
        own = overlap[boxes][:, objects]
        hits[:, boxes], idle[:, boxes] = assigned(own, counts[:, objects], ~sure[objects])
    return hits, idle


def area_of(things: Detections | Truth) -> Float64[Tensor, "n"]:
    """Square pixels: of outlines where they are known."""
    if things.bitmaps.dim() == 3 and things.bitmaps.numel():
        return things.bitmaps.flatten(1).sum(dim=1).double()
    return area(things.boxes.double())


def of_size(table: Tally, size: str) -> Tally:
    """The same for small, medium or large objects alone: `" small"`."""
    own = {name: table[f"{name}{size}"] for name in ("hits", "idle", "objects")}
    return {name: table[name] for name in ("scores", "classes", "seen")} | own


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
    overlap: Float64[Tensor, "n m"], counts: Bool[Tensor, "s m"], crowd: Bool[Tensor, "m"]
) -> tuple[Bool[Tensor, "s n t"], Bool[Tensor, "s n t"]]:
    """The greedy rule for the boxes and objects of one class and picture, at all thresholds side by side.

    An object that does not count is taken only where none that does is left; a crowd may be hit by many.
    """
    s, n, m, t = len(counts), *overlap.shape, len(THRESHOLDS)
    hits = torch.zeros(s, n, t, dtype=torch.bool)
    idle, free = hits.clone(), torch.ones(s, t, m, dtype=torch.bool)
    if not m:
        return hits, idle
    counts = counts[:, None]
    limits = THRESHOLDS[:, None].clamp(max=1 - 1e-10)
    for i, row in enumerate(overlap):
        enough = (row >= limits) & (free | crowd)
        hit, best = last_best(row, enough & counts)
        spared, other = last_best(row, enough & ~counts)
        spared &= ~hit
        taken = torch.where(hit, best, other)[..., None]
        free.scatter_(2, taken, free.gather(2, taken) & ~(hit | spared)[..., None])
        hits[:, i], idle[:, i] = hit, spared
    return hits, idle


def last_best(row: Float64[Tensor, "m"], allowed: Bool[Tensor, "s t m"]) -> tuple[Bool[Tensor, "s t"], Tensor]:
    """Whether any object is allowed, and which of these is overlapped most; of equals the last, as in cocoeval."""
    best = len(row) - 1 - torch.where(allowed, row, -1.0).flip(2).argmax(dim=2)
    return allowed.any(dim=2), best


def scores(table: Tally, names: Sequence[str]) -> dict[str, float]:
    """AP50 first; then the mean over 0.5 … 0.95, AP75, the recall of 100 boxes, AP of the sizes that occur (below 32²,
    below 96², larger), AP50 of each class, and, of up to 300 pictures, between what AP50 lies (`interval`)."""
    ap = average_precision(table)
    recall = recalls(table)
    classes = {f"AP50 {name}": float(ap[k, 0]) for k, name in enumerate(names)} if len(names) <= 20 else {}
    means = {"AP50": ap[:, 0], "AP": ap, "AP75": ap[:, 5], "AR100": recall}
    sized = {f"AP{size}": of_size(table, size) for size in SIZES if size and bool(table[f"objects{size}"].any())}
    means |= {name: average_precision(own) for name, own in sized.items()}
    found = {name: mean(values) for name, values in means.items()}
    found |= {name: 0.0 if np.isnan(value) else value for name, value in classes.items()}
    if 1 < int(table["seen"].sum()) <= FEW:
        found |= dict(zip(("AP50 low", "AP50 high"), interval(table)))
    return found


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


def interval(table: Tally, level: float = 0.95, draws: int = 200, seed: int = 0) -> tuple[float, float]:
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
