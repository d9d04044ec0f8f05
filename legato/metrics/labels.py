"""Any number of labels an example: sums over examples, and the numbers made of them. A missing target is NaN."""

import torch
from jaxtyping import Float
from torch import Tensor


def tally(probabilities: Float[Tensor, "b k"], targets: Float[Tensor, "b k"]) -> dict[str, Tensor]:
    """For each label: true and said, said wrongly, missed; examples whose known labels are all right."""
    known, said, true = ~targets.isnan(), probabilities > 0.5, targets > 0.5
    wrong = known & (said != true)
    return {
        "hits": (known & said & true).sum(0),
        "false_alarms": (wrong & said).sum(0),
        "misses": (wrong & true).sum(0),
        "known": known.sum(0),
        "all_right": (~wrong.any(dim=1)).sum(),
        "count": torch.tensor(len(targets), device=targets.device),
    }


def scores(tally: dict[str, Tensor]) -> dict[str, float]:
    """f1 (micro), macro_f1, precision, recall, hamming (share of wrong labels), exact (all labels right), count."""
    hits, alarms, misses = (tally[k].double() for k in ("hits", "false_alarms", "misses"))
    each = 2 * hits / (2 * hits + alarms + misses).clamp(min=1)
    return {
        "f1": float(2 * hits.sum() / (2 * hits + alarms + misses).sum().clamp(min=1)),
        "macro_f1": float(each.mean()),
        "precision": float(hits.sum() / (hits + alarms).sum().clamp(min=1)),
        "recall": float(hits.sum() / (hits + misses).sum().clamp(min=1)),
        "hamming": float((alarms + misses).sum() / tally["known"].sum().clamp(min=1)),
        "exact": float(tally["all_right"] / tally["count"]),
        "count": int(tally["count"]),
    }
