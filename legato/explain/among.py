"""Other inputs to look among: a split of the run's own data, or what lies in a folder; read when asked for."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from legato.data.decode import ENDINGS
from legato.errors import DataError, UsageError
from legato.explain.subject import AnyTask
from legato.task import Split
from legato.values import Image


class Among(Sequence[tuple[Any, str]]):
    """(input, caption) of each example of `where`: train, valid, test, or a folder of pictures, or a file of lines.

    Nothing is read before somebody asks: methods that do not compare need no data. DataError where there is none.
    """

    def __init__(self, task: AnyTask, where: str = "train") -> None:
        self.task, self.where = task, where

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, i: int) -> tuple[Any, str]:  # type: ignore[override]
        one = self.found[i]
        if isinstance(one, str):
            return self.task.read_input(one), Path(one).name or one
        input, target = one
        return input, caption(target, self.task.names)

    @cached_property
    def found(self) -> Sequence[Any]:
        """Examples of a split: (input, target); or what `read_input` reads, as text."""
        if self.where in get_args(Split):
            found: Sequence[Any] = self.task.examples(self.where)  # type: ignore[arg-type]
        else:
            found = sources(Path(self.where), Image in self.task.takes)
        if not len(found):
            raise DataError(f"--in {self.where}: nothing to look among; name a folder, or train, valid, test")
        return found


def sources(path: Path, pictures: bool) -> list[str]:
    """The pictures below a folder; or the lines of a file, for tasks that read."""
    if path.is_dir():
        return sorted(str(p) for p in path.rglob("*") if p.is_file() and (not pictures or p.suffix.lower() in ENDINGS))
    if path.is_file() and not pictures:
        return [line for line in path.read_text().splitlines() if line.strip()]
    raise UsageError(f"--in {path}: name a folder, or train, valid or test of the run's own data")


def caption(target: Any, names: Sequence[str]) -> str:
    """A class by its name, a text as it is, and nothing for what takes more than a line."""
    if isinstance(target, int) and 0 <= target < len(names):
        return names[target]
    return target if isinstance(target, str) else ""
