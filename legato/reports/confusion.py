"""What is taken for what, and how well each class, label or target is told."""

from collections.abc import Iterable, Sequence

from torch import Tensor

from legato import picture
from legato.metrics import classification
from legato.picture.style import percent
from legato.reports.page import Cell, Figure, Section, folded, table
from legato.reports.trained import Trained

IN_ORDER = 20  # classes shown in their own order; of more, the worst first
UNFOLDED = 20  # rows shown without a click
QUALITY = ("precision", "recall", "F1")


def section(trained: Trained) -> Section | None:
    """Whichever of these the task's sums allow."""
    known = trained.tally
    if "confusion" in known:
        return of_classes(trained)
    if "pixels" in known:
        return of_pixels(trained)
    if "false_alarms" in known:
        return Section("Labels", [labels(trained)])
    if "sum_squares" in known:
        return Section("Targets", [targets(trained)])
    return None


def of_classes(trained: Trained) -> Section:
    """Of a task with one class an example: who is taken for whom, and how well each is told."""
    confusion = trained.tally["confusion"]
    names = trained.names(len(confusion))
    wrong, count = int(confusion.sum() - confusion.trace()), int(confusion.sum())
    drawn = picture.matrix(confusion, names, names, f"{wrong:,} errors of {count:,} on {trained.split}")
    note = "Rows are true classes, columns what the network says; colour is the share of the row."
    figure, details = Figure("confusion", drawn, note), classes(confusion, names)
    return Section("Classes", [[figure, details]] if len(names) <= IN_ORDER else [figure, details])


def of_pixels(trained: Trained) -> Section:
    """Of a task with one class a pixel, in percent of the true class's pixels."""
    pixels = trained.tally["pixels"]
    names = trained.names(len(pixels))
    wrong = float(1 - pixels.trace() / pixels.sum().clamp(min=1))
    shares = 100 * pixels / pixels.sum(1, keepdim=True).clamp(min=1)
    drawn = picture.matrix(shares.round(), names, names, f"{percent(wrong)} of the pixels wrong on {trained.split}")
    note = "Of each true class's pixels (row), how many percent the network gives to which class (column)."
    return Section("Classes", [Figure("confusion", drawn, note), classes(pixels, names, "pixels")])


def classes(confusion: Tensor, names: Sequence[str], counted: str = "examples") -> str:
    """Precision, recall and F1 of each class, and how often it occurs."""
    found = classification.by_class(confusion)
    rows = list(zip(names, found["precision"], found["recall"], found["f1"], found["count"]))
    return quality("class", rows, counted)


def labels(trained: Trained) -> str:
    """Precision TP/(TP + FP), recall TP/(TP + FN) and F1 of each label."""
    hits, alarms, misses = (trained.tally[k].double() for k in ("hits", "false_alarms", "misses"))
    precision, recall = hits / (hits + alarms).clamp(min=1), hits / (hits + misses).clamp(min=1)
    f1 = 2 * hits / (2 * hits + alarms + misses).clamp(min=1)
    columns = (t.tolist() for t in (precision, recall, f1, hits + misses))
    return quality("label", list(zip(trained.names(len(hits)), *columns)), "examples")


def quality(what: str, rows: list[tuple[str, float, float, float, float]], counted: str) -> str:
    """A row for each: in their own order, or from the worst F1 where they are many."""
    ordered = rows if len(rows) <= IN_ORDER else sorted(rows, key=lambda row: row[3])
    return foldable([what, *QUALITY, counted], ordered)


def foldable(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    shown = table(heads, rows[:UNFOLDED], QUALITY)
    rest = rows[UNFOLDED:]
    return shown + (folded(f"{len(rest):,} more", table(heads, rest, QUALITY)) if rest else "")


def targets(trained: Trained) -> str:
    """RMSE, mean absolute error and R² of each target."""
    parts = {name: t.double() for name, t in trained.tally.items()}
    n = parts["count"].clamp(min=1)
    spread = parts["sum_squares"] - parts["sum"].square() / n
    rmse, mae = (parts["squared"] / n).sqrt(), parts["absolute"] / n
    r2 = 1 - parts["squared"] / spread.clamp(min=1e-12)
    columns: Iterable[list[float]] = (t.tolist() for t in (rmse, mae, r2, parts["count"]))
    return foldable(
        ["target", "RMSE", "mean absolute error", "R²", "examples"], list(zip(trained.names(len(n)), *columns))
    )
