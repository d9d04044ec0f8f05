"""A number for each place: matrices, heat maps, and heat laid over a picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d, interpolate

from legato.picture.style import (
    INK,
    MAGNITUDE,
    OVER,
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

ANNOTATED = 20  # classes up to which every cell shows its number
FINEST = 200  # cells a side
LABELLED = 10  # largest confusions named beside a bigger matrix


def matrix(
    values: Shaped[Tensor, "rows columns"],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str = "",
    y: str = "true",
    x: str = "predicted",
) -> Picture:
    """A confusion matrix: blue where rows and columns agree, orange elsewhere, darker for a larger share of the row.

    Up to 20 classes every cell shows its count; of more, the ten largest confusions are numbered and named beside it.
    """
    counts = values.double().cpu()
    share = counts / counts.sum(1, keepdim=True).clamp(min=1e-12)
    with style():
        small = max(counts.shape) <= ANNOTATED
        side = 1.4 + 0.42 * max(counts.shape) if small else 6.2
        drawn = figure(max(3.6, side, 0.6 + 0.1 * len(title)) if small else 9.6, max(3.2, side))
        headline(drawn, title)
        axes = drawn.add_subplot(xlabel=x, ylabel=y)
        r, c = counts.shape
        axes.imshow(two_hues(share), interpolation="nearest", extent=(-0.5, c - 0.5, r - 0.5, -0.5))
        axes.grid(False)
        axes.spines[:].set_visible(False)
        if small:
            annotate_cells(axes, counts, share)
        else:
            name_largest(axes, counts, rows, columns)
        longest = 14 if small else 18
        ticks(axes, "x", columns, longest)
        ticks(axes, "y", rows, longest)
        return rendered(drawn)


def two_hues(share: Tensor) -> np.ndarray:
    """(r, c, 3) colours: agreement in blues by its share of the row, confusion in oranges relative to the worst one."""
    from matplotlib import colormaps

    agree = torch.eye(*share.shape, dtype=torch.bool)
    wrong = share.masked_fill(agree, 0)
    if max(share.shape) > FINEST:  # cells finer than pixels: show the worst of each pixel's
        size = (min(FINEST, len(share)), min(FINEST, share.shape[1]))
        wrong, share = adaptive_max_pool2d(torch.stack([wrong, share]), size)
        agree = (share > 0) & torch.eye(*size, dtype=torch.bool)
    wrong = (wrong / max(float(wrong.max()), 0.1)).sqrt()  # so that small confusions are seen beside large ones
    blue, orange = colormaps["Blues"](0.75 * share.numpy()), colormaps["Oranges"](0.7 * wrong.numpy())
    colours = np.where(agree[..., None].numpy(), blue, orange)[..., :3]
    colours[(share == 0).numpy()] = 0.97
    return colours


def annotate_cells(axes: Any, counts: Tensor, share: Tensor) -> None:
    rows, columns = counts.shape
    axes.set_xticks([c + 0.5 for c in range(columns - 1)], minor=True)
    axes.set_yticks([r + 0.5 for r in range(rows - 1)], minor=True)
    axes.grid(True, which="minor", color="white", linewidth=1.5)
    longest = len(f"{float(counts.max()):,.0f}")
    for r, c in counts.nonzero().tolist():
        white = r == c and float(share[r, c]) > 0.6
        axes.text(
            c, r, cell(float(counts[r, c])), ha="center", va="center", fontsize=min(9, 34 / longest),
            color="white" if white else INK, weight="bold" if r == c else "normal", in_layout=False,
        )  # fmt: skip


def cell(count: float) -> str:
    return f"{count:,.0f}" if count.is_integer() else f"{count:.2g}"


def name_largest(axes: Any, counts: Tensor, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Rings round the largest confusions, and a list of them at the right."""
    wrong = counts.clone().fill_diagonal_(0)
    largest = wrong.flatten().topk(min(LABELLED, wrong.numel()))
    found = [
        (v, *divmod(i, counts.shape[1])) for v, i in zip(largest.values.tolist(), largest.indices.tolist()) if v > 0
    ]
    lines = []
    for k, (count, r, c) in enumerate(found, 1):
        axes.plot([c], [r], "o", markersize=9, markerfacecolor="none", markeredgecolor=VERMILLION, markeredgewidth=1.2)
        axes.annotate(str(k), (c, r), (5, 5), textcoords="offset points", fontsize=8.5, weight="bold", color=VERMILLION)
        lines.append(f"{k:>2}  {shortened(rows[r], 22)} → {shortened(columns[c], 22)}:  {cell(count)}")
    heading = "Largest confusions (true → predicted)" if lines else "No confusions"
    axes.text(1.03, 1.0, heading, transform=axes.transAxes, va="top", weight="bold")
    axes.text(1.03, 0.94, "\n".join(lines), transform=axes.transAxes, va="top", linespacing=1.7, fontsize=9)


