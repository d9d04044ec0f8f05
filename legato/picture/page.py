"""Several panels on one page: lines and points, fields, grids of numbers, pictures, bars. Each is a value that draws
itself on a matplotlib axes; `page` puts them beside one another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor

from legato.picture.plots import draw_bars
from legato.picture.style import (
    BLUE,
    FAINT,
    GREY,
    INK,
    LINES,
    MAGNITUDE,
    ORANGE,
    PURPLE,
    SIGNED,
    VERMILLION,
    Picture,
    figure,
    headline,
    pixels,
    rendered,
    shortened,
    style,
)
from legato.values import Image

Points = tuple[Sequence[float] | Tensor, Sequence[float] | Tensor]
MARKERS = "osD^vP*"  # so that classes are told apart without their colours
CLASSES = (BLUE, VERMILLION, *LINES[2:])
DASHES = ("-", (0, (4, 1.2)))  # so that one sees a line under another, in grey print too
PATHS = ("white", ORANGE, PURPLE)  # on a dark field


@runtime_checkable
class Panel(Protocol):
    """What can stand on a page."""

    @property
    def title(self) -> str: ...

    def draw(self, axes: Any) -> None: ...


def page(
    panels: Sequence[Panel],
    title: str = "",
    columns: int = 0,
    widths: Sequence[float] = (),
    side: float = 3.1,
    height: float = 2.75,
) -> Picture:
    """The panels in rows, `columns` of them in each (all of them if 0).

    A row is `height` inches high, each column `side` inches times its share in `widths` wide.
    """
    columns = columns or len(panels)
    rows = ceil(len(panels) / columns)
    widths = list(widths) or [1.0] * columns
    with style():
        drawn = figure(max(side * sum(widths), 0.092 * len(title)), height * rows + (0.35 if title else 0))
        headline(drawn, title)
        places = list(drawn.subplots(rows, columns, squeeze=False, width_ratios=widths).flat)
        for axes, panel in zip(places, panels):
            panel.draw(axes)
            axes.set_title(panel.title, fontsize=9.5, weight="normal", pad=6)
        for axes in places[len(panels) :]:
            axes.set_axis_off()
        return rendered(drawn)


@dataclass(frozen=True)
class Lines:
    """Named lines and named points over x; a line of up to 12 points shows them. Names that begin with _ are not."""

    series: Mapping[str, Points]
    title: str = ""
    x: str = ""
    y: str = ""
    dots: Mapping[str, Points] = field(default_factory=dict)
    log: str = ""  # the logarithmic axes: "x", "y" or "xy"
    within: tuple[float, float] | None = None  # of y
    legend: str = "best"  # where the names stand; "" for none
    equal: bool = False  # one unit across is as long as one unit up

    def draw(self, axes: Any) -> None:
        for name, colour, marker in zip(self.dots, CLASSES if len(self.dots) > 1 else [GREY], MARKERS):
            xs, ys = map(np.asarray, self.dots[name])
            axes.plot(xs, ys, marker, color=colour, markersize=3.2, alpha=0.75, mew=0, label=name)
        for name, colour, dashes in zip(self.series, LINES * len(self.series), DASHES * len(self.series)):
            xs, ys = map(np.asarray, self.series[name])
            look = {"color": colour, "linestyle": dashes, "linewidth": 1.8, "markersize": 3.5}
            axes.plot(xs, ys, marker="o" if len(xs) <= 12 else "", label=name, **look)
        scale(axes, self.log, [float(x) for xs, _ in self.series.values() for x in np.asarray(xs).flat])
        if self.within:
            axes.set_ylim(*self.within)
        if self.equal:
            axes.set_aspect("equal", adjustable="datalim")
        axes.set(xlabel=self.x, ylabel=self.y)
        if self.legend and any(name[:1].strip(" _") for name in (*self.series, *self.dots)):
            axes.legend(loc=self.legend, fontsize=8, frameon=False, handlelength=1.3, labelspacing=0.25)


@dataclass(frozen=True)
class Bars:
    """A horizontal bar for each name, its number at its end."""

    values: Mapping[str, float]
    title: str = ""
    x: str = ""
    colours: Sequence[str] = ()
    log: bool = False

    def draw(self, axes: Any) -> None:
        draw_bars(axes, list(self.values.values()), list(self.colours) or [BLUE] * len(self.values), self.log)
        axes.set_yticks(range(len(self.values)), [shortened(name, 34) for name in self.values])
        axes.set_xlabel(self.x)


@dataclass(frozen=True)
class Grid:
    """A matrix, its first row on top: a colour for each number, and with `digits` ≥ 0 the number in its cell."""

    values: Shaped[Tensor, "h w"]
    title: str = ""
    unit: str = ""  # of the colour bar; "" for none
    signed: bool = False  # red above zero, blue below
    digits: int = -1
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    marked: Sequence[tuple[int, int]] = ()  # cells with a frame
    blocks: int = 0  # a line after each so many cells
    x: str = ""
    y: str = ""

    def draw(self, axes: Any) -> None:
        numbers = self.values.detach().double().numpy()
        most = max(float(np.abs(numbers).max()), 1e-12)
        low, high = (-most, most) if self.signed else (float(numbers.min()), float(numbers.max()))
        if self.digits >= 0:  # paler, so that the numbers can be read
            low, high = (1.6 * low, 1.6 * high) if self.signed else (low, high + 0.7 * (high - low) + 1e-12)
        colours = SIGNED if self.signed else "Blues" if self.digits >= 0 else MAGNITUDE
        image = axes.imshow(numbers, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.set_xticks(range(len(self.columns)), self.columns, fontsize=8.5)
        axes.set_yticks(range(len(self.rows)), self.rows, fontsize=8.5)
        axes.set(xlabel=self.x, ylabel=self.y)
        self.annotate(axes, numbers)
        if self.unit:
            colour_bar(axes, image, self.unit)

    def annotate(self, axes: Any, numbers: np.ndarray) -> None:
        from matplotlib.patches import Rectangle

        if self.digits >= 0:
            for (r, c), value in np.ndenumerate(numbers):
                axes.text(c, r, f"{value:.{self.digits}f}".replace("-", "−"), ha="center", va="center", fontsize=8.5)
        for r, c in self.marked:
            axes.add_patch(Rectangle((c - 0.47, r - 0.47), 0.94, 0.94, fill=False, edgecolor=VERMILLION, lw=1.8))
        if self.blocks:
            for line, count in ((axes.axvline, numbers.shape[1]), (axes.axhline, numbers.shape[0])):
                for k in range(self.blocks, count, self.blocks):
                    line(k - 0.5, color=INK, linewidth=1)


@dataclass(frozen=True)
class Field:
    """A function of two numbers: colours over `extent`, contours, points and paths on them.

    `values` (h, w) has its first row at the bottom; `extent` is left, right, bottom, top.
    """

    values: Float[Tensor, "h w"]
    extent: tuple[float, float, float, float]
    title: str = ""
    x: str = ""
    y: str = ""
    unit: str = ""  # of the colour bar; "" for none
    signed: bool = False  # red above zero, blue below, a line between
    levels: int = 0  # contours
    dots: Mapping[str, Points] = field(default_factory=dict)
    paths: Mapping[str, Points] = field(default_factory=dict)

    def draw(self, axes: Any) -> None:
        numbers = self.values.detach().double().numpy()
        most = 1.4 * max(float(np.abs(numbers).max()), 1e-12)
        colours = {"cmap": SIGNED, "vmin": -most, "vmax": most} if self.signed else {"cmap": MAGNITUDE}
        place = {"extent": self.extent, "origin": "lower"}
        image = axes.imshow(numbers, aspect="auto", interpolation="bilinear", **place, **colours)
        if self.signed:
            axes.contour(numbers, [0.0], colors=INK, linewidths=1.6, **place)
        if self.levels:
            axes.contour(numbers, self.levels, colors="white", linewidths=0.7, alpha=0.8, **place)
        self.lay_over(axes)
        left, right, bottom, top = self.extent
        axes.set(xlabel=self.x, ylabel=self.y, xlim=(left, right), ylim=(bottom, top))
        axes.grid(False)
        if self.unit:
            colour_bar(axes, image, self.unit)

    def lay_over(self, axes: Any) -> None:
        """Points by class, in the colours of a signed field (the first class is red), and paths."""
        for name, colour, marker in zip(self.dots, (VERMILLION, BLUE, *LINES[2:]), MARKERS):
            xs, ys = map(np.asarray, self.dots[name])
            axes.plot(xs, ys, marker, color=colour, markersize=4.3, mec="white", mew=0.6, label=name)
        for name, colour in zip(self.paths, PATHS):
            xs, ys = map(np.asarray, self.paths[name])
            axes.plot(xs, ys, color=colour, linewidth=1.4, marker="o", markersize=2.6, label=name)
        if any((*self.dots, *self.paths)):
            look = {"facecolor": INK, "labelcolor": "white"} if self.paths else {"facecolor": "white"}
            axes.legend(fontsize=7.5, loc="upper right", handlelength=1.2, framealpha=0.75, edgecolor="none", **look)


@dataclass(frozen=True)
class Photo:
    """A picture (c, h, w) or (h, w), numbers in [0, 1] or bytes; small ones show their pixels."""

    image: Image | Tensor
    title: str = ""

    def draw(self, axes: Any) -> None:
        shown = pixels(self.image)
        axes.imshow(shown, interpolation="nearest" if max(shown.size) < 160 else "antialiased")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(False)
        axes.spines[:].set(visible=True, color=FAINT)


def scale(axes: Any, log: str, xs: Sequence[float]) -> None:
    """Logarithmic axes with plain numbers; whole numbers where all of x are."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    for name in log:
        getattr(axes, f"set_{name}scale")("log")
        axis = getattr(axes, f"{name}axis")
        low, high = sorted(getattr(axes, f"get_{name}lim")())
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 200 else (1,), numticks=8))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(NullFormatter())
    if "x" not in log and xs and all(float(x).is_integer() for x in xs):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))


def colour_bar(axes: Any, image: Any, unit: str) -> None:
    """As high as the map itself, which may fill but a part of its place on the page."""
    beside = axes.inset_axes([1.03, 0, 0.05, 1])
    axes.figure.colorbar(image, cax=beside, label=unit).outline.set_visible(False)
