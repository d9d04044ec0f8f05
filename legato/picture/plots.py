"""Numbers against numbers: curves, bars, profiles, scatter and reliability diagrams."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from legato.picture.style import (
    BLUE,
    FAINT,
    GREY,
    INK,
    LINES,
    VERMILLION,
    Picture,
    figure,
    headline,
    number,
    percent,
    rendered,
    shortened,
    style,
)

Points = tuple[Sequence[float], Sequence[float]]


def curves(
    series: Mapping[str, Points],
    x: str,
    y: str,
    title: str = "",
    log: bool = False,
    marks: Mapping[str, tuple[float, float]] | None = None,
) -> Picture:
    """A line for each named (xs, ys), its name at its end; `x` and `y` say what is measured, in which unit.

    `log` makes y logarithmic. `marks` are points with a word beside them. Points that are not numbers leave gaps.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    with style():
        drawn = figure(6.4, 3.8)
        axes = drawn.add_subplot(xlabel=x, title=title)
        axes.set_ylabel(y)
        if log and any(v > 0 for _, ys in series.values() for v in ys):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
        for (xs, ys), colour in zip(series.values(), LINES * len(series)):
            axes.plot(xs, ys, color=colour, marker="o" if len(xs) <= 30 else "", markersize=4)
        if all(float(v).is_integer() for xs, _ in series.values() for v in xs):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        name_lines(axes, series)
        for word, (at, value) in (marks or {}).items():
            mark(axes, word, at, value)
        return rendered(drawn)


def mark(axes: Any, word: str, at: float, value: float) -> None:
    """A ring round a point, and a word on the side of it that is nearer to the middle."""
    axes.plot([at], [value], "o", markersize=9, markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1.2)
    across, up = in_axes(axes, at, value)
    place = {
        "ha": "right" if across > 0.8 else "left" if across < 0.2 else "center",
        "va": "top" if up > 0.5 else "bottom",
    }
    offset = (0, -11 if up > 0.5 else 11)
    axes.annotate(word, (at, value), offset, textcoords="offset points", fontsize=8.5, **place)


def in_axes(axes: Any, x: float, y: float) -> tuple[float, float]:
    """Where a point lies, as shares of the width and height of the axes."""
    axes.get_xlim(), axes.get_ylim()  # matplotlib fits them to the data when asked
    across, up = (axes.transData + axes.transAxes.inverted()).transform((x, y))
    return float(across), float(up)


def name_lines(axes: Any, series: Mapping[str, Points]) -> None:
    """Each line's name right of its last point, in its colour, moved apart where two would overlap."""
    ends = {}
    for (name, (xs, ys)), colour in zip(series.items(), LINES * len(series)):
        if known := [(at, v) for at, v in zip(xs, ys) if isfinite(v)]:
            ends[name] = (*known[-1], colour)
    if not ends or series.keys() == {""}:
        return
    heights = [in_axes(axes, at, value)[1] for at, value, _ in ends.values()]
    for (name, (_, _, colour)), height in zip(ends.items(), spread(heights, 0.075)):
        axes.text(
            1.015, height, shortened(name, 24), color=colour, transform=axes.transAxes, va="center", weight="bold"
        )


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places near the wanted ones in [0, 1], at least `gap` apart, in the same order."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = [0.0] * len(wanted)
    below = -gap
    for i in order:
        places[i] = below = max(wanted[i], below + gap)
    above = max(1.0, gap * (len(wanted) - 1)) + gap
    for i in reversed(order):
        places[i] = above = min(places[i], above - gap)
    return places


def bars(
    names: Sequence[str], values: Sequence[float], title: str = "", unit: str = "", colours: Sequence[str] | None = None
) -> Picture:
    """A horizontal bar for each name, its number at its end, the first on top."""
    with style():
        drawn = figure(6.4, 0.9 + 0.27 * max(1, len(names)))
        axes = drawn.add_subplot(title=title, xlabel=unit)
        draw_bars(axes, values, list(colours or [BLUE] * len(names)))
        axes.set_yticks(range(len(names)), [shortened(name, 28) for name in names])
        return rendered(drawn)