def ticks(axes: Any, axis: str, names: Sequence[str], longest: int) -> None:
    """Every name, or every second, fifth, tenth … where they would overlap."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if len(names) / s <= 45)
    shown = [shortened(name, longest) for name in names[::step]]
    size = 9 if len(shown) <= ANNOTATED else 6.5
    upright = axis == "x" and max(map(len, shown), default=0) > 3
    turned = {"rotation": 90, "va": "center"} if len(shown) > ANNOTATED else {"rotation": 40}
    place = {**turned, "ha": "right", "rotation_mode": "anchor"} if upright else {}
    getattr(axes, f"set_{axis}ticks")(range(0, len(names), step), shown, fontsize=size, **place)


def heat(
    values: Shaped[Tensor, "*one h w"],
    image: Image | Tensor | None = None,
    title: str = "",
    unit: str = "",
    signed: bool = False,
    x: str = "",
    y: str = "",
) -> Picture:
    """A map with its colour bar, bright for large; with `signed`, red above zero and blue below.

    With an `image`, the image and beside it the same with the map laid over; `x`, `y` name the axes of a map alone.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    numbers = values.detach().float().cpu().reshape(values.shape[-2:])
    most = max(float(numbers.abs().max()), 1e-12)
    low = -most if signed else 0.0 if image is not None else float(numbers.min())
    colours = ScalarMappable(
        Normalize(low, most if signed else float(numbers.max())),
        SIGNED if signed else MAGNITUDE if image is None else OVER,
    )
    with style():
        if image is None:
            drawn, axes = map_alone(numbers, colours, title, x, y)
        else:
            drawn, axes = map_beside(pixels(image), overlay(image, numbers, signed=signed), title)
        bar = drawn.colorbar(colours, ax=axes, label=unit, pad=0.02, aspect=24)
        bar.outline.set_visible(False)
        return rendered(drawn)


def map_alone(numbers: Tensor, colours: Any, title: str, x: str, y: str) -> tuple[Any, Any]:
    h, w = numbers.shape
    drawn = figure(1.7 + 4.2 * max(0.3, w / max(h, w)), 0.8 + 4.2 * max(0.2, h / max(h, w)))
    axes = drawn.add_subplot(title=title, xlabel=x, ylabel=y)
    aspect = "equal" if 0.1 < h / w < 10 else "auto"
    axes.imshow(numbers.numpy(), cmap=colours.cmap, norm=colours.norm, aspect=aspect, interpolation="nearest")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return drawn, axes


def map_beside(image: Picture, overlaid: Picture, title: str) -> tuple[Any, Any]:
    drawn = figure(7.4, 0.6 + 3.2 * min(1.6, image.height / image.width))
    headline(drawn, title)
    panels = drawn.subplots(1, 2)
    for axes, shown in zip(panels, (image, overlaid)):
        axes.imshow(shown, interpolation="nearest" if max(image.size) < 200 else "antialiased")
        axes.set_axis_off()
    return drawn, panels


def overlay(
    image: Image | Tensor, values: Float[Tensor, "h w"], strength: float = 0.75, signed: bool = False, most: float = 0.0
) -> Picture:
    """Heat laid over a grey image of any size: the largest value covers it to `strength`, zero leaves it as it is.

    most: what counts as the largest value, where several maps share a scale; 0: this one's own.
    """
    from matplotlib import colormaps
    from PIL import Image as pil

    below = pixels(image).convert("L").convert("RGB")
    numbers = values.detach().float().cpu()
    share = numbers / max(most or float(numbers.abs().max()), 1e-12)
    size = (below.height, below.width)
    share = interpolate(share[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    covering = share.abs() if signed else share.clamp(0, 1)
    colours = colormaps[SIGNED]((share.numpy() + 1) / 2) if signed else colormaps[OVER](covering.numpy())
    alpha = strength * covering.sqrt().numpy()[..., None]
    mixed = (1 - alpha) * np.asarray(below, dtype=np.float32) + alpha * 255 * colours[..., :3]
    return pil.fromarray(mixed.clip(0, 255).round().astype(np.uint8))
