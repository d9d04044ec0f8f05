"""Predicted numbers against true ones, for tasks that predict numbers."""

import torch
from torch import Tensor

from legato import picture
from legato.reports.page import Figure, Section
from legato.reports.trained import Trained

POINTS, PANELS = 512, 8


def section(trained: Trained) -> Section | None:
    split = trained.split
    if split is None or "sum_squares" not in trained.tally:
        return None
    count = len(trained.task.examples(split))
    indices = torch.linspace(0, count - 1, min(POINTS, count)).long().tolist()
    _, true, predicted = trained.outputs(split, indices)
    if not (isinstance(true, Tensor) and true.dim() == 2):
        return None
    names = trained.names(true.shape[1])[:PANELS]
    known = [~true[:, k].isnan() for k in range(len(names))]
    points = {
        n: (true[ok, k].tolist(), predicted[ok, k].float().tolist()) for k, (n, ok) in enumerate(zip(names, known))
    }
    drawn = picture.scatter(points, "true", "predicted", f"Predictions on {split}")
    note = f"{len(indices):,} examples of {split}; on the line the prediction is exact."
    return Section("Predictions", [Figure("predictions", drawn, note)])
