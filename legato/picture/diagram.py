"""A network as its paper draws it: a box for each volume of numbers, on a logarithmic scale."""

from collections.abc import Sequence
from math import ceil, log2
from typing import Any, Protocol, runtime_checkable

from legato.picture.style import BLUE, GREY, INK, Picture, figure, headline, rendered, shortened, style

SLANT = 0.4  # of a side that goes back into the page, how far it is drawn to the right
RISE = 0.75  # and of that, how far up
LABELS = 0.5  # room below a box for its name, shape and parameters
SLOT = 1.25  # inches a stage


@runtime_checkable
class Stage(Protocol):
    """A named stage of a network: the shape of what comes out of it, without batch, and its parameters."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...  # (c, h, w), (n,) or (t, n)

    @property
    def params(self) -> int: ...


def stage_diagram(rows: Sequence[Stage], title: str = "", across: int = 10) -> Picture:
    """A box for each stage, `across` of them in a line: blue where there is something to learn, grey where not.

    Maps stand upright, as high and as wide as they are; the box is as thick as they are many. Vectors are thin bars.
    """
    slots = ceil(len(rows) / ceil(len(rows) / across))  # the same number in each line
    lines = [rows[k : k + slots] for k in range(0, len(rows), slots)]
    most = [max((log2(1 + volume(s.shape)[axis]) for s in rows), default=1.0) for axis in range(3)]
    with style():
        tops = [max(sum(box(stage, most)[1:]) for stage in line) + 0.05 for line in lines]
        heights = [1.3 * (top + LABELS) for top in tops]
        drawn = figure(SLOT * max(slots, 3) + 0.3, (0.45 if title else 0.1) + sum(heights))
        headline(drawn, title)
        panels = drawn.subplots(len(lines), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, line, top in zip(panels, lines, tops):
            for k, stage in enumerate(line):
                draw_stage(axes, k, stage, most)
            axes.set(xlim=(-0.5, max(slots, 3) - 0.5), ylim=(-LABELS, top))
            axes.set_axis_off()
        return rendered(drawn)


def volume(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height, width; a vector is all channels, a sequence has time for height."""
    match shape:
        case (c, h, w):
            return c, h, w
        case (t, n):
            return n, t, 1
        case (n,):
            return n, 1, 1
    return (shape[0] if shape else 1), 1, 1


def box(stage: Stage, most: Sequence[float]) -> tuple[float, float, float]:
    """How thick and high a box is, and how far its far edge is above its near one."""
    thick, high, back = (log2(1 + n) / max(full, 1.0) for n, full in zip(volume(stage.shape), most))
    return 0.44 * thick, 0.85 * high, 0.85 * SLANT * RISE * back


def draw_stage(axes: Any, at: float, stage: Stage, most: Sequence[float]) -> None:
    """A box standing at 0, its middle over `at`; name, shape and parameters below."""
    from matplotlib.patches import Polygon

    thick, high, up = box(stage, most)
    back = up / RISE
    x, y = at - (thick + back) / 2, 0.02
    colour = BLUE if stage.params else GREY
    front = [(x, y), (x + thick, y), (x + thick, y + high), (x, y + high)]
    top = [(x, y + high), (x + back, y + high + up), (x + thick + back, y + high + up), (x + thick, y + high)]
    side = [(x + thick, y), (x + thick + back, y + up), (x + thick + back, y + high + up), (x + thick, y + high)]
    for face, strength in ((front, 0.75), (top, 0.3), (side, 0.5)):
        axes.add_patch(Polygon(face, facecolor="white", edgecolor="none"))
        axes.add_patch(Polygon(face, facecolor=(colour, strength), edgecolor="white", linewidth=0.8))
    shape = " × ".join(map(str, stage.shape))
    axes.text(at, -0.07, shortened(stage.name, 14), ha="center", va="top", weight="bold", fontsize=9)
    axes.text(at, -0.21, shape, ha="center", va="top", fontsize=8.5, color=INK)
    parameters = f"{stage.params:,}" if stage.params else "–"
    axes.text(at, -0.35, parameters, ha="center", va="top", fontsize=8.5, color=GREY)
