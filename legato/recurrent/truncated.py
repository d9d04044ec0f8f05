"""Backpropagation through time, cut off: the state goes on for ever, the gradient goes back `size` steps.

Two things are called that. *Chunked* cuts the sequence into pieces, each seen once: what one trains with. *Sliding*
runs a window of `size` steps again at every step, and counts only its last loss: what the lecture's pictures show,
{11}, {11, 12}, {12, 13}, {13, 14}. (Williams & Peng 1990: BPTT(h; h) and BPTT(h; 1).) Both keep `size` steps in memory.
"""

from collections.abc import Iterator
from typing import NamedTuple

from legato.recurrent import fast
from legato.recurrent.cells import Cell, State
from legato.recurrent.scan import Hs, Xs


class Window(NamedTuple):
    """Steps start … stop - 1 are run; the losses from `counted` on are new."""

    start: int
    counted: int
    stop: int


def windows(steps: int, size: int, sliding: bool = False) -> list[Window]:
    """Which steps the gradient goes back through, one window after another."""
    if sliding:
        return [Window(max(0, stop - size), stop - 1, stop) for stop in range(1, steps + 1)]
    return [Window(start, start, min(start + size, steps)) for start in range(0, steps, size)]


def truncated(
    cell: Cell, xs: Xs, size: int, sliding: bool = False, state: State | None = None, scan: fast.Scan = fast.scan
) -> Iterator[tuple[Window, Hs]]:
    """Each window, and the h of its counted steps: take their loss, and `backward()`, before you ask for the next.

    The state before a window is given to it as numbers, without a past.
    """
    before: State = cell.start(xs[0]) if state is None else state
    at = 0
    for window in windows(len(xs), size, sliding):
        while at < window.start:  # a window that begins later: its state is what the steps left behind make of it
            _, before = scan(cell, xs[at : at + 1], detached(before))
            at += 1
        hs, after = scan(cell, xs[window.start : window.stop], detached(before))
        if not sliding:
            before, at = after, window.stop
        yield window, hs[window.counted - window.start :]


def detached(state: State) -> State:
    return tuple(s.detach() for s in state)
