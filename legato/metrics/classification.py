"""One class of several: sums over examples, and the numbers made of them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

BINS = 15  # of confidence, for calibration


def tally(probabilities: Float[Tensor, "b k"], targets: Int[Tensor, "b"]) -> dict[str, Tensor]:
    """Sums that add up over batches: the confusion matrix (true row, predicted column), hits among the first five,
    log loss, and by confidence: how many, how confident, how many right (Guo et al. 2017, section 2).
    """
    k = probabilities.shape[1]
    confidence, predicted = probabilities.max(dim=1)
    right = predicted == targets
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    own = probabilities.gather(1, targets[:, None]).squeeze(1)
    by_confidence = torch.zeros(3, BINS, dtype=torch.float64, device=probabilities.device)
    by_confidence.index_add_(1, bins, torch.stack([torch.ones_like(confidence), confidence, right.float()]).double())
    return {
        "confusion": torch.bincount(targets * k + predicted, minlength=k * k).view(k, k),
        "top5": (probabilities.topk(min(5, k), dim=1).indices == targets[:, None]).any(dim=1).sum(),
        "log_loss": -own.double().clamp(min=1e-12).log().sum(),
        "calibration": by_confidence,
    }


def scores(tally: dict[str, Tensor]) -> dict[str, float]:
    """accuracy, errors, count, log_loss (nats an example), calibration_error (Guo et al. 2017, eq. 3); and top5, where
    there are more classes than that."""
    confusion = tally["confusion"]
    count, right = int(confusion.sum()), int(confusion.trace())
    _, confident, hits = tally["calibration"]
    top5 = {"top5": int(tally["top5"]) / max(1, count)} if len(confusion) > 5 else {}
    return {
        "accuracy": right / max(1, count),
        "errors": count - right,
        "count": count,
        **top5,
        "log_loss": float(tally["log_loss"]) / max(1, count),
        "calibration_error": float((confident - hits).abs().sum()) / max(1, count),
    }


def by_class(confusion: Int[Tensor, "k k"]) -> dict[str, list[float]]:
    """precision, recall and F1 of each class, and how many examples of it there are; 0 where undefined."""
    right, true, said = confusion.diag().double(), confusion.sum(1).double(), confusion.sum(0).double()
    precision, recall = right / said.clamp(min=1), right / true.clamp(min=1)
    f1 = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    return {"precision": precision.tolist(), "recall": recall.tolist(), "f1": f1.tolist(), "count": true.tolist()}
