"""Texts and words on coloured ground: what a cell holds, what a word counts; where one looked; how gates stand."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from math import floor, log10
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from legato.picture.style import (
    GREY,
    INK,
    LINES,
    Picture,
    figure,
    font,
    headline,
    number,
    rendered,
    shortened,
    style,
)

LETTERS, ROWS = 100, 40  # of a page: what can still be read on a slide
COLOURS = ((40, 130, 200), (255, 255, 255), (230, 159, 0))  # blue and orange as all can tell, under dark letters
SIZE, EDGE, WIDEST = 30, 40, 1560  # pixels: of letters, of the margin, of a row of words
NARROWEST = 56  # letters: what a title needs
FAINTER = "#888888"  # signs that are not in the text
Points = tuple[Sequence[float], Sequence[float]]


class Ground(NamedTuple):
    """A letter and the value under it."""

    letter: str
    value: float


class Scale(NamedTuple):
    """From blue over white to orange."""

    low: float
    middle: float
    high: float

    def share(self, value: float) -> float:
        """−1 … 1: how far a value is on its side of the middle."""
        side = self.high - self.middle if value > self.middle else self.middle - self.low
        return (value - self.middle) / side if side else 0.0


class Place(NamedTuple):
    """Where a word stands: pixels from the left, and its row."""

    x: float
    width: float
    row: int


def coloured_text(
    units: Sequence[str],
    values: Float[Tensor, "t"],
    title: str = "",
    unit: str = "",
    below: str = "",
    middle: float = 0.0,
) -> Picture:
    """Each unit (a character, or a word with its space) on the colour of its value, and a bar that says which is which.

    White is `middle`, blue what lies below it, orange what lies above, each to the farthest that occurs. Letters are
    all equally wide; a line's end is ⏎, so that its colour is seen too. At most 40 rows of 100 letters: a remark says
    what is cut off, beside `below`.
    """
    if len(units) != len(values):
        raise ValueError(f"{len(units)} units, {len(values)} values")
    rows = laid_out(units, values.detach().float().cpu().tolist())
    used = sum(map(len, rows[:ROWS]))
    cut = f"the first {used:,} of {sum(map(len, rows)):,} characters" if len(rows) > ROWS else ""
    rows = rows[:ROWS]
    shown = [place.value for row in rows for place in row]
    scale = Scale(min([middle, *shown]), middle, max([middle, *shown]))
    across = letters_wide(max(NARROWEST, *map(len, rows), 0))
    ends = tuple(signed(v, max(abs(scale.low), abs(scale.high))) for v in scale)
    bar = legend(across, ends, unit, "; ".join(filter(None, (below, cut))))
    return stacked(heading(title, across), lettered(rows, scale, across), bar)


def letters_wide(count: int) -> int:
    """Pixels that so many letters take."""
    return round(count * mono(SIZE).getlength("m"))


def lettered(rows: Sequence[Sequence[Ground]], scale: Scale, across: int) -> Picture:
    """Letter by letter, each on its ground."""
    w, h = letters_wide(1), round(1.36 * SIZE)
    picture, pen = page(across, h * len(rows))
    for r, row in enumerate(rows):
        for c, (letter, value) in enumerate(row):
            pen.rectangle((c * w, r * h, (c + 1) * w - 1, (r + 1) * h - 1), fill=colour(scale.share(value)))
            pen.text((c * w, r * h + 2), letter, font=mono(SIZE), fill=FAINTER if letter in "⏎→" else INK)
    return picture


def laid_out(units: Sequence[str], values: Sequence[float]) -> list[list[Ground]]:
    """Rows of at most 100 letters; a line's end closes its row, longer lines are broken."""
    rows: list[list[Ground]] = [[]]
    for name, value in zip(units, values):
        for letter in name:
            if len(rows[-1]) == LETTERS:
                rows.append([])
            rows[-1].append(Ground({"\n": "⏎", "\t": "→"}.get(letter, letter if letter.isprintable() else "·"), value))
            if letter == "\n":
                rows.append([])
    return rows if rows[-1] else rows[:-1]


