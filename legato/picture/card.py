"""The class-score card: a picture, and what a network thinks it is."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from legato.picture.style import (
    BLUE,
    GREEN,
    GREY,
    VERMILLION,
    Picture,
    figure,
    percent,
    pixels,
    rendered,
    shortened,
    style,
)
from legato.values import Image


def card(
    image: Image | Tensor, scores: Sequence[tuple[str, float]], truth: str = "", title: str = "", most: int = 5
) -> Picture:
    """The image beside a bar for each of its most probable classes, most probable first.

    With a `truth`, its bar is green, and the first one vermillion where it is wrong.
    """
    shown = list(scores)[:most]
    with style():
        drawn = figure(7.2, 2.9)
        left, right = drawn.subplots(1, 2, width_ratios=[1, 1.7])
        picture = pixels(image)
        left.imshow(picture, interpolation="nearest" if max(picture.size) < 200 else "antialiased")
        left.set_axis_off()
        left.set_title(title or (f"true: {shortened(truth, 24)}" if truth else ""), fontsize=10)
        wrong = [GREEN if name == truth else VERMILLION if row == 0 else GREY for row, (name, _) in enumerate(shown)]
        score_bars(right, shown, wrong if truth else [BLUE] * len(shown))
        return rendered(drawn)


def score_bars(axes: Any, scores: Sequence[tuple[str, float]], colours: Sequence[str], letters: int = 32) -> None:
    """A bar for each (class, probability), its name and number above it, the first in bold."""
    for row, ((name, probability), colour) in enumerate(zip(scores, colours)):
        weight = "bold" if row == 0 else "normal"
        axes.barh(row, probability, 0.36, color=colour)
        axes.barh(row, 1.0, 0.36, color=colour, alpha=0.12)
        axes.text(0, row - 0.26, shortened(name, letters), va="bottom", weight=weight)
        axes.text(1, row - 0.26, percent(probability), va="bottom", ha="right", weight=weight)
    axes.set(ylim=(max(len(scores), 3) - 0.6, -0.8), xlim=(0, 1), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
