"""A recurrent network unrolled over a text: the same matrix in every step (lectures 000 and 003)."""

from collections.abc import Iterable, Sequence
from itertools import pairwise, product
from typing import Any

from legato.picture.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    VERMILLION,
    Picture,
    figure,
    headline,
    rendered,
    shortened,
    style,
)

WIDE, HIGH, LEFT = 1.05, 0.95, -2.1  # inches of a step and of a row; steps left of the first
BOX = {"boxstyle": "round,pad=0.35", "linewidth": 1.2}


def unrolled_graph(
    units: Sequence[str], layers: Sequence[Sequence[str]], answers: Sequence[str], title: str = "", more: bool = False
) -> Picture:
    """A column for each unit that is read, a row for each layer, and what is answered above: by each step, or the last.

    layers, lowest first: the weights of each way through a layer, as "W: 512 × 194"; the second way reads backwards.
    Each is drawn once, with a line to every step that uses it: its gradient is the sum over these lines.
    answers: as many as units (many to many), or one (many to one). `more`: the text goes on to the right.
    """
    levels, steps = stacked(layers), len(units)
    top = levels[-1][0]
    with style():
        drawn = figure(2.6 + WIDE * (steps + 0.6 * more), 1.1 + HIGH * (top + 1))
        headline(drawn, title)
        axes = drawn.add_subplot(xlim=(LEFT, steps - 0.4 + 0.6 * more), ylim=(-0.4, top + 0.4))
        axes.set_axis_off()
        for t, unit in enumerate(units):
            node(axes, t, 0, legible(unit), GREY)
        for rows, names in zip(levels[1:], layers):
            for k, (row, name) in enumerate(zip(rows, names)):
                one_way(axes, row, name, k == 1, steps, more)
        for t, answer in zip(range(steps - len(answers), steps), answers):
            node(axes, t, top, legible(answer), GREEN)
        for below, above in pairwise(levels):
            if above == [top] and len(answers) < steps:
                at_the_end(axes, below, top, steps)
            else:
                upwards(axes, below, above, range(steps))
        axes.text(LEFT, 0, "read", color=GREY, va="center", weight="bold")
        axes.text(LEFT, top, "answered", color=GREEN, va="center", weight="bold")
        if more:
            axes.text(steps - 0.35, 0, "…", color=GREY, va="center", fontsize=14)
        return rendered(drawn)


def stacked(layers: Sequence[Sequence[str]]) -> list[list[int]]:
    """The rows of the text, of each layer, one for each of its ways, and of the answers."""
    levels, row = [[0]], 1
    for ways in layers:
        levels.append(list(range(row, row + len(ways))))
        row += len(ways)
    return [*levels, [row]]


def upwards(axes: Any, below: list[int], above: list[int], steps: Iterable[int]) -> None:
    """What each step passes on, from all ways through a layer to all of the next."""
    for t, begin, end in product(steps, below, above):
        arrow(axes, (t, begin), (t, end), GREY, 0.22 * (end - begin - 1))


def at_the_end(axes: Any, below: list[int], top: int, steps: int) -> None:
    """The last state of each way answers: of the way back it is the one at the first step."""
    forth, *back = below
    arrow(axes, (steps - 1, forth), (steps - 1, top), GREY, 0.22 * (top - forth - 1))
    for row in back:
        arrow(axes, (0, row), (steps - 1.3, top), GREY)  # to the side of the answer


def one_way(axes: Any, row: int, name: str, back: bool, steps: int, more: bool) -> None:
    """A layer read in one direction: its states in a row, and its weights with a line to each of them."""
    axes.text(LEFT, row, name, color=VERMILLION, va="center", fontsize=8.5, weight="bold", linespacing=1.4)
    axes.plot([-0.75, -0.75, steps - 1.3], [row, row + 0.42, row + 0.42], color=VERMILLION, linewidth=1.2)
    for t in range(steps):
        arrow(axes, (t - 0.36, row + 0.42), (t, row), VERMILLION, begins=0)
        node(axes, t, row, f"h{subscript(t + 1)}", BLUE)
    for t in range(1, steps + more):
        left, right = (t - 1, row), (t if t < steps else t - 0.4, row)
        arrow(axes, right if back else left, left if back else right, BLUE)


def node(axes: Any, x: float, y: float, text: str, colour: str) -> None:
    axes.text(
        x,
        y,
        text,
        ha="center",
        va="center",
        color=INK,
        fontsize=9.5,
        zorder=3,
        bbox=BOX | {"fc": "white", "ec": colour},
    )


def arrow(
    axes: Any,
    begin: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    bent: float = 0.0,
    begins: float = 13,
) -> None:
    """From the edge of one node, `begins` points from its middle, to that of the next; bent round what lies between."""
    place = {"arrowstyle": "-|>", "color": colour, "shrinkA": begins, "shrinkB": 13, "linewidth": 1.2}
    axes.annotate("", end, begin, arrowprops=place | {"connectionstyle": f"arc3,rad={bent}"}, zorder=2)


def legible(unit: str) -> str:
    """A short name; what is but space, in quotes."""
    return shortened(unit.strip(), 14) if unit.strip() else repr(unit)


def subscript(number: int) -> str:
    """₁₂"""
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
