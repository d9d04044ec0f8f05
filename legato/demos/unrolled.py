"""A recurrent network's graph, unrolled (lectures 003 and 004): one W in every step, so its gradient is a sum."""

import torch
from jaxtyping import Float
from torch import Tensor

from legato.demos.registry import Demo, demo
from legato.picture.graph import Edge, Graph, Node
from legato.picture.page import page
from legato.picture.style import BLUE, ORANGE

WORDS, DIGITS = ("They", "light", "the", "fire"), "₀₁₂₃₄"


def loss(Ws: list[Tensor], xs: Float[Tensor, "t n"], every: bool) -> Tensor:
    """h_t = tanh(W_t (h_{t−1}; x_t)); the sum of the last h, or of every one."""
    h, total = torch.zeros_like(xs[0]), xs.new_zeros(())
    for W, x in zip(Ws, xs):
        h = (W @ torch.cat([h, x])).tanh()
        total = total + h.sum() if every else h.sum()
    return total


def gradients(W: Float[Tensor, "n m"], xs: Float[Tensor, "t n"], every: bool) -> list[Float[Tensor, "n m"]]:
    """G_t = ∂L/∂W_t: each use of W for itself."""
    Ws = [W.clone().requires_grad_() for _ in xs]
    return list(torch.autograd.grad(loss(Ws, xs, every), Ws))


def drawn(Gs: list[Tensor], every: bool) -> Graph:
    """W above, an edge to each step; h from left to right; words come in, losses go out below."""
    nodes = {"W": Node((3.5, 1.6), "W", colour=ORANGE), "h0": Node((0.2, 0), "h₀")}
    edges = []
    for t, (word, G) in enumerate(zip(WORDS, Gs), 1):
        x, h, y = f"x{t}", f"h{t}", f"y{t}"
        nodes |= {h: Node((1.4 * t, 0), "h" + DIGITS[t], colour=BLUE), x: Node((1.4 * t - 0.4, -1), word)}
        edges += [Edge(f"h{t - 1}", h), Edge(x, h), Edge("W", h, below=f"{G.norm():.2f}", colour=ORANGE, along=0.6)]
        if every or t == len(WORDS):
            nodes[y] = Node((1.4 * t + 0.4, -1), "L" + DIGITS[t])
            edges.append(Edge(h, y))
    return Graph(nodes, edges, "many to many" if every else "many to one")


@demo("R4")
def unrolled() -> Demo:
    """Recurrent networks unrolled: many to one and many to many, one W shared by all steps.

    32 weights, however long the sentence. W ← W − α (G₁ + … + G₄): backpropagation through time.
    What lies far back has its say only through every tanh since.
    """
    W, xs = 0.5 * torch.randn(4, 8).double(), torch.randn(len(WORDS), 4).double()
    panels, lines, numbers = [], [], {}
    for every in (False, True):
        Gs, shared = gradients(W, xs, every), W.clone().requires_grad_()
        (whole,) = torch.autograd.grad(loss([shared] * len(WORDS), xs, every), shared)
        panels.append(drawn(Gs, every))
        name = panels[-1].title
        numbers[name] = float((whole - torch.stack(Gs).sum(0)).abs().max())
        norms = "  ".join(f"‖G{DIGITS[t]}‖ = {G.norm():.2f}" for t, G in enumerate(Gs, 1))
        lines += [f"{name:13} {norms}; their sum is the gradient of W to {numbers[name]:.0e}"]
    title = "One W in every step (orange), and ‖∂L/∂W‖ of each use (red)"
    return Demo(page(panels, title, side=4.2, height=3.1), lines, numbers)
