"""Very many small maps in one scale of colours: all channels of a stage, all kernels of a layer."""

from collections.abc import Sequence
from math import ceil

import torch
from jaxtyping import Float
from torch import Tensor

from legato.picture.sheets import columns_for
from legato.picture.style import MAGNITUDE, SIGNED, Picture, figure, headline, pixels, rendered, shortened, style
from legato.values import Image

WIDTH = 8.0  # inches of the maps, at most
Row = tuple[str, Sequence[tuple[str, Float[Tensor, "_h _w"]]]]


def mosaic(
    tiles: Float[Tensor, "n h w"],
    title: str = "",
    unit: str = "",
    signed: bool = False,
    columns: int = 0,
    rows: Sequence[str] = (),
    names: Sequence[str] = (),
    x: str = "",
    y: str = "",
    clip: float = 0.999,
) -> Picture:
    """All tiles in rows, thin white lines between, with one colour bar; a thousandth of the largest values is cut off.

    `rows` label rows and `names` columns; without, each row says the number of its first tile. `x`, `y` name the axes.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    n, h, w = tiles.shape
    columns = columns or columns_for(n)
    values = tiles.detach().float().cpu()
    largest = values.abs() if signed else values
    most = max(float(largest.flatten().sort().values[ceil(clip * (values.numel() - 1))]), 1e-12)
    low = -most if signed else min(0.0, float(values.min()))
    gap = max(1, round(min(h, w) / 10))
    page = assembled(values, columns, gap)
    scale = ScalarMappable(Normalize(low, most), SIGNED if signed else MAGNITUDE)
    down = ceil(n / columns)
    with style():
        width = min(WIDTH, max(2.4, 0.75 * columns))
        drawn = figure(max(width + 1.6, 1.6 + 0.08 * len(title)), 0.9 + width * page.shape[0] / page.shape[1])
        headline(drawn, title)
        axes = drawn.add_subplot(xlabel=x, ylabel=y or "channel")
        axes.imshow(page.numpy(), cmap=scale.cmap, norm=scale.norm, interpolation="nearest")
        axes.grid(False)
        axes.spines[:].set_visible(False)
        labels = list(rows) or [str(r * columns) for r in range(down)]
        small = 8 if down <= 24 else 6
        axes.set_yticks([r * (h + gap) + h / 2 - 0.5 for r in range(down)], labels[:down], fontsize=small)
        axes.set_xticks([c * (w + gap) + w / 2 - 0.5 for c in range(len(names))], names, fontsize=8)
        bar = drawn.colorbar(scale, ax=axes, label=unit, pad=0.02, aspect=26, extend="both" if signed else "max")
        bar.outline.set_visible(False)
        return rendered(drawn)


def assembled(tiles: Float[Tensor, "n h w"], columns: int, gap: int) -> Float[Tensor, "_h _w"]:
    """The tiles in rows on one map, NaN between them and where the last row ends early."""
    n, h, w = tiles.shape
    rows = ceil(n / columns)
    page = torch.full((rows, columns, h + gap, w + gap), float("nan"))
    page.view(rows * columns, h + gap, w + gap)[:n, :h, :w] = tiles
    return page.transpose(1, 2).reshape(rows * (h + gap), columns * (w + gap))[:-gap, :-gap]


def ladder(image: Image | Tensor, rows: Sequence[Row], title: str = "") -> Picture:
    """The picture above, and a row of maps for each stage, bright for large; each map in a scale of its own."""
    shown = pixels(image)
    most = max(len(maps) for _, maps in rows)
    side = min(1.15, WIDTH / most)
    with style():
        drawn = figure(1.5 + most * (side + 0.08), 0.6 + (len(rows) + 1) * (side + 0.28))
        headline(drawn, title)
        places = drawn.subplots(len(rows) + 1, most, squeeze=False)
        for place in places.flat:
            place.set_axis_off()
        places[0, 0].imshow(shown, interpolation="nearest" if max(shown.size) < 200 else "antialiased")
        label(places[0, 0], "picture")
        for line, (text, maps) in zip(places[1:], rows):
            for place, (caption, values) in zip(line, maps):
                place.imshow(values.detach().float().cpu().numpy(), cmap=MAGNITUDE, interpolation="nearest")
                place.set_title(shortened(caption, 16), fontsize=7.5, weight="normal", pad=2, loc="center")
            label(line[0], text)
        return rendered(drawn)


def label(place: object, text: str) -> None:
    """Words at the left of a row."""
    place.text(-0.12, 0.5, text, transform=place.transAxes, ha="right", va="center", fontsize=8.5)  # type: ignore[attr-defined]
