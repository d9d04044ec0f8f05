"""The card of a tricked network: a picture, the same a little changed, and what the network says of both."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from legato.picture.card import score_bars
from legato.picture.style import BLUE, GREY, VERMILLION, Picture, figure, headline, pixels, rendered, style

Scores = Sequence[tuple[str, float]]


def tricked(
    before: UInt8[Tensor, "c h w"],
    after: UInt8[Tensor, "c h w"],
    scores: Scores,
    tricked_scores: Scores,
    target: str = "",
    title: str = "",
    note: str = "",
) -> Picture:
    """Both pictures above their likeliest classes, between them their difference, magnified until it fills the range.

    The bar of `target` is vermillion, as is that of the first answer after where there is no target; `note` stands
    below the difference.
    """
    change, times = magnified(before, after)
    with style():
        drawn = figure(9.6, 5.7)
        headline(drawn, title)
        (left, middle, right), (left_bars, words, right_bars) = drawn.subplots(2, 3, height_ratios=[1.25, 1])
        show(left, pixels(before), "before")
        show(middle, change, f"difference × {times:,.0f}, grey is none" if times else "no difference")
        show(right, pixels(after), "after")
        wanted = target or tricked_scores[0][0]
        for axes, shown in ((left_bars, scores), (right_bars, tricked_scores)):
            others = BLUE if axes is left_bars else GREY
            score_bars(axes, shown, [VERMILLION if name == wanted else others for name, _ in shown], letters=22)
        words.text(0.5, 0.9, note, ha="center", va="top", linespacing=1.7, transform=words.transAxes)
        words.set_axis_off()
        return rendered(drawn)


def show(axes: Any, picture: Picture, title: str) -> None:
    axes.imshow(picture, interpolation="nearest" if max(picture.size) < 200 else "antialiased")
    axes.set_axis_off()
    axes.set_title(title, fontsize=10, loc="center")


def magnified(before: UInt8[Tensor, "c h w"], after: UInt8[Tensor, "c h w"]) -> tuple[Picture, float]:
    """½ + k (after − before), and k, the largest whole number that keeps it in [0, 1]; 0 where nothing has changed."""
    change = (after.float() - before.float()) / 255
    most = float(change.abs().max())
    times = max(1.0, 0.5 // most) if most else 0.0
    return pixels((0.5 + times * change).clamp(0, 1) if times else torch.full_like(change, 0.5)), times