def coloured_words(
    words: Sequence[str], rows: Mapping[str, Float[Tensor, "t"]], title: str = "", unit: str = "", below: str = ""
) -> Picture:
    """A sentence for each named row of values: every word on its colour, its value under it; one scale for each row.

    Blue is below zero, white zero, orange above.
    """
    letters, small = font(34), font(19)
    written = [[signed(v, largest(values)) for v in values.tolist()] for values in rows.values()]
    widths = [
        max(letters.getlength(word) + 24, *(small.getlength(number) + 8 for number in numbers))
        for word, numbers in zip(words, zip(*written))
    ]
    places = flow(widths, WIDEST)
    across = round(max([600.0, *(x + width for x, width, _ in places)]))
    blocks = [sentence(words, values, places, name, across) for name, values in rows.items()]
    return stacked(heading(title, across), *blocks, legend(across, ("against", "0", "for"), unit, below))


def largest(values: Float[Tensor, "t"]) -> float:
    return float(values.abs().max()) if len(values) else 0.0


def sentence(
    words: Sequence[str], values: Float[Tensor, "t"], places: Sequence[Place], name: str, across: int
) -> Picture:
    """Words on the colours of their values, which stand under them; above, what they are, and how far colours go."""
    most = largest(values)
    scale = Scale(-most, 0.0, most)
    picture, pen = page(across, 76 + 84 * (1 + max((row for *_, row in places), default=0)))
    pen.text((0, 6), f"{name}   (±{number(most)})", font=font(24, bold=True), fill=GREY)
    for word, value, (x, width, row) in zip(words, values.tolist(), places):
        y, middle = 46 + 84 * row, x + width / 2
        pen.rounded_rectangle((x, y, x + width, y + 50), 8, fill=colour(scale.share(value)))
        pen.text((middle, y + 25), word, font=font(34), fill=INK, anchor="mm")
        pen.text((middle, y + 64), signed(value, most), font=font(19), fill=GREY, anchor="mm")
    return picture


def flow(widths: Sequence[float], across: float, gap: float = 10) -> list[Place]:
    """Things set one after another, on as many rows as they need."""
    x, row, places = 0.0, 0, list[Place]()
    for width in widths:
        if x and x + width > across:
            x, row = 0.0, row + 1
        places.append(Place(x, width, row))
        x += width + gap
    return places


def signed(value: float, most: float = 0.0) -> str:
    """+0.31, −1.2, 0: two digits of the largest value there is, or of its own."""
    scale = abs(most or value)
    text = f"{value:+.{max(0, 1 - floor(log10(scale))) if scale else 0}f}".replace("-", "−")
    return text if any(digit in text for digit in "123456789") else "0"


def page(width: int, height: int) -> tuple[Picture, Any]:
    """White paper and a pen."""
    from PIL import Image as pil
    from PIL import ImageDraw

    picture = pil.new("RGB", (width, height), "white")
    return picture, ImageDraw.Draw(picture)


def heading(title: str, across: int) -> Picture:
    """The title, on as many lines as it needs."""
    bold = font(34, bold=True)
    lines = wrapped(title, bold, across)
    picture, pen = page(across, 46 * len(lines) + 14)
    for k, one in enumerate(lines):
        pen.text((0, 46 * k), one, font=bold, fill=INK)
    return picture


def legend(across: int, ends: Sequence[str], unit: str, remark: str) -> Picture:
    """A bar from blue over white to orange, what its ends and its middle are, and under it a remark."""
    small, wide = font(24), 320
    low, middle, high = ends
    remarks = wrapped(remark, small, across)
    picture, pen = page(across, 96 + 34 * len(remarks))
    x, y = round(small.getlength(low)) + 12, 20
    for i in range(wide):
        pen.line((x + i, y, x + i, y + 26), fill=colour(2 * i / (wide - 1) - 1))
    pen.rectangle((x - 1, y - 1, x + wide, y + 27), outline=GREY)
    pen.text((0, y + 13), low, font=small, fill=INK, anchor="lm")
    pen.text((x + wide / 2, y + 46), middle, font=small, fill=INK, anchor="mm")
    pen.text((x + wide + 12, y + 13), f"{high}   {unit}", font=small, fill=INK, anchor="lm")
    for k, one in enumerate(remarks):
        pen.text((0, 92 + 34 * k), one, font=small, fill=GREY)
    return picture


def wrapped(text: str, letters: Any, across: float) -> list[str]:
    """As many lines as it needs."""
    lines = [""] if text else []
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        fits = not lines[-1] or letters.getlength(joined) <= across
        lines[-1:] = [joined] if fits else [lines[-1], word]
    return lines


