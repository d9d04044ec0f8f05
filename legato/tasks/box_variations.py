"""How training pictures vary together with the boxes and outlines on them."""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from legato.draws import Draws
from legato.errors import UsageError, nearest
from legato.values import Boxes

VARIATIONS = ("flip", "updown", "light", "zoom", "none")
Pixels = UInt8[Tensor, "_c _h _w"]


def varied(pixels: Pixels, target: Any, how: set[str], draws: Draws) -> tuple[Pixels, Any]:
    """Picture and Boxes or Masks in a mirror, upside down, lighter or darker, or a piece of them, by the same draws."""
    if "flip" in how and float(draws.uniform("flip")) < 0.5:
        pixels, target = pixels.flip(-1), mirrored(target, pixels.shape[2])
    if "updown" in how and float(draws.uniform("updown")) < 0.5:
        pixels, target = pixels.flip(-2), upside_down(target, pixels.shape[1])
    if "light" in how:
        contrast, brightness = 1 + 0.4 * (draws.uniform("light", 2)[0] - 0.5)
        mean = pixels.float().mean()
        pixels = ((pixels - mean) * contrast + mean * brightness).clamp(0, 255).byte()
    if "zoom" in how:
        share = 0.6 + 0.4 * float(draws.uniform("zoom"))
        pixels, target = piece(pixels, target, share, draws.uniform("place", 2)[0])
    return pixels, target


def check_variations(augmentation: str) -> set[str]:
    """The names in it. Raises UsageError for one that is none."""
    names = {name.strip() for name in augmentation.split(",") if name.strip()}
    for name in names:
        if name not in VARIATIONS:
            raise UsageError(f"--augmentation {name}: no such variation of boxes{nearest(name, VARIATIONS)}")
    return names - {"none"}


def mirrored(target: Any, width: int) -> Any:
    return target.flip(width) if isinstance(target, Boxes) else target.flip()


def upside_down(target: Any, height: int) -> Any:
    if not isinstance(target, Boxes):
        return replace(target, bitmaps=target.bitmaps.flip(-2), boxes=upside_down(target.boxes, height))
    x1, y1, x2, y2 = target.xyxy.unbind(1)
    return target.moved(torch.stack([x1, height - y2, x2, height - y1], dim=1))


def piece(pixels: Tensor, target: Any, share: float, place: Float[Tensor, "2"]) -> tuple[Tensor, Any]:
    """A window of this share of both sides somewhere on the picture; boxes of which 30 % or less is left are gone."""
    height, width = (max(1, int(share * side)) for side in pixels.shape[1:])
    top, left = (int(u * (side - part + 1)) for u, side, part in zip(place, pixels.shape[1:], (height, width)))
    if isinstance(target, Boxes):
        target = target.crop(left, top, width, height, visible=0.3)
    else:
        target = target.crop(left, top, width, height)
    return pixels[:, top : top + height, left : left + width], target
