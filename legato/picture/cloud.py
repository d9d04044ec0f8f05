"""A data set on a plane: a mark for each example in its class's colour and shape, or the examples themselves."""

from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from legato.picture.overlays import colour
from legato.picture.sheets import GAP, HEADING, fitted
from legato.picture.style import BLUE, INK, Picture, figure, font, headline, pixels, rendered, shortened, style

MARKERS = "os^DvP*X<>h"  # eleven, so that classes of like colours have other shapes
EDGE = {"markeredgecolor": INK, "markeredgewidth": 0.3}  # yellow is lost on white
NAMED, NAMED_SMALL, LISTED = 30, 12, 26  # classes whose names stand on one map, on several; in a column of the legend
LETTER, LINE = 0.017, 0.028  # width and height of letters, in shares of the axes
LARGEST = 48  # pixels of an example's side


def cloud(
    panels: Mapping[str, tuple[Float[Tensor, "n 2"], Int[Tensor, "n"]]], names: Sequence[str], title: str = ""
) -> Picture:
    """For each caption the points of some examples and their classes; names where most of a class lies, and a legend.

    Only places count, so axes have no numbers. Without `names` all marks are alike.
    """
    with style():
        legend = 2.0 * ceil(len(names) / LISTED) if len(names) > 1 else 0.0
        width = 6.0 if len(panels) == 1 else 4.6
        drawn = figure(max(width * len(panels) + legend, 0.095 * len(title)), width + 0.7)
        headline(drawn, title)
        places = drawn.subplots(1, len(panels), squeeze=False)[0]
        for axes, (caption, (points, classes)) in zip(places, panels.items()):
            axes.set_title(caption, fontsize=9.5, weight="normal", pad=6)
            named = 1 < len(names) <= (NAMED if len(panels) == 1 else NAMED_SMALL)
            plot(axes, points.double().numpy(), classes.numpy(), names, named)
        if len(names) > 1:
            marks = [mark(k) | {"label": shortened(name, 20)} for k, name in enumerate(names)]
            handles = [places[-1].plot([], [], linestyle="", markersize=6, **m)[0] for m in marks]
            columns = ceil(len(names) / LISTED)
            drawn.legend(handles=handles, loc="outside right center", ncols=columns, frameon=False, fontsize=8.5)
        return rendered(drawn)


def mark(k: int) -> dict[str, Any]:
    red, green, blue = (part / 255 for part in colour(k))
    return {"color": (red, green, blue), "marker": MARKERS[k % len(MARKERS)], **EDGE}


def plot(axes: Any, points: np.ndarray, classes: np.ndarray, names: Sequence[str], named: bool) -> None:
    from matplotlib.patheffects import withStroke

    size = min(6.0, max(2.5, 130 / sqrt(max(1, len(points)))))
    for k in np.unique(classes).tolist():
        own = points[classes == k]
        look = mark(k) if len(names) > 1 else {"color": BLUE, "marker": "o", **EDGE}
        axes.plot(*own.T, linestyle="", markersize=size, alpha=0.75, **look)
    low, high = np.percentile(points, (0.5, 99.5), axis=0)  # a few far out do not make all others small
    margin = 0.08 * np.maximum(high - low, 1e-9)
    (left, bottom), (right, top) = low - margin, high + margin
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
    if named:
        known = np.unique(classes).tolist()
        middles = np.stack([np.median(points[classes == k], axis=0) for k in known])
        words = [shortened(names[k], 16) for k in known]
        halo = [withStroke(linewidth=2.5, foreground="white")]
        for word, (x, y) in zip(words, parted((middles - low + margin) / (high - low + 2 * margin), words)):
            axes.text(
                x, y, word, transform=axes.transAxes, ha="center", va="center", weight="bold", fontsize=8.5,
                path_effects=halo,
            )  # fmt: skip


def parted(wanted: np.ndarray, words: Sequence[str]) -> list[tuple[float, float]]:
    """Places for words near the wanted ones (shares of the axes), each moved up until it is clear of those below."""
    placed: list[tuple[float, float, float]] = []  # middle, height, half a width
    order = sorted(range(len(words)), key=lambda i: float(wanted[i, 1]))
    found = {}
    for i in order:
        (x, y), half = wanted[i], LETTER * len(words[i]) / 2
        while any(abs(x - a) < half + b and abs(y - h) < LINE for a, h, b in placed):
            y += LINE / 4
        placed.append((x, y, half))
        found[i] = (x, y)
    return [found[i] for i in range(len(words))]


def mural(
    points: Float[Tensor, "n 2"], images: Sequence[Tensor], classes: Int[Tensor, "n"], named: bool, title: str = ""
) -> Picture:
    """The examples themselves, each in a cell of a grid near its point, framed in its class's colour if `named`.

    Which example takes which cell is decided for all together, so that the sum of squared ways is least.
    """
    from PIL import Image as pil
    from PIL import ImageDraw
    from scipy.optimize import linear_sum_assignment

    columns = ceil(sqrt(1.6 * len(points)))
    rows = ceil(len(points) / columns)
    cells = torch.cartesian_prod((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns)
    ranks = points.argsort(dim=0).argsort(dim=0).double() / len(points)  # by rank, so that the grid is filled evenly
    wanted = torch.stack([1 - ranks[:, 1], ranks[:, 0]], dim=1)
    examples, chosen = linear_sum_assignment(torch.cdist(wanted, cells.double()).square().numpy())
    step, top = LARGEST + 8, GAP + round(1.8 * HEADING)
    width = max(2 * GAP + columns * step, round(2 * GAP + font(HEADING, True).getlength(title)))
    page = pil.new("RGB", (width, top + rows * step + GAP), "white")
    pen = ImageDraw.Draw(page)
    pen.text((GAP, GAP), title, INK, font(HEADING, True))
    for i, cell in zip(examples.tolist(), chosen.tolist()):
        x, y = GAP + cell % columns * step, top + cell // columns * step
        if named:
            pen.rectangle((x, y, x + step - 3, y + step - 3), fill=colour(int(classes[i])))
        drawn = fitted(pixels(images[i]), LARGEST).resize((LARGEST, LARGEST), pil.Resampling.NEAREST)
        page.paste(drawn, (x + 3, y + 3))
    return page