def stacked(*parts: Picture) -> Picture:
    """One under another, with a margin round all."""
    height = sum(part.height for part in parts) + 2 * EDGE
    picture, _ = page(max(part.width for part in parts) + 2 * EDGE, height)
    y = EDGE
    for part in parts:
        picture.paste(part, (EDGE, y))
        y += part.height
    return picture


def colour(share: float) -> tuple[int, int, int]:
    """−1 blue, 0 white, 1 orange."""
    end = COLOURS[2] if share > 0 else COLOURS[0]
    strength = min(1.0, abs(share)) if share == share else 0.0
    return tuple(round(255 + strength * (one - 255)) for one in end)  # type: ignore[return-value]


@lru_cache
def mono(size: int) -> Any:
    """Letters that are all equally wide, `size` pixels high; they come with matplotlib."""
    from PIL import ImageFont

    spec = find_spec("matplotlib")
    file = Path(str(spec and spec.origin)).parent / "mpl-data/fonts/ttf/DejaVuSansMono.ttf"
    return ImageFont.truetype(str(file), size, layout_engine=ImageFont.Layout.BASIC)


def attention_matrix(
    weights: Float[Tensor, "s t"],
    written: Sequence[str],
    read: Sequence[str],
    title: str = "",
    unit: str = "attention weight",
    signs: bool = False,
) -> Picture:
    """A row for each word written, a column for each word read, dark where one looked (Bahdanau et al. 2015, figure 3).

    With `signs`, blue below zero and orange above: how much each word read speaks for, or against, each row's answer.
    """
    from matplotlib.colors import LinearSegmentedColormap

    values = weights.detach().float().cpu()
    most = float(values.abs().max()) or 1.0
    ends = [tuple(c / 255 for c in one) for one in COLOURS]
    colours: Any = LinearSegmentedColormap.from_list("signs", ends) if signs else "Blues"
    with style():
        side = 0.36
        drawn = figure(max(4.2, 2.3 + side * len(read)), max(2.6, 1.6 + side * len(written)))
        headline(drawn, title)
        axes = drawn.add_subplot()
        shown = axes.imshow(values.numpy(), cmap=colours, vmin=-most if signs else 0.0, vmax=most if signs else 1.0)
        axes.set_xticks(
            range(len(read)), [shortened(w, 16) for w in read], rotation=50, ha="left", rotation_mode="anchor"
        )
        axes.set_yticks(range(len(written)), [shortened(w, 16) for w in written])
        axes.xaxis.tick_top()
        axes.grid(False)
        axes.set_xticks(np.arange(len(read) - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(len(written) - 1) + 0.5, minor=True)
        axes.grid(True, which="minor", color="white", linewidth=1)
        axes.spines[:].set_visible(False)
        bar = drawn.colorbar(shown, ax=axes, label=unit, pad=0.02, aspect=24, shrink=0.9)
        bar.outline.set_visible(False)
        return rendered(drawn)


def gate_scatter(panels: Mapping[str, Mapping[str, Points]], title: str = "") -> Picture:
    """For each gate a panel, in it a point for each cell: the share of steps at which it is open, and shut.

    Points are coloured by their layer (Karpathy et al. 2015, figure 2); none can lie above the diagonal.
    """
    layers = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    with style():
        drawn = figure(0.9 + 2.7 * len(panels), 3.7 + 0.22 * (len(layers) > 1))
        headline(drawn, title)
        for axes, (gate, panel) in zip(drawn.subplots(1, len(panels), squeeze=False, sharey=True)[0], panels.items()):
            axes.plot([0, 1], [1, 0], color=GREY, linewidth=1)
            for name, (opened, shut) in panel.items():
                ink = LINES[layers.index(name) % len(LINES)]
                axes.plot(opened, shut, "o", color=ink, markersize=5, alpha=0.55, markeredgewidth=0, label=name)
            axes.set_title(gate, fontsize=10)
            axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
            axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
            axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
        drawn.supxlabel("share of steps at which the gate is open (> 0.9)", fontsize=9.5)
        drawn.supylabel("… is shut (< 0.1)", fontsize=9.5)
        if len(layers) > 1:
            handles = drawn.axes[0].get_legend_handles_labels()
            drawn.legend(*handles, loc="outside upper right", ncols=len(layers), fontsize=8.5, frameon=False)
        return rendered(drawn)
