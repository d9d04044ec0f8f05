"""The scores of every split that was evaluated, side by side."""

from legato.reports.page import Cell, Section, paragraph, table
from legato.reports.trained import Trained


def section(trained: Trained) -> Section | None:
    if not trained.evaluations:
        return None
    names = list(dict.fromkeys(name for e in trained.evaluations.values() for name in e.scores))
    rows: list[list[Cell]] = [
        [name.replace("_", " "), *(e.scores.get(name) for e in trained.evaluations.values())] for name in names
    ]
    note = f"The first, {names[0].replace('_', ' ')}, on the validation split decides which weights are kept."
    return Section("Results", [table(["", *trained.evaluations], rows), paragraph(note)])
