"""Deep against shallow, without learning (lecture 001): each layer folds what came before (Telgarsky 2015).

"Representation benefits of deep feedforward networks", arXiv:1509.08101: k layers of two ReLU units make 2^k straight
pieces; one layer makes a piece more for each unit.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from legato.demos.registry import Demo, demo
from legato.picture.page import Lines, page

X = torch.linspace(0, 1, 1025).double()  # so that bends after up to nine folds are among the points


def folded(x: Float[Tensor, "n"], layers: int) -> Float[Tensor, "n"]:
    """x ↦ 2 relu(x) − 4 relu(x − ½), again and again: two units a layer."""
    for _ in range(layers):
        x = 2 * x.relu() - 4 * (x - 0.5).relu()
    return x


def pieces(y: Float[Tensor, "n"]) -> int:
    """Of how many straight lines the graph of equally spaced values is made."""
    return 1 + int((y.diff().diff().abs() > 1e-9).sum())


@demo("F11")
def folding() -> Demo:
    """Depth folds: 2k units in k layers do what takes 2^k units in one.

    A layer 2 relu(x) − 4 relu(x − ½) lays [0, 1] over itself; the next folds both halves at once.
    One layer of ReLU units bends once a unit, so that it needs a unit for each piece.
    """
    folds = range(1, 9)
    deep, shallow = [2 * k for k in folds], [pieces(folded(X, k)) for k in folds]
    panels = [
        *(Lines({"": (X, folded(X, k))}, f"{k} layers of two units" if k > 1 else "one layer", "x") for k in (1, 2, 4)),
        Lines({"one layer": (folds, shallow), "k layers": (folds, deep)}, "units it takes", "folds k", log="y"),
    ]
    lines = [
        f"{k} folds: {n:3} pieces: {d:2} units in {k} layers, {n:3} in one" for k, n, d in zip(folds, shallow, deep)
    ]
    numbers = {str(k): float(n) for k, n in zip(folds, shallow)}
    return Demo(page(panels, "Each layer folds what came before", side=2.7), lines, numbers)
