"""Maxout (lecture 004; Goodfellow et al. 2013, arXiv:1302.4389): the largest of several linear units bends."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.demos.registry import Demo, demo
from legato.layers import Maxout
from legato.picture.page import Lines, page

PATCH, FILTER = torch.tensor([4.0, 5, 6]), torch.tensor([1.0, 2, 3])  # as printed


def tangents(pieces: int) -> nn.Sequential:
    """The largest of the tangents y = 2tx − t² to x², at points t between −1 and 1."""
    t = torch.linspace(-1, 1, pieces + 2).double()[1:-1]
    layer = nn.Linear(1, pieces).double()
    layer.weight.data, layer.bias.data = (2 * t)[:, None], -(t**2)
    return nn.Sequential(layer, Maxout(pieces))


def chosen(values: Float[Tensor, "k"]) -> list[float]:
    """The gradient of the maximum by each of its arguments."""
    values = values.clone().requires_grad_()
    return torch.autograd.grad(Maxout(len(values))(values[None]).sum(), values)[0].tolist()


@demo("C15")
@torch.no_grad()
def maxout() -> Demo:
    """Maxout: the printed patch, a parabola from straight pieces, and who gets the gradient.

    One maxout unit is any convex function; the difference of two is any continuous one (section 4 of the paper).
    """
    x = torch.linspace(-1, 1, 801).double()
    fits = {k: tangents(k)(x[:, None])[:, 0] for k in (1, 2, 3, 6, 12, 24)}
    errors = {k: float((x**2 - y).max()) for k, y in fits.items()}
    three = tangents(3)[0](x[:, None]).T
    panels = [
        Lines({"x²": (x, x**2)} | {f"{k} pieces": (x, fits[k]) for k in (2, 3, 6)}, "the largest of k lines", "x"),
        Lines({f"piece {i + 1}": (x, y) for i, y in enumerate(three)}, "three pieces", "x", within=(-1.2, 1.8)),
        Lines({f"_{i}": (x, (three.argmax(0) == i).double()) for i in range(3)}, "gradient that each gets", "x"),
        Lines({"": ([*errors], [*errors.values()])}, "largest error for x²", "pieces k", log="xy"),
    ]
    with torch.enable_grad():
        gradients = {str(v): chosen(torch.tensor(v)) for v in ([4.0, 5, 6], [6.0, 6, 4])}
    lines = [
        f"the printed patch (4, 5, 6): a filter (1, 2, 3) gives {PATCH @ FILTER:.0f}, the maximum {PATCH.max():.0f}"
    ]
    lines += [f"gradient of the maximum of {values}: {gradient}" for values, gradient in gradients.items()]
    lines += [f"x² by {k:2} pieces: largest error {e:.4f}" for k, e in errors.items()]
    numbers = {"filter": float(PATCH @ FILTER), "maximum": float(PATCH.max())} | {str(k): e for k, e in errors.items()}
    return Demo(page(panels, "Maxout learns its own activation", side=2.6), lines, numbers)
