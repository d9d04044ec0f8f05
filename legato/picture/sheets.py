"""Many small pictures side by side: galleries, contact sheets, filters."""

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from legato.picture.style import INK, Picture, font, pixels
from legato.values import Image

TILE = 224  # pixels of a tile's side: half as many on a page, so that print is sharp
GAP, LETTERS, HEADING = 16, 25, 36  # pixels between tiles, of a caption's letters, of the title's


def sheet(
    images: Sequence[tuple[Image | Tensor, str]],
    columns: int = 0,
    title: str = "",
    frames: Sequence[str] | None = None,
    tile: int = TILE,
) -> Picture:
    """Images in rows, each with its caption below (cut with an ellipsis; a line feed begins a second line).

    Small images are enlarged by whole factors, so that one sees their pixels; large ones are reduced to `tile` pixels.
    `frames` gives each tile a colour, "" for none.
    """
    from PIL import Image as pil
    from PIL import ImageDraw

    tiles = [fitted(pixels(image), tile) for image, _ in images]
    columns = min(len(tiles), columns or columns_for(len(tiles))) or 1
    width = max((t.width for t in tiles), default=tile)
    height = max((t.height for t in tiles), default=tile)
    lines = max((caption.count("\n") + 1 for _, caption in images if caption), default=0)
    across, down = width + GAP, height + GAP + lines * round(1.3 * LETTERS) + (4 if lines else 0)
    top = GAP + (round(1.8 * HEADING) if title else 0)
    page_width = max(GAP + columns * across, round(2 * GAP + font(HEADING, True).getlength(title)))
    page = pil.new("RGB", (page_width, top + ceil(len(tiles) / columns) * down), "white")
    pen = ImageDraw.Draw(page)
    pen.text((GAP, GAP), title, INK, font(HEADING, True))
    for k, picture in enumerate(tiles):
        x, y = GAP + k % columns * across + (width - picture.width) // 2, top + k // columns * down
        y += (height - picture.height) // 2
        page.paste(picture, (x, y))
        if frames is not None and frames[k]:
            pen.rectangle((x - 5, y - 5, x + picture.width + 4, y + picture.height + 4), outline=frames[k], width=5)
        write_caption(
            pen, images[k][1], GAP + k % columns * across + width / 2, top + k // columns * down + height + 8, width
        )
    return page


def columns_for(count: int) -> int:
    """Rather wider than high, and all rows full where that is not too wide."""
    least = ceil(sqrt(1.6 * count))
    return next((n for n in range(max(1, least), 2 * least) if count % n == 0), least)


def write_caption(pen: Any, caption: str, centre: float, top: float, width: int) -> None:
    for line, text in enumerate(caption.split("\n")):
        pen.text((centre, top + line * round(1.3 * LETTERS)), cut(text, width + GAP // 2), INK, font(LETTERS), "ma")


def cut(text: str, width: float) -> str:
    """As much of a text as fits into so many pixels, an ellipsis for the rest."""
    letters = font(LETTERS)
    if letters.getlength(text) <= width:
        return text
    while text and letters.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def fitted(picture: Picture, side: int) -> Picture:
    """Enlarged by the largest whole factor that fits, or reduced until it fits."""
    from PIL import Image as pil

    longer = max(picture.size)
    if longer <= side:
        factor = side // longer
        return picture.resize((picture.width * factor, picture.height * factor), pil.Resampling.NEAREST)
    size = (max(1, round(picture.width * side / longer)), max(1, round(picture.height * side / longer)))
    return picture.resize(size, pil.Resampling.LANCZOS)


def filters(weights: Float[Tensor, "o i h w"], title: str = "", most: int = 256) -> Picture:
    """The filters of a convolution, zero in mid-grey, each as bright as it can be.

    Of three input channels in colour (Krizhevsky et al. 2012, figure 3); of fewer or more, a row of grey tiles for each
    filter and a column for each channel as long as they are no more than `most`, else each filter's first channel.
    """
    o, i, h, w = weights.shape
    bright = weights.detach().float().cpu()
    bright = bright / (2 * bright.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)) + 0.5
    columns = 0
    if i != 3:
        grid = i > 1 and o * i <= most
        bright = bright.reshape(o * i, 1, h, w) if grid else bright[:, :1]
        columns = i if grid else 0
    side = TILE // 2 if len(bright) > 24 else TILE
    return sheet([(tile, "") for tile in torch.unbind(bright)], columns, title, tile=side)
