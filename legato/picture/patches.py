"""What units of a network look for: patches of pictures beside what a network made of them, in blocks of nine.

As figure 2 of Zeiler & Fergus 2013, arXiv:1311.2901.
"""

from collections.abc import Sequence
from math import ceil, sqrt
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from legato.picture.sheets import GAP, HEADING, LETTERS, cut
from legato.picture.style import INK, ORANGE, Picture, font, pixels
from legato.values import Image

SQUARE, COLUMNS = 216, 4  # pixels of nine patches, 3×3; pairs of squares side by side
Corners = tuple[int, int, int, int]  # top, left, bottom, right


class Block(NamedTuple):
    """A unit: what it responds to in each picture, the pictures, and where in them it looks."""

    caption: str
    signals: Sequence[Float[Tensor, "c h w"]]
    pictures: Sequence[Float[Tensor, "c h w"]]
    boxes: Sequence[Corners]


def blocks(units: Sequence[Block], title: str = "", image: Image | Tensor | None = None) -> Picture:
    """A pair of squares for each unit: left its signals, zero in mid-grey, right the same patches of the pictures.

    Nine patches fill a square as 3×3, one fills it alone. With an `image`, it comes first, and frames show where the
    units look.
    """
    from PIL import Image as pil
    from PIL import ImageDraw

    cells = len(units) + (image is not None)
    columns = min(cells, COLUMNS)
    across, down = 2 * SQUARE + GAP // 2 + 2 * GAP, SQUARE + round(1.6 * LETTERS) + GAP
    top = GAP + (round(1.8 * HEADING) if title else 0)
    width = max(GAP + columns * across, round(2 * GAP + font(HEADING, True).getlength(title)))
    page = pil.new("RGB", (width, top + ceil(cells / columns) * down), "white")
    pen = ImageDraw.Draw(page)
    pen.text((GAP, GAP), title, INK, font(HEADING, True))
    places = [(GAP + n % columns * across, top + n // columns * down) for n in range(cells)]
    if image is not None:
        x, y = places.pop(0)
        page.paste(framed(image, [unit.boxes[0] for unit in units]), (x, y))
        pen.text((x, y + SQUARE + 4), "the picture", INK, font(LETTERS))
    for unit, (x, y) in zip(units, places):
        page.paste(square([contrast(cropped(s, box)) for s, box in zip(unit.signals, unit.boxes)]), (x, y))
        right = square([cropped(p, box) for p, box in zip(unit.pictures, unit.boxes)])
        page.paste(right, (x + SQUARE + GAP // 2, y))
        pen.text((x, y + SQUARE + 4), cut(unit.caption, across - GAP), INK, font(LETTERS))
    return page


def square(tiles: Sequence[Float[Tensor, "c h w"]]) -> Picture:
    """The tiles in as many rows as columns, each exactly so large as its place; few pixels are enlarged as pixels."""
    from PIL import Image as pil

    rows = ceil(sqrt(len(tiles)))
    side = SQUARE // rows
    page = pil.new("RGB", (SQUARE, SQUARE), "white")
    for k, tile in enumerate(tiles):
        drawn = pixels(tile)
        how = pil.Resampling.LANCZOS if max(drawn.size) >= side / 3 else pil.Resampling.NEAREST
        page.paste(drawn.resize((side - 2, side - 2), how), (k % rows * side, k // rows * side))
    return page


def framed(image: Image | Tensor, boxes: Sequence[Corners]) -> Picture:
    """The picture, so high as a square, with a frame for each box."""
    from PIL import Image as pil
    from PIL import ImageDraw

    drawn = pixels(image)
    factor = SQUARE / drawn.height
    few = 4 * max(drawn.size) <= SQUARE
    size = (round(factor * drawn.width), SQUARE)
    drawn = drawn.resize(size, pil.Resampling.NEAREST if few else pil.Resampling.LANCZOS)
    for top, left, bottom, right in boxes:
        corners = (factor * left, factor * top, factor * right - 1, factor * bottom - 1)
        ImageDraw.Draw(drawn).rectangle(corners, outline=ORANGE, width=2)
    return drawn


def cropped(picture: Float[Tensor, "c h w"], box: Corners) -> Float[Tensor, "c _h _w"]:
    top, left, bottom, right = box
    return picture[:, top:bottom, left:right]


def contrast(signal: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
    """Zero in mid-grey; the strongest hundredth of what is not zero may be cut off."""
    sizes = signal.abs()[signal != 0].sort().values
    most = sizes[int(0.99 * (len(sizes) - 1))] if len(sizes) else signal.new_ones(())
    return signal / (2 * most.clamp(min=1e-12)) + 0.5
