"""One class and one box a picture: sums over pictures, and the numbers made of them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def iou(a: Float[Tensor, "b 4"], b: Float[Tensor, "b 4"]) -> Float[Tensor, "b"]:
    """Intersection over union of each pair of boxes, x y width height."""
    low = torch.maximum(a[:, :2], b[:, :2])
    high = torch.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    areas = a[:, 2:].clamp(min=0).prod(dim=1) + b[:, 2:].clamp(min=0).prod(dim=1)
    return shared / (areas - shared).clamp(min=1e-12)


def tally(
    probabilities: Float[Tensor, "b k"],
    boxes: Float[Tensor, "b 4"],
    classes: Int[Tensor, "b"],
    truth: Float[Tensor, "b 4"],
) -> dict[str, Tensor]:
    """How many pictures, how many of the right class, the sum of IoU, how many boxes of IoU ≥ ½, how many of both."""
    right, overlap = probabilities.argmax(dim=1) == classes, iou(boxes, truth)
    found = overlap >= 0.5
    counts = [torch.ones_like(right).sum(), right.sum(), found.sum(), (right & found).sum()]
    return {"counts": torch.stack(counts), "iou": overlap.double().sum()}


def scores(tally: dict[str, Tensor]) -> dict[str, float]:
    """localised: right class and IoU ≥ ½ (ILSVRC's measure); accuracy; found, the IoU alone; mean_iou."""
    count, right, found, both = tally["counts"].tolist()
    n = max(1, count)
    return {
        "localised": both / n,
        "accuracy": right / n,
        "found": found / n,
        "mean_iou": float(tally["iou"]) / n,
    }
