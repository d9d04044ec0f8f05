"""A linear predictor three times (lecture 003): as a network, as a matrix, in index notation."""

import torch
from jaxtyping import Float
from torch import Tensor

from legato.demos.registry import Demo, demo
from legato.picture.graph import Edge, Graph, Node, columns
from legato.picture.page import Grid, Panel, page
from legato.picture.style import BLUE

INPUTS, OUTPUTS = ("x₁", "x₂", "x₃"), ("ŷ₁", "ŷ₂")


def network_of(W: Float[Tensor, "m n"]) -> list[Edge]:
    """From matrix to network: an edge for each weight."""
    places = [(i, j) for i in range(len(OUTPUTS)) for j in range(len(INPUTS))]
    return [Edge(INPUTS[j], OUTPUTS[i], f"{W[i, j]:+.2f}", along=0.28 + 0.12 * i) for i, j in places]


def as_network(edges: list[Edge], x: dict[str, float]) -> dict[str, float]:
    """Each output adds up what arrives over its edges."""
    y = dict.fromkeys(OUTPUTS, 0.0)
    for edge in edges:
        y[edge.target] += float(edge.above) * x[edge.source]
    return y


def as_indices(W: Float[Tensor, "m n"], x: Float[Tensor, "n"]) -> list[float]:
    """ŷ_i = Σ_j w_ij x_j."""
    return [sum(float(W[i, j] * x[j]) for j in range(len(x))) for i in range(len(W))]


@demo("F3")
def predictor() -> Demo:
    """A linear predictor as network, matrix and index notation; bias in W or explicit.

    3 · 2 parameters. Indices: ŷ_i = Σ_j w_ij x_j.
    The bias b is the column of W that meets x₁ = 1: one may write W x, or W x + b.
    """
    W, x = torch.randn(2, 3).double().mul(100).round() / 100, torch.tensor([1.0, 2.0, -1.5]).double()
    edges = network_of(W)
    y = as_network(edges, dict(zip(INPUTS, x.tolist())))
    ways = {
        "matrix": (W @ x).tolist(),
        "network": list(y.values()),
        "indices": as_indices(W, x),
        "explicit bias": (W[:, 1:] @ x[1:] + W[:, 0]).tolist(),
    }
    apart = {name: max(abs(a - b) for a, b in zip(found, ways["matrix"])) for name, found in ways.items()}
    notes = {name: f"{value:g}" for name, value in zip(INPUTS, x.tolist())} | {n: f"{v:.3f}" for n, v in y.items()}
    nodes = {name: Node(at, name, notes[name], BLUE) for name, at in columns([INPUTS, OUTPUTS], 2.0).items()}
    matrix = Grid(W, "matrix: ŷ = W x", signed=True, digits=2, rows=OUTPUTS, columns=["x₁ = 1", "x₂", "x₃"])
    vectors = [Grid(v[:, None], name, signed=True, digits=2) for name, v in (("x", x), ("ŷ", W @ x))]
    lines = [f"{name:14} ŷ = ({a:.4f}, {b:.4f}), {apart[name]:.0e} from the matrix's" for name, (a, b) in ways.items()]
    panels: list[Panel] = [Graph(nodes, edges, "network"), matrix, *vectors]
    drawn = page(panels, "One linear predictor, three notations", widths=[1.6, 1.3, 0.5, 0.5], side=2.4)
    return Demo(drawn, lines, apart)
