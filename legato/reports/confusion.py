"""What is taken for what, and how well each class, label or target is told."""

from collections.abc import Iterable, Sequence

from torch import Tensor

from legato import picture
from legato.metrics import classification
from legato.reports.page import Cell, Figure, Section, folded, table
from legato.reports.trained import Trained

IN_ORDER = 20  # classes shown in their own order; of more, the worst first
UNFOLDED = 40  # rows shown without a click
QUALITY = ("precision", "recall", "F1")


def section(trained: Trained) -> Section | None:
    """Of a task with one class an example, the matrix and a table; of others that name what they tell, a table."""
    confusion = trained.tally("confusion")
    if confusion is not None:
        names = trained.names(len(confusion))
        wrong, count = int(confusion.sum() - confusion.trace()), int(confusion.sum())
        title = f"{wrong:,} errors of {count:,} on {trained.split}"
        drawn = picture.matrix(confusion, names, names, title)
        note = "Rows are true classes, columns what the network says; colour is the share of the row."
        figure, details = Figure("confusion", drawn, note), classes(confusion, names)
        return Section("Classes", [[figure, details]] if len(names) <= IN_ORDER else [figure, details])
    if trained.tally("false_alarms") is not None:
        return Section("Labels", [labels(trained)])
    if trained.tally("squared") is not None:
        return Section("Targets", [targets(trained)])
    return None


def classes(confusion: Tensor, names: Sequence[str]) -> str:
    found = classification.by_class(confusion)
    rows = list(zip(names, found["precision"], found["recall"], found["f1"], found["count"]))
    return quality("class", rows)


def labels(trained: Trained) -> str:
    """Precision TP/(TP + FP), recall TP/(TP + FN) and F1 of each label."""
    hits, alarms, misses = (sums(trained)[k] for k in ("hits", "false_alarms", "misses"))
    precision, recall = hits / (hits + alarms).clamp(min=1), hits / (hits + misses).clamp(min=1)
    f1 = 2 * hits / (2 * hits + alarms + misses).clamp(min=1)
    columns = (t.tolist() for t in (precision, recall, f1, hits + misses))
    return quality("label", list(zip(trained.names(len(hits)), *columns)))


def quality(what: str, rows: list[tuple[str, float, float, float, float]]) -> str:
    """Precision, recall, F1, count: in order of the classes, or from the worst F1 where they are many."""
    ordered = rows if len(rows) <= IN_ORDER else sorted(rows, key=lambda row: row[3])
    return foldable([what, *QUALITY, "examples"], ordered)


def foldable(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    shown = table(heads, rows[:UNFOLDED], QUALITY)
    rest = rows[UNFOLDED:]
    return shown + (folded(f"{len(rest):,} more", table(heads, rest, QUALITY)) if rest else "")


def sums(trained: Trained) -> dict[str, Tensor]:
    """The evaluation's tally, in numbers one can divide."""
    tally = trained.evaluation.tally if trained.evaluation else {}
    return {name: t.cpu().double() for name, t in tally.items()}


def targets(trained: Trained) -> str:
    """RMSE, mean absolute error and R² of each target."""
    parts = sums(trained)
    n = parts["count"].clamp(min=1)
    spread = parts["sum_squares"] - parts["sum"].square() / n
    rmse, mae = (parts["squared"] / n).sqrt(), parts["absolute"] / n
    r2 = 1 - parts["squared"] / spread.clamp(min=1e-12)
    columns: Iterable[list[float]] = (t.tolist() for t in (rmse, mae, r2, parts["count"]))
    return foldable(
        ["target", "RMSE", "mean absolute error", "R²", "examples"], list(zip(trained.names(len(n)), *columns))
    )
