"""Backpropagation on a computation graph (lecture 003): each operation knows its own derivatives alone."""

from math import exp

from legato.demos.registry import Demo, demo
from legato.picture.graph import Edge, Graph, Node, by_depth
from legato.picture.page import page
from legato.picture.style import BLUE, GREY


class Value:
    """A number, the numbers it was made of, and its derivative by each of them."""

    def __init__(self, data: float, name: str, *parents: "tuple[Value, float]") -> None:
        self.data, self.name, self.parents, self.grad = data, name, parents, 0.0

    def __add__(self, other: "Value") -> "Value":
        return Value(self.data + other.data, "+", (self, 1.0), (other, 1.0))

    def __mul__(self, other: "Value") -> "Value":
        return Value(self.data * other.data, "×", (self, other.data), (other, self.data))

    def logistic(self) -> "Value":
        s = 1 / (1 + exp(-self.data))
        return Value(s, "σ", (self, s * (1 - s)))

    def order(self) -> "list[Value]":
        """All values behind this one, each after those it was made of, and itself."""
        behind = [value for parent, _ in self.parents for value in parent.order()]
        return list(dict.fromkeys([*behind, self]))

    def backward(self) -> None:
        """∂z/∂x = Σ ∂z/∂y · ∂y/∂x over all y made of x, from the end to the beginning."""
        self.grad = 1.0
        for y in reversed(self.order()):
            for x, dy_dx in y.parents:
                x.grad += y.grad * dy_dx


def drawn(z: Value, title: str) -> Graph:
    """On each edge: the value on its way forwards, above; what it adds to its source's gradient, below."""
    names = {value: str(i) for i, value in enumerate(z.order())}
    edges = [Edge(names[x], names[y], f"{x.data:.2f}", f"{y.grad * d:.2f}") for y in names for x, d in y.parents]
    at = by_depth(edges)
    nodes = {i: Node(at[i], v.name, colour=BLUE if v.parents else GREY) for v, i in names.items()}
    nodes[names[z]] = nodes[names[z]]._replace(note=f"{z.data:.2f}, grad 1")
    return Graph(nodes, edges, title)


@demo("F8 F9")
def backprop() -> Demo:
    """Backpropagation on computation graphs, values on their edges: z = (x²)², and a neuron.

    Each edge: above, what flows forwards; below, what comes back: what came to its end × the local derivative.
    Where a value is used twice, as x in x · x, what comes back is added up.
    What several gradients share is computed once: that is all of backpropagation.
    """
    x = Value(1.5, "x")
    y = x * x
    z = y * y
    w1, x1, w2, x2, b = (Value(v, name) for v, name in ((2, "w₁"), (-1, "x₁"), (-3, "w₂"), (-2, "x₂"), (-3, "b")))
    neuron = (w1 * x1 + w2 * x2 + b).logistic()
    z.backward()
    neuron.backward()
    lines = [f"z = y², y = x² at x = {x.data}: dz/dx = {x.grad}, and by the formula 4x³ = {4 * x.data**3}"]
    lines += [f"∂σ/∂{v.name} = {v.grad:+.4f}" for v in (w1, x1, w2, x2, b)]
    panels = [drawn(z, "y = x · x, z = y · y"), drawn(neuron, "a neuron: σ(w₁x₁ + w₂x₂ + b)")]
    title = "Backpropagation: values forwards (blue), gradients backwards (red)"
    numbers = {v.name: v.grad for v in (x, w1, x1, w2, x2, b)}
    return Demo(page(panels, title, widths=[1, 2.2], height=3), lines, numbers)
