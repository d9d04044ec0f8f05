"""Learning curves: loss in training and validation, the deciding score, the learning rate."""

from collections.abc import Sequence

from legato import picture
from legato.picture.plots import Points
from legato.picture.style import number
from legato.reports.page import Figure, Section
from legato.reports.trained import Trained

Metrics = Sequence[dict[str, float]]


def section(trained: Trained) -> Section | None:
    metrics = trained.metrics
    if not metrics:
        return None
    loss = picture.curves(losses(metrics), "epoch", "loss, mean over examples", "Loss", log=spans_decades(metrics))
    figures: list[str | Figure] = [
        Figure("loss", loss, "Mean loss of the epoch in training; where it has one, the validation split's.")
    ]
    if found := score(metrics):
        name, points, best = found
        drawn = picture.curves(
            {"": points}, "epoch", name, f"Validation {name}", marks={f"best {number(best[1])}": best}
        )
        figures.append(Figure("score", drawn, "The score that decides which weights are kept."))
    rate = {"": course(metrics, "lr")}
    drawn = picture.curves(rate, "epoch", "learning rate", "Learning rate")
    figures.append(Figure("lr", drawn, "The rate at the last step of each epoch."))
    return Section("Learning curves", [figures])


def course(metrics: Metrics, key: str) -> Points:
    known = [line for line in metrics if key in line]
    return [line["epoch"] for line in known], [line[key] for line in known]


def losses(metrics: Metrics) -> dict[str, Points]:
    """Every part of the training loss, and what validation calls a loss."""
    keys = list(dict.fromkeys(key for line in metrics for key in line))
    train = [k for k in keys if k.startswith("train/")]
    valid = [k for k in keys if k.startswith("valid/") and "loss" in k]
    return {k.replace("/", " ").replace("_", " "): course(metrics, k) for k in train + valid}


def spans_decades(metrics: Metrics) -> bool:
    """Whether a logarithmic axis shows more: all losses positive, the largest 20 times the smallest."""
    values = [v for _, ys in losses(metrics).values() for v in ys]
    return bool(values) and min(values) > 0 and max(values) > 20 * min(values)


def score(metrics: Metrics) -> tuple[str, Points, tuple[float, float]] | None:
    """Name and course of the deciding score, and (epoch, value) of its best."""
    key = next((key for line in metrics for key in line if key.startswith("valid/")), None)
    if key is None:
        return None
    epochs, values = course(metrics, key)
    best = max(range(len(values)), key=lambda k: values[k])
    return key.removeprefix("valid/").replace("_", " "), (epochs, values), (epochs[best], values[best])
