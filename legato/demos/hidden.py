"""A hidden layer is a learnt φ (lecture 003): what no line parts in x, a line parts in v = tanh(W x + b)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from legato.demos.learning import decay, minimise, share
from legato.demos.registry import Demo, demo
from legato.picture.graph import Edge, Graph, Node, columns
from legato.picture.page import Field, Panel, page
from legato.picture.style import BLUE

CORNERS = torch.tensor([[-1.0, -1], [-1, 1], [1, -1], [1, 1]]).double()
LAYERS = (("x₁", "x₂"), ("v₁", "v₂"), ("ŷ",))


def learnt(x: Float[Tensor, "n 2"], y: Float[Tensor, "n"], starts: int = 8) -> nn.Sequential:
    """2 → 2 → 1 units; with so few, some starts end in poor minima, so the best of several."""
    nets = [nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1)).double() for _ in range(starts)]

    def loss(net: nn.Sequential) -> Tensor:
        return binary_cross_entropy_with_logits(net(x)[:, 0], y) + 2e-3 * decay(net)

    losses = [minimise(lambda net=net: loss(net), net.parameters()) for net in nets]  # type: ignore[misc]
    return nets[losses.index(min(losses))]


@demo("F5")
def hidden() -> Demo:
    """A hidden layer is a learnt φ(x): exclusive or becomes a matter of a line.

    x (2) → v (2) → ŷ (1): all but the last layer is φ(x); the last is a linear predictor.
    """
    x = CORNERS.repeat(40, 1) + 0.25 * torch.randn(160, 2).double()
    y, axis = (x[:, 0] * x[:, 1] < 0).double(), torch.linspace(-1.1, 1.1, 121).double()
    net, plane = learnt(x, y), torch.cartesian_prod(axis, axis).flip(1)
    with torch.no_grad():
        in_x, in_v = (score.view(121, 121).tanh() for score in (net(2 / 1.1 * plane), net[2](plane)))
        spaces = {"x": (x, in_x, 2.0, "no line parts them"), "v": (net[:2](x), in_v, 1.1, "a line does")}
        w = torch.linalg.lstsq(pad(x, (0, 1), value=1.0), 2 * y[:, None] - 1).solution
        right = {
            "line": share((pad(x, (0, 1), value=1.0) @ w > 0)[:, 0] == y),
            "hidden": share((net(x)[:, 0] > 0) == y),
        }
    edges = []
    for matrix, sources, targets in zip((p for p in net.parameters() if p.dim() == 2), LAYERS, LAYERS[1:]):
        for target, row in zip(targets, matrix):
            edges += [Edge(source, target, f"{weight:.1f}", along=0.3) for source, weight in zip(sources, row)]
    nodes = {name: Node(at, name, colour=BLUE) for name, at in columns(LAYERS, 1.5).items()}
    fields = [
        Field(score, (-m, m, -m, m), f"as {name}: {words}", f"{name}₁", f"{name}₂", signed=True,
              dots={f"y = {c}": tuple(points[y == c].T) for c in (1, 0)})
        for name, (points, score, m, words) in spaces.items()
    ]  # fmt: skip
    lines = [f"the best line in x (least squares): {right['line']:.1%} right"]
    lines += [f"a line in v = tanh(W x + b), the hidden layer: {right['hidden']:.1%} right"]
    panels: list[Panel] = [Graph(nodes, edges, "the network, its weights"), *fields]
    return Demo(page(panels, "Exclusive or: the hidden layer is a learnt φ(x)"), lines, right)
