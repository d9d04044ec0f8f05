"""Answers drawn on their picture: boxes, classes of pixels with a legend, instances, skeletons.

Lines and letters grow with the picture, and small pictures are enlarged first, so that all is legible at 200 pixels and
at 2,000. The colour of a class depends on its number alone: the same in every picture of a set.
"""

import colorsys
from math import ceil
from typing import Any

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from legato.picture.style import BLUE, INK, ORANGE, VERMILLION, Picture, font, percent, pixels, shortened
from legato.values import VOID, Boxes, Image, Keypoints, LabelMap, Masks

FIRST = (  # Okabe & Ito 2008, then others that lie far from them; behind those hues by the golden angle
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442",
    "#7f3c8d", "#8c564b", "#9edc23", "#ff4fa3", "#8d99a6", "#7a0019", "#005f60",
)  # fmt: skip
LEGIBLE = 480  # pixels of the longer side that nothing is drawn below
Ink = tuple[int, int, int]
WHITE: Ink = (255, 255, 255)


def colour(k: int) -> Ink:
    """Of class k: red, green, blue, 0 to 255. VOID is white."""
    if k == VOID:
        return WHITE
    if k < len(FIRST):
        return rgb(FIRST[k])
    red, green, blue = colorsys.hls_to_rgb(0.381966 * k % 1, (0.35, 0.55, 0.72)[k % 3], 0.7)
    return round(255 * red), round(255 * green), round(255 * blue)


def palette() -> list[int]:
    """The colours of all 256 classes one after another, as an index PNG stores them."""
    return [part for k in range(256) for part in colour(k)]


def boxes(image: Image | Tensor, found: Boxes) -> Picture:
    """Every box in the colour of its class, with its name and, where one is not certain, its score."""
    drawn, factor = canvas(image)
    width = line_width(drawn)
    order = found.scores.argsort(stable=True).tolist()  # the surest comes last, on top
    corners, labels, scores = (found.xyxy * factor).tolist(), found.labels.tolist(), found.scores.tolist()
    pen = pen_on(drawn)
    for i in order:
        x1, y1, x2, y2 = corners[i]
        pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour(labels[i]), width=width)
    for i in order:
        name = shortened(found.names[labels[i]], 24)
        text = name if scores[i] >= 1 else f"{name} {percent(scores[i])}"
        tag(drawn, text, corners[i][0], corners[i][1], colour(labels[i]))
    return drawn


