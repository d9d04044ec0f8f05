"""Projections (lecture 004): y = Vᵀ Wᵀ x = (W V)ᵀ x, two linear layers are one; a non-linearity prevents it.

W goes to the directions of largest spread (PCA), V from there to those that part the classes best (Fisher 1936); the
pair is called "Fisherfaces" (Belhumeur, Hespanha & Kriegman 1997).
"""

import scipy.linalg
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from legato.demos.registry import Demo, demo
from legato.picture.page import Lines, page


def principal(x: Float[Tensor, "n d"], k: int) -> Float[Tensor, "d k"]:
    """The k directions of largest variance, each divided by its deviation; x has mean 0."""
    _, s, vh = torch.linalg.svd(x, full_matrices=False)
    return vh[:k].T / (s[:k] / len(x) ** 0.5)


def fisher(x: Float[Tensor, "n d"], y: Int[Tensor, "n"], k: int) -> Float[Tensor, "d k"]:
    """The k largest solutions v of S_between v = λ S_within v: class means far apart, classes narrow."""
    means = torch.stack([x[y == c].mean(0) for c in range(int(y.max()) + 1)])
    within = (x - means[y]).T @ (x - means[y])
    between = (means[y] - x.mean(0)).T @ (means[y] - x.mean(0))
    return torch.from_numpy(scipy.linalg.eigh(between.numpy(), within.numpy())[1]).flip(1)[:, :k]


def unexplained(x: Float[Tensor, "n d"], y: Float[Tensor, "n k"]) -> float:
    """The share of y's variance that the best single linear layer leaves."""
    ones = pad(x, (0, 1), value=1.0)
    left = ones @ torch.linalg.lstsq(ones, y).solution - y
    return float(left.square().sum() / (y - y.mean(0)).square().sum())


@demo("F13")
def projections() -> Demo:
    """Linear layers merge, non-linear ones do not; projections by PCA and Fisher's LDA.

    W: the directions of largest spread, without a look at classes. V: those that part the classes.
    Layers transform features; what keeps them from melting into one is the non-linearity.
    `legato.layers.fold_linear` merges them in a network, and refuses where something stands between.
    """
    from sklearn.datasets import load_wine

    data, target = load_wine(return_X_y=True)
    x, y = torch.from_numpy(data).double(), torch.from_numpy(target).long()
    x = (x - x.mean(0)) / x.std(0, correction=0)
    W = principal(x, 8)
    V = fisher(x @ W, y, 2)
    two_layers, one_layer, bent = (x @ W) @ V, x @ (W @ V), (x @ W).relu() @ V
    apart = float((two_layers - one_layer).abs().max())
    left = {"linear": unexplained(x, two_layers), "relu": unexplained(x, bent)}
    shown = {
        "two measurements": x[:, :2],
        "Wᵀx: PCA": (x @ W)[:, :2],
        "Vᵀ Wᵀ x: Fisher": two_layers,
        "Vᵀ relu(Wᵀx)": bent,
    }
    panels = [Lines({}, n, dots={f"wine {c + 1}": tuple(p[y == c].T) for c in range(3)}) for n, p in shown.items()]
    lines = [f"178 wines, 13 measurements → 8 → 2: Vᵀ(Wᵀx) and (WV)ᵀx differ by at most {apart:.0e}"]
    lines += [
        f"unexplained by the best single layer: {left['linear']:.0e}; with relu between the two: {left['relu']:.1%}"
    ]
    drawn = page(panels, "Two projections of wine, one after the other", 2, height=2.4)
    return Demo(drawn, lines, {"apart": apart, **left})
