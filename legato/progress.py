"""What long work shows on the way: a bar with rate, time left, loss and memory; plain lines without a terminal."""

import sys
import time
from collections.abc import Callable
from typing import Any

from legato.device import GIB, peak_memory


class Progress:
    """Told by whoever works; this one shows nothing (--quiet, tests, other ranks). stdout is for results."""

    def say(self, line: str) -> None:
        """A line that stays."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Work on `total` examples begins, `done` of them done."""

    def advance(self, count: int, note: Callable[[], str] = str) -> None:
        """`count` more are done. `note` is only called when it is shown: a loss is read from a GPU no more often."""

    def stop(self) -> None:
        """They are over."""


SILENT = Progress()


class Lines(Progress):
    """A line every ten seconds, for logs and pipes."""

    every = 10.0  # seconds

    def __init__(self) -> None:
        self.what, self.total, self.done, self.began, self.spoke, self.first = "", 0, 0, 0.0, 0.0, 0

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def start(self, what: str, total: int, done: int = 0) -> None:
        self.what, self.total, self.done, self.first = what, total, done, done
        self.began = self.spoke = time.monotonic()

    def advance(self, count: int, note: Callable[[], str] = str) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.spoke >= self.every:
            self.spoke = now
            rate = (self.done - self.first) / (now - self.began)
            left = (self.total - self.done) / max(rate, 1e-9)
            memory = f"{peak_memory() / GIB:.1f} GiB"
            done = f"{self.done / max(self.total, 1):4.0%}"
            self.say(f"{self.what} {done}  {rate:,.0f}/s  {left:.0f} s left  {note()}  {memory}")

    def stop(self) -> None:
        pass


class Bar(Progress):
    """A live bar on a terminal."""

    every = 0.2  # seconds between notes

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Rich

        self.rich: Any = Rich(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}  {task.fields[memory]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self.job: Any = None
        self.began, self.count, self.shown = 0.0, 0, 0.0

    def say(self, line: str) -> None:
        self.rich.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def start(self, what: str, total: int, done: int = 0) -> None:
        self.began, self.count = time.monotonic(), 0
        self.job = self.rich.add_task(what, total=total, completed=done, rate="", note="", memory="")
        self.rich.start()

    def advance(self, count: int, note: Callable[[], str] = str) -> None:
        self.count += count
        if time.monotonic() - self.shown < self.every:
            self.rich.advance(self.job, count)
            return
        self.shown = time.monotonic()
        rate = f"{self.count / max(time.monotonic() - self.began, 1e-9):,.0f}/s"
        self.rich.update(self.job, advance=count, rate=rate, note=note(), memory=f"{peak_memory() / GIB:.1f} GiB")

    def stop(self) -> None:
        if self.job is not None:
            self.rich.remove_task(self.job)
            self.job = None
        self.rich.stop()


def choose(quiet: bool = False) -> Progress:
    """A bar on a terminal, lines in a pipe, nothing when asked to be quiet."""
    return Progress() if quiet else Bar() if sys.stderr.isatty() else Lines()
