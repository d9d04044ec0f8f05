"""Weight sharing makes a layer equivariant (lecture 001): filtering a shifted picture is shifting the filtered one."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.demos.registry import Demo, demo
from legato.layers import LocallyConnected2d
from legato.picture.page import Lines, Photo, page

MOST = 6  # pixels of shift


def shifted(x: Float[Tensor, "b c h w"], pixels: int) -> Float[Tensor, "b c h w"]:
    """To the right, round the edge."""
    return x.roll(pixels, -1)


def broken(layer: nn.Module, x: Float[Tensor, "b c h w"], pixels: int, stride: int = 1) -> float:
    """‖layer(shift x) − shift layer(x)‖ / ‖layer(x)‖ away from the edges; the map of a stride moves by fewer places.

    Where the stride does not divide the shift there is no such place, and the nearest is taken.
    """
    y, z = shifted(layer(x), round(pixels / stride)), layer(shifted(x, pixels))
    inner = (..., slice(2, -2), slice(MOST + 2, -MOST - 2))
    return float((z - y)[inner].norm() / y[inner].norm())


@demo("C4", on_picture=True)
@torch.no_grad()
def equivariance(photo: Float[Tensor, "3 h w"]) -> Demo:
    """Translation equivariance: shift and filter in either order; strides and unshared weights break it.

    One filter of 3×3×3 and its bias are 28 parameters, wherever it looks.
    A stride of 2 keeps only shifts by multiples of 2.
    """
    x = photo[None, :, ::2, ::2]
    h, w = x.shape[2:]
    layers = {
        "convolution": (nn.Conv2d(3, 1, 3, padding=1), 1),
        "convolution, stride 2": (nn.Conv2d(3, 1, 3, 2, padding=1), 2),
        "no shared weights": (LocallyConnected2d(3, 1, h, w, 3), 1),
    }
    errors = {n: [broken(layer, x, s, stride) for s in range(MOST + 1)] for n, (layer, stride) in layers.items()}
    conv = layers["convolution"][0]
    maps = {
        "filter(x)": conv(x),
        "filter(shift(x))": conv(shifted(x, MOST)),
        "shift(filter(x))": shifted(conv(x), MOST),
    }
    low, high = conv(x).min(), conv(x).max()
    photos = [Photo(photo, "x"), *(Photo((y[0] - low) / (high - low), name) for name, y in maps.items())]
    metre = Lines({n: (range(MOST + 1), e) for n, e in errors.items()}, "how unlike the two are", "shift, pixels")
    counts = {name: sum(p.numel() for p in layer.parameters()) for name, (layer, _) in layers.items()}
    lines = [
        f"{n:22} {counts[n]:>9,} parameters; unlike by at most {max(e):.3f}, at even shifts {max(e[::2]):.3f}"
        for n, e in errors.items()
    ]
    title, widths = "Shifting and filtering can be exchanged", [1, 1, 1, 1, 1.5]
    drawn = page([*photos, metre], title, 5, widths, side=2.1, height=max(2.3, 2.1 * h / w + 0.5))
    return Demo(
        drawn, lines, {n: max(e) for n, e in errors.items()} | {"even": max(errors["convolution, stride 2"][::2])}
    )