def label_map(image: Image | Tensor, found: LabelMap, strength: float = 0.55) -> Picture:
    """Every pixel tinted in the colour of its class, with white borders; below it the classes that occur.

    What is called background is left as it is, and not spoken of unless there is nothing else.
    """
    drawn, factor = canvas(image)
    labels = found.labels.numpy().repeat(factor, 0).repeat(factor, 1)
    tints = np.array(palette(), dtype=np.float32).reshape(256, 3)[labels]
    behind = [k for k, name in enumerate(found.names) if name.lower() == "background"]
    opacity = np.where(np.isin(labels, [VOID, *behind]), 0, strength)[..., None]
    mixed = (1 - opacity) * np.asarray(drawn) + opacity * tints
    mixed[borders(labels, max(1, line_width(drawn) // 2))] = 255
    shares = found.shares()
    shares = {name: share for name, share in shares.items() if found.names.index(name) not in behind} or shares
    texts = [f"{shortened(name, 24)} {percent(share)}" for name, share in shares.items()]
    colours = [colour(found.names.index(name)) for name in shares]
    return with_legend(pixels(from_array(mixed)), list(zip(texts, colours)))


def instances(image: Image | Tensor, found: Masks, strength: float = 0.5) -> Picture:
    """Every instance in a colour of its own, with its box."""
    drawn, factor = canvas(image)
    mixed = np.asarray(drawn).astype(np.float32)
    for i, bitmap in enumerate(found.bitmaps.numpy()):
        inside = bitmap.repeat(factor, 0).repeat(factor, 1)
        mixed[inside] = (1 - strength) * mixed[inside] + strength * np.array(colour(i), np.float32)
        mixed[borders(inside.astype(np.uint8), max(1, line_width(drawn) // 2))] = 255
    return boxes(from_array(mixed), found.boxes.scale(factor, factor))


def skeletons(image: Image | Tensor, found: Keypoints) -> Picture:
    """Limbs and joints: right orange, left blue, what has no side yellow; joints that cannot be seen are rings, those
    that nobody knows (score 0) are not drawn."""
    drawn, factor = canvas(image)
    width, names = round(1.5 * line_width(drawn)), found.skeleton.names
    pen = pen_on(drawn)
    for points, visible, scores in zip((found.points * factor).tolist(), found.visible.tolist(), found.scores.tolist()):
        for a, b in found.skeleton.pairs:
            if scores[a] and scores[b]:
                line = (*points[a], *points[b])
                pen.line(line, fill=WHITE, width=2 * width)  # so that it stands off any picture
                pen.line(line, fill=side_colour(names[a], names[b]), width=width)
        for name, (x, y), seen, score in zip(names, points, visible, scores):
            if score:
                own, radius = side_colour(name, name), 1.4 * width
                fill, outline = (own, WHITE) if seen else (WHITE, own)
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill, outline, max(1, width // 2))
    return drawn


def side_colour(a: str, b: str) -> Ink:
    """Of the limb from joint a to joint b."""
    sides = {name.partition(" ")[0] for name in (a, b)} & {"left", "right"}
    return rgb({"right": VERMILLION, "left": BLUE}[sides.pop()] if len(sides) == 1 else ORANGE)


# the parts
def canvas(image: Image | Tensor) -> tuple[Picture, int]:
    """The picture to draw on, enlarged by a whole factor if it is small; and the factor."""
    picture = pixels(image)
    factor = ceil(LEGIBLE / max(picture.size)) if max(picture.size) < LEGIBLE else 1
    width, height = picture.size
    return picture.resize((factor * width, factor * height)), factor


def line_width(drawn: Picture) -> int:
    return max(2, round(max(drawn.size) / 250))


def letters(drawn: Picture) -> Any:
    """The font for a picture of this size."""
    return font(max(13, round(max(drawn.size) / 45)))


def pen_on(drawn: Picture) -> Any:
    from PIL import ImageDraw

    return ImageDraw.Draw(drawn)


def from_array(array: np.ndarray) -> Tensor:
    """(h, w, 3) numbers as (3, h, w) bytes."""
    return Tensor(array).round().byte().permute(2, 0, 1)


def rgb(code: str) -> Ink:
    red, green, blue = bytes.fromhex(code.removeprefix("#"))
    return red, green, blue


def on(ink: Ink) -> Ink:
    """Black or white, whichever is legible on this colour (relative luminance, WCAG 2)."""
    red, green, blue = ink
    return rgb(INK) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else WHITE


def tag(drawn: Picture, text: str, x: float, y: float, ink: Ink) -> None:
    """Text on its own colour, above the point where there is room, and inside the picture."""
    pen, type_ = pen_on(drawn), letters(drawn)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=type_)
    pad = max(2, (bottom - top) // 4)
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x = max(0, min(x, drawn.width - width))
    y = y - height if y >= height else y
    pen.rectangle((x, y, x + width, y + height), fill=ink)
    pen.text((x + pad - left, y + pad - top), text, fill=on(ink), font=type_)


def borders(labels: np.ndarray, width: int) -> Bool[np.ndarray, "h w"]:
    """Where a pixel and one `width` to the right or below belong to different classes."""
    found = np.zeros(labels.shape, bool)
    found[:, :-width] |= labels[:, :-width] != labels[:, width:]
    found[:-width] |= labels[:-width] != labels[width:]
    return found


def with_legend(drawn: Picture, keys: list[tuple[str, Ink]]) -> Picture:
    """The picture, and below it on white a square of each colour beside what it means, in as many rows as it takes."""
    type_ = letters(drawn)
    high = round(1.7 * type_.size)
    rows, x = 0, 0
    placed = []
    for text, ink in keys:
        width = round(type_.getlength(text)) + 2 * high
        if x and x + width > drawn.width:
            rows, x = rows + 1, 0
        placed.append((text, ink, x, rows))
        x += width
    page = drawn.crop((0, 0, drawn.width, drawn.height + high * (rows + 1) + high // 3))
    page.paste(WHITE, (0, drawn.height, page.width, page.height))
    pen, side = pen_on(page), round(0.9 * type_.size)
    for text, ink, x, row in placed:
        top = drawn.height + high // 3 + row * high
        pen.rectangle((x + high // 3, top, x + high // 3 + side, top + side), fill=ink)
        pen.text((x + high // 3 + 1.4 * side, top + side / 2), text, fill=rgb(INK), font=type_, anchor="lm")
    return page
