"""What the network made of itself, from its first weights to its last: how a language model learns to write."""

from legato.reports.page import Part, Section, code, paragraph
from legato.reports.trained import Trained

SHOWN = 6


def section(trained: Trained) -> Section | None:
    found = trained.run.specimens()
    if not found:
        return None
    last = len(found) - 1
    chosen = sorted({round(last * (k / (SHOWN - 1)) ** 2) for k in range(SHOWN)})  # closer together at first
    parts: list[Part] = [paragraph("Written from nothing, with the same draws each time.")]
    for k in chosen:
        step, epoch = found[k]["step"], found[k]["epoch"]
        when = f"after {step:,} steps, epoch {epoch}" if step else "at first"
        parts += [f"<h3>{when}</h3>", code([found[k]["text"]])]
    return Section("Specimens", parts)
