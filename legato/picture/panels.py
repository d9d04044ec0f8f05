"""One picture and many maps of it: for each method, channel, class or word, all in one scale of colours."""

from collections.abc import Sequence
from math import ceil
from typing import Any

from jaxtyping import Float
from torch import Tensor

from legato.picture.maps import overlay
from legato.picture.sheets import columns_for
from legato.picture.style import OVER, SIGNED, Picture, figure, headline, pixels, rendered, shortened, style
from legato.values import Image

SIDE = 3.2  # inches of a panel's longer side, of few
WIDEST = 11.0  # inches of a row of many
SMALL = 200  # pixels of a side below which one wants to see them


def panels(
    image: Image | Tensor,
    maps: Sequence[tuple[str, Float[Tensor, "_h _w"]]],
    title: str = "",
    unit: str = "",
    signed: bool = False,
    over: bool = True,
    clip: float = 1.0,
) -> Picture:
    """The picture, and beside it each map under its caption: `over` a grey copy of the picture, or alone.

    All maps share one scale and its colour bar, from 0 up, or with `signed` red above zero and blue below. The share
    `1 − clip` of largest magnitudes is shown as the end of the scale, so that a few pixels do not darken all others.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    numbers = [(caption, values.detach().float().cpu()) for caption, values in maps]
    most = max(1e-12, *(float(values.abs().flatten().quantile(clip)) for _, values in numbers))
    scale = ScalarMappable(Normalize(-most if signed else 0.0, most), SIGNED if signed else OVER)
    shown = pixels(image)
    with style():
        columns = len(numbers) + 1 if len(numbers) < 4 else columns_for(len(numbers) + 1)
        drawn, axes = grid(columns, ceil((len(numbers) + 1) / columns), shown.width / shown.height)
        headline(drawn, title)
        draw(axes[0], shown, "")
        for place, (caption, values) in zip(axes[1:], numbers):
            if over:
                draw(place, overlay(image, values.clamp(-most, most), signed=signed, most=most), caption)
            else:
                alone(place, values, scale, caption)
        clipped = clip < 1 and ("both" if signed else "max")
        bar = drawn.colorbar(scale, ax=axes, label=unit, pad=0.015, aspect=26, extend=clipped or "neither")
        bar.outline.set_visible(False)
        return rendered(drawn)


def grid(columns: int, rows: int, aspect: float) -> tuple[Any, list[Any]]:
    """A figure with so many places for pictures of this width to height, all empty."""
    width = min(SIDE * min(1.0, aspect), WIDEST / columns)
    drawn = figure(columns * (width + 0.12) + 0.9, 0.55 + rows * (width / aspect + 0.3))
    axes = [place for row in drawn.subplots(rows, columns, squeeze=False) for place in row]
    for place in axes:
        place.set_axis_off()
    return drawn, axes


def draw(place: Any, shown: Picture, caption: str) -> None:
    place.imshow(shown, interpolation="nearest" if max(shown.size) < SMALL else "antialiased")
    name(place, caption)


def alone(place: Any, values: Tensor, scale: Any, caption: str) -> None:
    place.imshow(values.numpy(), cmap=scale.cmap, norm=scale.norm, interpolation="nearest")
    name(place, caption)


def name(place: Any, caption: str) -> None:
    place.set_title(shortened(caption, 28), fontsize=9.5, weight="normal", pad=4)


def pair(left: Image | Tensor, right: Image | Tensor, title: str = "", *captions: str) -> Picture:
    """Two pictures of one thing side by side, a caption above each."""
    shown = [pixels(left), pixels(right)]
    with style():
        drawn, axes = grid(2, 1, shown[0].width / shown[0].height)
        headline(drawn, title)
        for place, picture, caption in zip(axes, shown, captions):
            draw(place, picture, caption)
        return rendered(drawn)
