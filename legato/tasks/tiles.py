"""Large pictures in overlapping tiles, with the same answer as in one piece."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.layers.tracing import receptive_field

GRID = 32  # tiles begin at multiples of the network's coarsest stride, so that its maps lie where they would
CORE = 1024  # pixels of a tile that are kept


def tiled(net: nn.Module, pixels: Float[Tensor, "b c h w"], core: int = CORE, margin: int = 0) -> Tensor:
    """net(pixels) for a network that gives a map of the picture's size, at most `core` + 2 margins pixels at a time.

    `margin`, 0: all that an output can see to one side, so that the result is that of one piece. Multiples of 32.
    """
    height, width = pixels.shape[-2:]
    if max(height, width) <= core:
        return net(pixels)
    margin = margin or grid(reach_of(net, pixels.shape[1]))
    rows = []
    for top in range(0, height, core):
        row = []
        for left in range(0, width, core):
            y, x = max(0, top - margin), max(0, left - margin)
            window = pixels[..., y : top + core + margin, x : left + core + margin]
            row.append(net(window)[..., top - y : top - y + core, left - x : left - x + core])
        rows.append(torch.cat(row, dim=-1))
    return torch.cat(rows, dim=-2)


def reach_of(net: nn.Module, channels: int) -> int:
    """Pixels that an output of net sees beside its own: what one of its parts says, or what is traced."""
    told = (part.reach for part in net.modules() if isinstance(getattr(part, "reach", None), int))
    return next(told, 0) or receptive_field(net, (channels, CORE, CORE))  # type: ignore[return-value]


def grid(pixels: int) -> int:
    """Rounded up to where tiles may begin."""
    return -(-pixels // GRID) * GRID
