"""Inputs, targets and predictions, in words and in pictures."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from legato.picture import overlays
from legato.values import Boxes, Image, Keypoints, LabelMap, Masks, Scores, Text

DRAWN: dict[type, Callable[[Any, Any], Any]] = {
    Boxes: overlays.boxes,
    LabelMap: overlays.label_map,
    Masks: overlays.instances,
    Keypoints: overlays.skeletons,
}


def image_in(value: Any) -> Image | Tensor | None:
    """The picture an example's input is or holds."""
    if isinstance(value, Image) or (isinstance(value, Tensor) and value.dim() == 3 and len(value) in (1, 3)):
        return value
    parts: Iterable[Any] = value if isinstance(value, tuple) else ()
    return next((found for part in parts if (found := image_in(part)) is not None), None)


def with_target(input: Any, target: Any) -> Image | None:
    """A picture with its target drawn on it, where that is something one draws."""
    image = image_in(input)
    draw = next((draw for kind, draw in DRAWN.items() if isinstance(target, kind)), None)
    if image is None or draw is None:
        return None
    drawn = np.asarray(draw(image, target).convert("RGB"))
    return Image(torch.from_numpy(drawn.copy()).permute(2, 0, 1))


def said(value: Any, names: Sequence[str]) -> str:
    """A target or a prediction in a few words: its class, its labels, its numbers, its text; "" where words fail."""
    match value:
        case Text():
            return value.text
        case bool() | float():
            return f"{value:.3g}"
        case int():
            return names[value] if 0 <= value < len(names) else str(value)
        case Scores() | Tensor() | dict() | list() | tuple():
            return several(value, names)
        case str() | None:
            return str(value)
    return ""


def several(value: Any, names: Sequence[str]) -> str:
    """The first few of many things said."""
    match value:
        case Scores():
            return ", ".join(f"{name} {v:.2f}" for name, v in value.top(2))
        case dict():
            return ", ".join(f"{k} {said(v, ())}" for k, v in list(value.items())[:3])
        case Tensor() if value.dim() == 1 and len(value) == len(names):
            return labels_or_numbers(value, names)
        case Tensor() if value.dim() == 0:
            return said(value.item(), names)
        case Tensor():
            return several(value.flatten()[:4].tolist(), names)
    return ", ".join(said(v, names) for v in value[:4])


def labels_or_numbers(value: Tensor, names: Sequence[str]) -> str:
    """The names of the labels that are set, the shares of mixed classes, or numbers that are neither."""
    known = value[~value.isnan()] if value.is_floating_point() else value
    if bool(((known == 0) | (known == 1)).all()):
        return ", ".join(name for name, v in zip(names, value.tolist()) if v == 1) or "none"
    if float(known.min()) >= 0 and abs(float(known.sum()) - 1) < 1e-3:
        return several(Scores(tuple(names), value), names)
    return ", ".join(f"{v:.2f}" for v in value[:4].tolist())
