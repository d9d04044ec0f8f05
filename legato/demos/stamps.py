"""Transposed convolution (lectures 000 and 004): each input stamps the filter, times itself."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv_transpose2d

from legato.demos.registry import Demo, demo
from legato.picture.page import Grid, page

F, A, B = torch.tensor([[1.0, 2, 1], [3, 6, 2], [1, 2, 1]]), 1.0, 2.0


def stamped(x: Float[Tensor, "h w"], F: Float[Tensor, "k k"], stride: int = 2) -> Float[Tensor, "_h _w"]:
    """Stamp by stamp; nothing cut off at the edge."""
    y = x.new_zeros([(side - 1) * stride + len(F) for side in x.shape])
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            y[i * stride : i * stride + len(F), j * stride : j * stride + len(F)] += x[i, j] * F
    return y


@demo("C20")
def stamps() -> Demo:
    """Transposed convolution as rubber stamps; the chequerboard where stamps overlap unevenly.

    Where the stride does not divide the size they overlap unevenly: the chequerboard of generated pictures.
    Other names: upconvolution, backward strided convolution. In signal processing “deconvolution” is
    something else: see `legato demo deblur`.
    """
    inputs = {"the stamp of a = 1": [[A, 0]], "the stamp of b = 2": [[0, B]], "both: they add up": [[A, B]]}
    outputs = {name: stamped(torch.tensor(x), F) for name, x in inputs.items()}
    both = outputs["both: they add up"]
    torchs = conv_transpose2d(torch.tensor([[[[A, B]]]]), F[None, None], stride=2, padding=1)[0, 0]
    apart = float((both[1:-1, 1:-1] - torchs).abs().max())  # padding 1 cuts off a rim
    counts = {k: stamped(torch.ones(6, 6), torch.ones(k, k)) for k in (3, 4)}
    inner = {k: sorted({int(v) for v in y[k:-k, k:-k].flatten()}) for k, y in counts.items()}
    panels = [
        Grid(F, "the filter F", digits=0),
        *(Grid(y, name, digits=0, marked=[(1, 2)]) for name, y in outputs.items()),
        *(Grid(y, f"{k}×{k} at stride 2: how many stamps", "stamps") for k, y in counts.items()),
    ]
    overlap = f"a F[1][2] + b F[1][0] = {A:g} · {F[1, 2]:g} + {B:g} · {F[1, 0]:g}"
    lines = [
        f"3×3, stride 2, pad 1: where the stamps overlap (framed), {overlap} = {both[1, 2]:g}",
        f"stamp by stamp and `conv_transpose2d` differ by {apart:g}",
        f"stamps that meet at a place inside: {inner[3]} for 3×3 at stride 2, {inner[4]} for 4×4",
    ]
    numbers = {
        "overlap": float(both[1, 2]),
        "apart": apart,
        "uneven": float(len(inner[3])),
        "even": float(len(inner[4])),
    }
    return Demo(page(panels, "Transposed convolution: rubber stamps that add up", 3, height=2.3), lines, numbers)
