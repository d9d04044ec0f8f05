"""Deep against shallow (lecture 001): a function composed of small ones takes fewer units in a network of its shape.

Mhaskar, Liao & Poggio 2016, "Learning functions: when is deep better than shallow" (arXiv:1603.00988): an error of ε
takes O(ε^(−d/m)) units in one layer and O((d − 1) ε^(−2/m)) in a binary tree; d numbers, m derivatives.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.demos.learning import minimise
from legato.demos.registry import Demo, demo
from legato.picture.graph import Edge, Graph, Node
from legato.picture.page import Lines, page
from legato.picture.style import BLUE, GREY

D, NODES = 8, (4, 2, 1)  # numbers, and the nodes of the tree over them


def composed(x: Float[Tensor, "n d"]) -> Float[Tensor, "n 1"]:
    """h(h(h(x₁, x₂), h(x₃, x₄)), h(h(x₅, x₆), h(x₇, x₈))), h(a, b) = sin 1.3 (a + b)."""
    while x.shape[1] > 1:
        x = (1.3 * (x[:, 0::2] + x[:, 1::2])).sin()
    return x


class Level(nn.Module):
    """n nodes side by side, each: two numbers → `units` tanh units → one number."""

    def __init__(self, n: int, units: int) -> None:
        super().__init__()
        self.W, self.c = nn.Parameter(torch.randn(n, 2, units)), nn.Parameter(torch.randn(n, 1, units))
        self.v = nn.Parameter(torch.randn(n, units, 1) / units**0.5)

    def forward(self, x: Float[Tensor, "b twice_n"]) -> Float[Tensor, "b n"]:
        pairs = x.unflatten(1, (-1, 2)).transpose(0, 1)  # (n, b, 2)
        return ((pairs @ self.W + self.c).tanh() @ self.v)[..., 0].T


def deep(units: int) -> nn.Sequential:
    return nn.Sequential(*(Level(n, units // sum(NODES)) for n in NODES))


def shallow(units: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(D, units), nn.Tanh(), nn.Linear(units, 1))


def error(net: nn.Sequential, x: Float[Tensor, "n d"], new: Float[Tensor, "m d"]) -> float:
    """The share of variance not explained on new points, after learning on x."""
    net, target = net.double(), composed(x)
    minimise(lambda: (net(x) - target).square().mean(), net.parameters(), steps=200)
    return float((net(new) - composed(new)).square().mean().detach() / composed(new).var())


def tree() -> Graph:
    edges = [Edge(f"{k} {i}", f"{k + 1} {i // 2}") for k in range(3) for i in range(8 >> k)]
    places = {f"{k} {i}": (k, -(i + 0.5) * 2**k) for k in range(4) for i in range(8 >> k)}
    nodes = {n: Node(at, "h" if at[0] else "x", "", BLUE if at[0] else GREY) for n, at in places.items()}
    return Graph(nodes, edges, "the function, and the deep network", radius=8)


@demo("F11")
def depth() -> Demo:
    """Deep against shallow: the error of a composed function by the number of units.

    The deep network has the shape of the function; the shallow one must learn all pairs of pairs at once.
    For an error of ε the theorem asks ε^(−d/m) units of one layer, and (d − 1) ε^(−2/m) of the tree.
    """
    x, new = (2 * torch.rand(n, D).double() - 1 for n in (1000, 4000))
    sizes = [14, 28, 56]
    errors = {kind.__name__: [error(kind(n), x, new) for n in sizes] for kind in (shallow, deep)}
    counts = {kind.__name__: [sum(p.numel() for p in kind(n).parameters()) for n in sizes] for kind in (shallow, deep)}
    by_units = Lines({n: (sizes, e) for n, e in errors.items()}, "units", "units", "not explained", log="y")
    by_weights = Lines({n: (counts[n], e) for n, e in errors.items()}, "weights", "weights", "not explained", log="xy")
    drawn = page([tree(), by_units, by_weights], "Deep networks take fewer units than shallow ones", height=3)
    lines = [f"{name:8} {n:3} units: {e:.4f} not explained" for name, es in errors.items() for n, e in zip(sizes, es)]
    return Demo(drawn, lines, {f"{name} {n}": e for name, es in errors.items() for n, e in zip(sizes, es)})
