"""Data that are not where a run learnt from them: others of the same kind, or the same in another place."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from legato.errors import DataError
from legato.task import Task

AnyTask = Task[Any, Any, Any]
BUILT_IN = ("digits",)  # data sets that need no path


def moved(task: AnyTask, data: str | Path) -> AnyTask:
    """The task on other data of the same kind, with what it has learnt from its own."""
    return replace(task, data=str(data)) if data else task


def brought(task: AnyTask, data: str | Path) -> AnyTask:
    """The task with its own data at another place. Raises DataError if those are not what it has learnt from."""
    forgetful: dict[str, Any] = {"data": str(data), "learnt": None}
    if marked(replace(task, **forgetful).adapt()) != marked(task):
        raise DataError(f"{data}: not the data of the run ({task.data}); `legato train --like` begins anew with them")
    return moved(task, data)


def marked(task: AnyTask) -> str:
    """What tells data sets apart, wherever they lie."""
    return str(getattr(getattr(task, "learnt", None), "fingerprint", ""))


@contextmanager
def maybe_moved(task: AnyTask, run: str | Path) -> Iterator[None]:
    """Of data that are not found, say whose they are, and how to say where they are now."""
    try:
        yield
    except DataError:
        if task.data in ("", *BUILT_IN) or Path(task.data).exists():
            raise
        raise DataError(f"{task.data}: not found, the data of {run}; --data says where they are now") from None
