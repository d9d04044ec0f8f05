"""Expressions without numbers: built once, simplified, differentiated, and said again in C or in torch.

A `Graph` is a list of instructions, each of which names earlier ones by their index; equal instructions are one. Leaves
are `state i`, `stream (i, block)`, `vector (i, block)`, `constant v` and, for derivatives, `adjoint i`; a `gate` is a
matrix product: its arguments are what it starts from and what it weighs. All values are as wide as the cell.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

Instruction = tuple[str, tuple[int, ...], Any]
LEAVES = ("state", "stream", "vector", "constant", "adjoint")


class Graph:
    def __init__(self, code: Iterable[Instruction] = ()) -> None:
        self.code: list[Instruction] = list(code)
        self.known = {instruction: i for i, instruction in enumerate(self.code)}

    def node(self, op: str, *args: int, value: Any = None) -> int:
        instruction = (op, args, value)
        if instruction not in self.known:
            self.known[instruction] = len(self.code)
            self.code.append(instruction)
        return self.known[instruction]

    def constant(self, value: float) -> int:
        return self.node("constant", value=float(value))

    def is_constant(self, node: int, value: float | None = None) -> bool:
        op, _, found = self.code[node]
        return op == "constant" and (value is None or found == value)

    def add(self, a: int, b: int) -> int:
        if self.is_constant(a, 0):
            return b
        return a if self.is_constant(b, 0) else self.node("add", *sorted((a, b)))

    def mul(self, a: int, b: int) -> int:
        if self.is_constant(a, 0) or self.is_constant(b, 0):
            return self.constant(0)
        if self.is_constant(a, 1):
            return b
        return a if self.is_constant(b, 1) else self.node("mul", *sorted((a, b)))

    def neg(self, a: int) -> int:
        op, args, value = self.code[a]
        if op == "constant":
            return self.constant(-value)
        return args[0] if op == "neg" else self.node("neg", a)

    def sub(self, a: int, b: int) -> int:
        return self.add(a, self.neg(b))

    def div(self, a: int, b: int) -> int:
        if self.is_constant(b):
            return self.mul(a, self.constant(1 / self.code[b][2]))
        return self.mul(a, self.node("reciprocal", b))

    def power(self, a: int, exponent: int) -> int:
        """a to a whole power ≥ 0, by squaring."""
        if exponent == 0:
            return self.constant(1)
        half = self.power(a, exponent // 2)
        return self.mul(self.mul(half, half), a if exponent % 2 else self.constant(1))

    def below(self, nodes: Iterable[int]) -> list[int]:
        """Everything these nodes are computed from, in order, without what lies inside a gate's products."""
        todo, seen = list(nodes), set[int]()
        while todo:
            node = todo.pop()
            if node not in seen:
                seen.add(node)
                op, args, _ = self.code[node]
                todo += () if op == "gate" else args
        return sorted(seen)

    def gradients(self, outputs: Sequence[int], adjoints: Sequence[int], wanted: Sequence[int]) -> list[int]:
        """Σ adjoint · ∂output/∂wanted, with gates as leaves: the chain rule, from the last instruction to the first."""
        sums: dict[int, int] = {}

        def add_to(node: int, gradient: int) -> None:
            sums[node] = self.add(sums[node], gradient) if node in sums else gradient

        for output, adjoint in zip(outputs, adjoints):
            add_to(output, adjoint)
        for node in reversed(self.below(outputs)):
            op, args, _ = self.code[node]
            if node in sums and op in OPS:
                for arg, gradient in zip(args, OPS[op].back(self, sums[node], node, *args)):
                    add_to(arg, gradient)
        return [sums.get(node, self.constant(0)) for node in wanted]


@dataclass(frozen=True)
class Op:
    """A function said three ways: to torch, in C, and as its derivative: (graph, gradient, y, *x) → *dx."""

    torch: Callable[..., Tensor]
    c: str
    back: Callable[..., tuple[int, ...]]


def ratio(graph: Graph, gradient: int, x: int) -> int:
    return graph.mul(gradient, graph.node("reciprocal", x))


OPS = {
    "add": Op(torch.add, "{} + {}", lambda G, d, y, a, b: (d, d)),
    "mul": Op(torch.mul, "{} * {}", lambda G, d, y, a, b: (G.mul(d, b), G.mul(d, a))),
    "neg": Op(torch.neg, "-{}", lambda G, d, y, x: (G.neg(d),)),
    "reciprocal": Op(torch.reciprocal, "1 / {}", lambda G, d, y, x: (G.neg(G.mul(d, G.mul(y, y))),)),
    "sigmoid": Op(torch.sigmoid, "vsigmoid({})", lambda G, d, y, x: (G.mul(d, G.mul(y, G.sub(G.constant(1), y))),)),
    "tanh": Op(torch.tanh, "vtanh({})", lambda G, d, y, x: (G.mul(d, G.sub(G.constant(1), G.mul(y, y))),)),
    "relu": Op(torch.relu, "vrelu({})", lambda G, d, y, x: (G.mul(d, G.node("step", x)),)),
    "step": Op(lambda x: (x > 0).to(x.dtype), "vstep({})", lambda G, d, y, x: ()),
    "exp": Op(torch.exp, "vexp({})", lambda G, d, y, x: (G.mul(d, y),)),
    "log": Op(torch.log, "vlog({})", lambda G, d, y, x: (ratio(G, d, x),)),
    "sqrt": Op(torch.sqrt, "vsqrt({})", lambda G, d, y, x: (ratio(G, G.mul(d, G.constant(0.5)), y),)),
    "sin": Op(torch.sin, "vsin({})", lambda G, d, y, x: (G.mul(d, G.node("cos", x)),)),
    "cos": Op(torch.cos, "vcos({})", lambda G, d, y, x: (G.neg(G.mul(d, G.node("sin", x))),)),
    "abs": Op(torch.abs, "vabs({})", lambda G, d, y, x: (G.mul(d, G.node("sign", x)),)),
    "sign": Op(torch.sign, "vsign({})", lambda G, d, y, x: ()),
    "softplus": Op(softplus, "vsoftplus({})", lambda G, d, y, x: (G.mul(d, G.node("sigmoid", x)),)),
}
