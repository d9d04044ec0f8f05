"""How large a map becomes (lecture 004): 100 → 98 → 33, which the usual floor makes 32 (erratum E4)."""

import torch
from torch.nn.functional import max_pool2d

from legato.demos.registry import Demo, demo
from legato.picture.page import Lines, page


def floor_size(W: int, F: int, S: int, P: int = 0) -> int:
    """W′ = ⌊(W − F + 2P) / S⌋ + 1: windows that fit."""
    return (W - F + 2 * P) // S + 1


def ceil_size(W: int, F: int, S: int, P: int = 0) -> int:
    """W′ = ⌈(W − F + 2P) / S⌉ + 1: the last window may reach over the edge."""
    return -(-(W - F + 2 * P) // S) + 1


@demo("C17 E4")
def sizes() -> Demo:
    """Sizes of maps: 100 → 98 → 32 or 33, by floor or ceiling.

    (98 − 3) / 3 + 1 = 32.67: 32 whole windows, and 2 of 98 places are left over.
    The slide's 33 needs `ceil_mode=True`; PyTorch's default is floor, and loses the last two rows and columns.
    """
    W = floor_size(100, 3, 1)
    found = {"conv": W, "floor": floor_size(W, 3, 3), "ceil": ceil_size(W, 3, 3)}
    torchs = [max_pool2d(torch.zeros(1, 1, W, W), 3, ceil_mode=ceil).shape[-1] for ceil in (False, True)]
    windows = {f"_{k}": ([3 * k, 3 * k + 3], [k + 1, k + 1]) for k in range(27, 33)}
    edge = {"edge of the map": ([W, W], [27, 34])}
    widths = range(94, 106)
    stairs = {r.__name__.split("_")[0]: (widths, [r(w, 3, 3) for w in widths]) for r in (ceil_size, floor_size)}
    panels = [
        Lines(windows | edge, "the last windows of 3 over 98 places", "place", "window"),
        Lines(stairs, "windows of 3, no overlap", "width of the map", "windows"),
    ]
    lines = [f"100 –conv 3→ {W} –max 3, no overlap→ {found['floor']} (floor) or {found['ceil']} (ceil)"]
    lines += [f"PyTorch's max_pool2d: {torchs[0]}, and with ceil_mode {torchs[1]}"]
    lines += [f"W = {w}: floor {floor_size(w, 3, 3)}, ceil {ceil_size(w, 3, 3)}" for w in (96, 97, 98, 99)]
    drawn = page(panels, "32 or 33? What happens at the edge", widths=[1.3, 1], side=3.3)
    return Demo(drawn, lines, {name: float(value) for name, value in found.items()})
