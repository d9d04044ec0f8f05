"""What a task says of its data before it trains: the same lines for all that ask where."""

from typing import Any


def told(task: Any, what: str, how: str) -> list[str]:
    """Data and splits; what is learnt from it and how; what was left out."""
    known = task.known
    counts = ", ".join(f"{count:,} {split}" for count, split in zip(known.examples, ("train", "valid", "test")))
    lines = [f"{task.data}: {known.format}, {what}, {counts}; {known.policy}", f"{task.name} {how}"]
    lines += list(getattr(known, "notes", ()))
    if known.set_aside:
        lines.append(f"{len(known.set_aside):,} set aside, the first: {known.set_aside[0][1]}")
    return lines
