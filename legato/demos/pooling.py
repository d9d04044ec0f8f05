"""Pooling (lectures 001 and 004): the printed matrix, its maxima, their gradient, and p-norms up to the maximum."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import max_pool2d

from legato.demos.registry import Demo, demo
from legato.layers.pooling import p_norm
from legato.picture.page import Grid, Lines, Panel, page

PRINTED = torch.tensor([int(d) for d in "220434 005041 452514 521021 233353 030401" if d != " "]).view(6, 6).float()
WINDOWS = {"(4, 5, 5, 2)": [4.0, 5, 5, 2], "(−3, 1, 2, 0)": [-3.0, 1, 2, 0], "(1, 1, 1, 1)": [1.0, 1, 1, 1]}


def pooled(x: Float[Tensor, "h w"]) -> tuple[Float[Tensor, "_h _w"], Float[Tensor, "h w"]]:
    """The maximum of each 2×2 window, and the gradient of their sum: 1 where a maximum stands, else 0."""
    x = x.clone().requires_grad_()
    y = max_pool2d(x[None, None], 2)[0, 0]
    return y.detach(), torch.autograd.grad(y.sum(), x)[0]


@demo("C8 C15 C16")
def pooling() -> Demo:
    """Max pooling of the printed matrix, where its gradient goes, and p-norm pooling.

    Of equal values the first gets the gradient. Pooling keeps that something is there, and forgets where.
    p = 1 adds up magnitudes, p = 2 is the length, p → ∞ the largest magnitude (not the largest value).
    """
    y, gradient = pooled(PRINTED)
    ps = torch.logspace(0, 1.7, 60).double()
    norms = {name: torch.stack([p_norm(ps.new_tensor(w), float(p)) for p in ps]) for name, w in WINDOWS.items()}
    where = [(row, column) for row, column in gradient.nonzero().tolist()]
    panels: list[Panel] = [
        Grid(PRINTED, "the printed matrix, maxima framed", digits=0, marked=where, blocks=2),
        Grid(y, "max pooling, F = 2, S = 2", digits=0),
        Grid(gradient, "gradient of their sum", digits=0, blocks=2),
        Lines({name: (ps, v) for name, v in norms.items()}, "p-norm (Σ|x|ᵖ)^(1/p) of a window", "p", log="x"),
    ]
    lines = [
        f"max pooling of the printed 6×6: {y.int().tolist()}",
        f"its gradient goes to {int(gradient.sum())} of 36 places, one a window",
    ]
    lines += [f"{n:14} p = 1: {v[0]:.3f}  p = {ps[30]:.1f}: {v[30]:.3f}  p = 50: {v[-1]:.3f}" for n, v in norms.items()]
    numbers = {"places": float(gradient.sum())} | {name: float(v[-1]) for name, v in norms.items()}
    return Demo(page(panels, "Pooling", widths=[1.1, 0.7, 1.1, 1.2], side=2.7), lines, numbers)