def draw_bars(axes: Any, values: Sequence[float], colours: Sequence[str], log: bool = False) -> None:
    """Bars from the left (from the smallest where logarithmic), numbers at their ends; NaN leaves its row empty."""
    finite = [v for v in values if isfinite(v) and (v > 0 or not log)]
    if log and finite:
        axes.set_xscale("log")
    low = min(finite, default=1.0) / 3 if log else 0.0
    for row, (value, colour) in enumerate(zip(values, colours)):
        if isfinite(value) and (value > 0 or not log):
            axes.barh(row, value - low, 0.72, low, color=colour)
            place = {"ha": "right" if value < 0 else "left", "va": "center", "fontsize": 8.5}
            axes.annotate(number(value), (value, row), (-3 if value < 0 else 3, 0), textcoords="offset points", **place)
        elif isfinite(value):
            axes.text(0.01, row, "0", transform=axes.get_yaxis_transform(), va="center", fontsize=8.5, color=GREY)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.grid(False)
    axes.set_xticks([], minor=False)
    axes.set_xticks([], minor=True)
    axes.spines["bottom"].set_visible(False)
    axes.margins(x=0.16)


def profile(
    names: Sequence[str], columns: Mapping[str, Sequence[float]], title: str = "", log: Sequence[str] = ()
) -> Picture:
    """What differs from layer to layer: a row for each name, a panel of bars for each column; `log` names columns."""
    with style():
        drawn = figure(min(10.0, 1.6 + 2.1 * len(columns)), 1.1 + 0.25 * max(2, len(names)))
        headline(drawn, title)
        panels = drawn.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for axes, (column, values), colour in zip(panels, columns.items(), LINES * len(columns)):
            draw_bars(axes, values, [colour] * len(values), column in log)
            axes.set_title(column + (" (log scale)" if column in log else ""), fontsize=9, weight="normal")
        panels[0].set_yticks(range(len(names)), [shortened(name, 24) for name in names])
        return rendered(drawn)


def scatter(panels: Mapping[str, Points], x: str, y: str, title: str = "") -> Picture:
    """For each name the points (xs, ys), on equal axes with the line x = y: predictions against what is true."""
    columns = min(4, max(1, len(panels)))
    rows = -(-len(panels) // columns) or 1
    with style():
        drawn = figure(max(3.6, 2.6 * columns), 0.5 + 2.6 * rows)
        headline(drawn, title)
        for k, (name, (xs, ys)) in enumerate(panels.items()):
            axes = drawn.add_subplot(rows, columns, k + 1, aspect="equal", adjustable="datalim")
            axes.set_title(shortened(name, 24), fontsize=9.5, weight="normal")
            axes.axline((0, 0), slope=1, color=GREY, linewidth=1)
            size, alpha = (3.0, 0.4) if len(xs) > 150 else (5.0, 0.7)
            axes.plot(xs, ys, "o", color=BLUE, markersize=size, alpha=alpha, markeredgewidth=0)
        drawn.supxlabel(x, fontsize=9.5)
        drawn.supylabel(y, fontsize=9.5)
        return rendered(drawn)


def reliability(by_confidence: Float[Tensor, "3 bins"], title: str = "") -> Picture:
    """How often the network is right when it is so sure (Guo et al. 2017, figure 1), and how often it is so sure.

    By bin of confidence: how many examples, the sum of their confidences, how many of them are right.
    """
    many, confident, right = by_confidence.double().cpu().numpy()
    bins, total = len(many), max(1.0, many.sum())
    centres, some = (np.arange(bins) + 0.5) / bins, many > 0
    accuracy, confidence = right[some] / many[some], confident[some] / many[some]
    error = np.abs(confident - right).sum() / total
    with style():
        drawn = figure(4.6, 4.6)
        upper, lower = drawn.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        upper.set_title(title)
        upper.bar(centres[some], accuracy, 0.92 / bins, color=BLUE)
        gap, bottom = np.abs(confidence - accuracy), np.minimum(confidence, accuracy)
        upper.bar(centres[some], gap, 0.92 / bins, bottom, color="none", edgecolor=VERMILLION, hatch="////", lw=0.8)
        upper.plot([0, 1], [0, 1], color=GREY, linewidth=1)
        upper.set(ylim=(0, 1.02), xlim=(0, 1), ylabel="share that is right")
        upper.set_title(f"calibration error {percent(error)}", loc="right", fontsize=8.5, weight="normal", color=GREY)
        lower.bar(centres, many / total, 0.92 / bins, color=GREY)
        lower.set(ylabel="share of\nexamples", xlabel="confidence (probability of the predicted class)")
        for axes in (upper, lower):
            axes.yaxis.set_major_formatter(lambda v, _: f"{v:.0%}".replace("%", " %"))
        lower.xaxis.set_major_formatter(lambda v, _: f"{v:.0%}".replace("%", " %"))
        lower.grid(axis="x", color=FAINT)
        return rendered(drawn)
