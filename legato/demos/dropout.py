"""Dropout as an ensemble of 2ⁿ networks (lecture 001; Baldi & Sadowski 2014), and the slide's two p's (erratum E3)."""

from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from legato.demos.registry import Demo, demo
from legato.picture.page import Lines, page

N = 10  # units that may be dropped
MASKS = torch.tensor(list(product((0.0, 1.0), repeat=N))).double()  # δ of all 2ⁿ sub-networks


def probability(keep: Float[Tensor, "k"]) -> Float[Tensor, "k m"]:
    """Of each mask, when every unit is kept with such a probability."""
    return (keep[:, None, None] ** MASKS * (1 - keep[:, None, None]) ** (1 - MASKS)).prod(-1)


def geometric(P: Float[Tensor, "k m"], outputs: Float[Tensor, "m"]) -> Float[Tensor, "k"]:
    """The normalised weighted geometric mean G / (G + G′) of the outputs, which are probabilities."""
    G, G_not = (P @ outputs.log()).exp(), (P @ (1 - outputs).log()).exp()
    return G / (G + G_not)


@demo("N11 E3")
def dropout() -> Demo:
    """Dropout: all 1,024 sub-networks, their mean, and the one network that stands for them.

    So one network with scaled weights stands for all 1,024, which share their weights.
    The slide omits with p and scales by p; the two agree at ½ alone. `nn.Dropout(p)` omits with p, and scales
    in training by 1 / (1 − p) instead.
    """
    w, x, p = torch.randn(N).double(), torch.rand(N).double() + 0.5, torch.arange(1, 20).double() / 20
    w = w * (w @ x).sign()  # so that the whole network's output is above zero
    s, whole, P = (MASKS * w * x).sum(1), w @ x, probability(p)
    linear = {"mean of sub-networks": P @ s, "scaled by p kept": p * whole, "scaled by p omitted": (1 - p) * whole}
    scaled = (p * whole).sigmoid()
    logistic = {"mean": P @ s.sigmoid(), "geometric mean": geometric(P, s.sigmoid()), "σ(p w · x)": scaled}
    counts = torch.histc(s, 32)
    spread = {"sub-networks": (torch.linspace(float(s.min()), float(s.max()), 32), counts)}
    spread["w · x / 2"] = (whole.expand(2) / 2, torch.stack([0 * whole, counts.max()]))
    numbers = {
        "linear": float((P @ s - p * whole).abs().max()),
        "geometric": float((logistic["geometric mean"] - scaled).abs().max()),
        "plain": float((logistic["mean"] - scaled).abs().max()),
    }
    kept, room = "kept with probability p", 1.4 * float(counts.max())
    panels = [
        Lines(spread, "1,024 linear sub-networks, p = ½", "w · (δ x)", "how many", within=(0, room)),
        Lines({name: (p, v) for name, v in logistic.items()}, "a logistic unit", kept),
        Lines({n: (p, v) for n, v in linear.items()}, "erratum: which p?", kept, within=(0, 1.5 * float(whole))),
    ]
    quarter = [float(values[4]) for values in linear.values()]
    lines = [
        f"linear unit: mean of 2^{N} sub-networks and p w · x differ by {numbers['linear']:.0e}: scaling is exact",
        f"logistic unit: the normalised geometric mean is σ(p w · x) to {numbers['geometric']:.0e}",
        f"               the plain mean is near, within {numbers['plain']:.3f}",
        f"¼ kept: mean {quarter[0]:.3f}; scaled by ¼ {quarter[1]:.3f}, by the ¾ omitted {quarter[2]:.3f}",
    ]
    return Demo(page(panels, "Dropout is an ensemble"), lines, numbers)
