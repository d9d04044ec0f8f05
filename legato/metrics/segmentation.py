"""A class for each pixel: sums over pixels, and the numbers made of them."""

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from legato.values import VOID

SLACK = 3  # pixels a thin line may be beside the truth (Mnih & Hinton 2010, section 5.1)


def tally(
    probabilities: Float[Tensor, "b k h w"], targets: UInt8[Tensor, "b h w"], slack: int = SLACK
) -> dict[str, Tensor]:
    """Sums that add up over batches: pixels by true (row) and predicted (column) class, without those that are VOID.

    With two classes also, for the second one, how many predicted pixels lie within `slack` of true ones, how many are
    predicted, how many true pixels lie within `slack` of predicted ones, how many are true.
    """
    k = probabilities.shape[1]
    predicted, known = probabilities.argmax(dim=1), targets != VOID
    pairs = targets[known].long() * k + predicted[known]
    sums = {"pixels": torch.bincount(pairs, minlength=k * k).view(k, k)}
    if k == 2:
        sums["relaxed"] = relaxed((predicted == 1) & known, (targets == 1) & known, slack)
    return sums


def relaxed(predicted: Bool[Tensor, "b h w"], true: Bool[Tensor, "b h w"], slack: int = SLACK) -> Int[Tensor, "4"]:
    """[predicted near true, predicted, true near predicted, true]: near is within a disc of `slack` pixels."""
    found = [(predicted & near(true, slack)).sum(), predicted.sum(), (true & near(predicted, slack)).sum(), true.sum()]
    return torch.stack(found)


def near(mask: Bool[Tensor, "b h w"], slack: int) -> Bool[Tensor, "b h w"]:
    """The mask, grown by a disc: every pixel no further than `slack` from one of it."""
    steps = torch.arange(-slack, slack + 1, device=mask.device)
    disc = (steps[:, None].square() + steps.square() <= slack**2).float()
    return F.conv2d(mask[:, None].float(), disc[None, None], padding=slack)[:, 0] > 0.5


def scores(tally: dict[str, Tensor], names: tuple[str, ...]) -> dict[str, float]:
    """mean_iou over the classes that occur (Long et al. 2015, section 5), pixel_accuracy, mean_accuracy, iou/name.

    With two classes also precision, recall and F1 of the second one, relaxed ones beside them.
    """
    pixels = tally["pixels"].double()
    right, true, said = pixels.diag(), pixels.sum(1), pixels.sum(0)
    union = true + said - right
    iou, occurs, is_true = right / union.clamp(min=1), union > 0, true > 0
    found = {
        "mean_iou": mean(iou[occurs]),
        "pixel_accuracy": float(right.sum() / true.sum().clamp(min=1)),
        "mean_accuracy": mean((right / true.clamp(min=1))[is_true]),
        **{f"iou/{name}": float(value) for name, value in zip(names, iou)},
    }
    if "relaxed" in tally:
        exact = torch.stack([right[1], said[1], right[1], true[1]])
        found |= dict(zip(("precision", "recall", "f1"), prf(exact)))
        found |= dict(zip(("relaxed_precision", "relaxed_recall", "relaxed_f1"), prf(tally["relaxed"])))
    return found


def prf(counts: Tensor) -> tuple[float, float, float]:
    """Precision, recall and their harmonic mean, from [good predictions, predictions, found truths, truths]."""
    good, predictions, met, truths = counts.double().tolist()
    precision, recall = good / max(1, predictions), met / max(1, truths)
    return precision, recall, 2 * precision * recall / max(1e-12, precision + recall)


def mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else 0.0


def soft_dice(scores: Float[Tensor, "b k h w"], targets: UInt8[Tensor, "b h w"]) -> Float[Tensor, ""]:
    """Dice's overlap of what is likely with what is there, the mean over the classes that are there (Milletari et al.
    2016, "V-Net", arXiv:1606.04797, section 3: squares in the denominator). Unknown pixels do not count."""
    known = (targets != VOID)[:, None]
    there = F.one_hot(targets.where(known[:, 0], 0).long(), scores.shape[1]).permute(0, 3, 1, 2) * known
    likely = scores.softmax(dim=1) * known
    both, either = ((a * b).sum((0, 2, 3)) for a, b in ((likely, there), (likely, likely)))
    own = there.sum((0, 2, 3))
    return (2 * both / (either + own).clamp(min=1))[own > 0].mean()
