"""Pictures of any shape on one page: all equally wide, each hung at the end of the shortest column."""

from collections.abc import Sequence

from legato.picture.sheets import GAP, HEADING, LETTERS
from legato.picture.style import INK, Picture, font


def wall(pictures: Sequence[tuple[Picture, str]], columns: int = 4, title: str = "", width: int = 560) -> Picture:
    """Each picture `width` pixels wide, its name above it."""
    from PIL import Image as pil
    from PIL import ImageDraw

    top = GAP + (round(1.8 * HEADING) if title else 0)
    bottoms, hung = [top] * columns, []
    for picture, name in pictures:
        column = bottoms.index(min(bottoms))
        fitted = picture.resize((width, max(1, round(picture.height * width / picture.width))), pil.Resampling.LANCZOS)
        hung.append((fitted, name, GAP + column * (width + GAP), bottoms[column]))
        bottoms[column] += round(1.5 * LETTERS) + fitted.height + 2 * GAP
    page = pil.new("RGB", (GAP + columns * (width + GAP), max(bottoms)), "white")
    pen = ImageDraw.Draw(page)
    pen.text((GAP, GAP), title, INK, font(HEADING, True))
    for fitted, name, left, upper in hung:
        pen.text((left, upper), name, INK, font(LETTERS, True))
        page.paste(fitted, (left, upper + round(1.5 * LETTERS)))
    return page
