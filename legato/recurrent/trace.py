"""A cell's own forward, read on symbols: one definition, two readings.

The state is given as `Symbol`s, tensors without numbers; x is given as it is, all its steps at once. So what depends on
x alone is simply computed, for the whole sequence, as one matrix product; what meets a symbol is written down in a
`Graph`. Nothing has to be hoisted out of time: it never was inside.
"""

import linecache
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

from legato.errors import LegatoError, UsageError
from legato.recurrent.cells import Cell
from legato.recurrent.graph import Graph

Linear = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class Untraceable(LegatoError):
    """This cell cannot be read on symbols; the message names the line, and what to write instead."""


class Symbol(Tensor):
    """(rows, n·k): k expressions side by side."""

    nodes: tuple[int, ...]

    @staticmethod
    def __new__(cls, nodes: Sequence[int], rows: int, width: int, like: Tensor) -> "Symbol":
        size = (rows, width * len(nodes))
        symbol: Symbol = Tensor._make_wrapper_subclass(cls, size, dtype=like.dtype, device=like.device)
        symbol.nodes = tuple(nodes)
        return symbol

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]  # a symbol has no numbers to print
        return f"Symbol{self.nodes}"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        raise Untraceable(f"{func} needs numbers")


class Reading(TorchFunctionMode):
    """What a cell says of one step: a graph, its outputs, and the tensors the graph's leaves stand for.

    streams (rows, n·k): computed from x alone; vectors (n·k): parameters; weights (n·k, n): what multiplies a state.
    """

    def __init__(self, cell: Cell, x: Tensor | None, linear: Linear = linear) -> None:
        super().__init__()
        self.cell, self.width, self.linear = cell, cell.width, linear
        self.graph = Graph()
        self.streams: list[Tensor] = []
        self.vectors: list[Tensor] = []
        self.weights: list[Tensor] = []
        self.seen: dict[tuple[Any, ...], Any] = {}  # tensors by identity; they are kept, so identities stay theirs
        self.like = next(cell.parameters(), torch.empty(0)) if x is None else x
        self.rows = 1 if x is None else len(x)
        state = tuple(self.symbol([self.graph.node("state", value=i)]) for i in range(cell.memories))
        if x is None:  # x, too, is only known in its time
            x = self.symbol([self.graph.node("state", value=cell.memories)])
        try:
            with self:
                outputs = cell(x, state)
        except (AttributeError, NameError, TypeError, ValueError) as error:
            raise mistake(cell, error) from error
        must_be_state(cell, outputs)
        self.outputs = tuple(self.one(output) for output in outputs)

    @property
    def key(self) -> tuple[Any, ...]:
        """Readings with the same key differ only in numbers: one program serves them all."""
        return (*self.graph.code, self.outputs)

    def symbol(self, nodes: Sequence[int]) -> Symbol:
        return Symbol(nodes, self.rows, self.width, self.like)

    def one(self, output: Any) -> int:
        blocks = self.blocks(output)
        if len(blocks) != 1:
            raise self.complaint(f"a state must be {self.width} wide, this one is {output.shape[-1]}")
        return blocks[0]

    # torch calls this instead of its functions while the cell's forward runs
    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not any(isinstance(a, Symbol) for a in flat((*args, *kwargs.values()))):
            return self.product(*args, **kwargs) if func is linear else func(*args, **kwargs)
        name = func.__name__.strip("_")
        if name in ASKS or (name == "get" and func.__self__.__name__ in ASKS):
            return func(*args, **kwargs)
        if name not in READ:
            raise self.complaint(f"{name}() mixes or needs numbers of the state; {ADVICE}")
        try:
            return READ[name](self, *args, **kwargs)
        except TypeError:
            raise self.complaint(f"{name}() with these arguments is not read; {ADVICE}") from None

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """W x + b of an x that is known; asked twice (Runge and Kutta ask four times), computed once."""
        key = ("product", id(x), id(weight), id(bias))
        if key not in self.seen:
            self.seen[key] = self.linear(x, weight, bias), x, weight, bias
        return self.seen[key][0]

    def blocks(self, value: Any) -> tuple[int, ...]:
        """The nodes of anything that meets a symbol: numbers, (n·k,) vectors, (rows, n·k) streams."""
        if isinstance(value, Symbol):
            return value.nodes
        if isinstance(value, int | float):
            return (self.graph.constant(value),)
        key = ("leaf", id(value))
        if key not in self.seen:
            self.seen[key] = self.leaf(value), value
        return self.seen[key][0]

    def leaf(self, value: Tensor) -> tuple[int, ...]:
        if value.ndim == 2 and len(value) == self.rows and value.shape[1] % self.width == 0:
            kind, found = "stream", self.streams
        elif value.ndim <= 1 or (value.ndim == 2 and len(value) == 1):
            kind, found = "vector", self.vectors
            value = value.reshape(-1).expand(self.width) if value.numel() == 1 else value.reshape(-1)
        else:
            raise self.complaint(f"a tensor of {tuple(value.shape)} meets the state; (n,) and what is made of x may")
        if value.shape[-1] % self.width:
            raise self.complaint(f"what meets the state must be {self.width} wide, or a multiple: {tuple(value.shape)}")
        found.append(value)
        return tuple(self.graph.node(kind, value=(len(found) - 1, k)) for k in range(value.shape[-1] // self.width))

    def pointwise(self, op: Callable[..., int], *values: Any) -> Symbol:
        """An operation, block by block."""
        all_blocks = [self.blocks(value) for value in values]
        count = max(map(len, all_blocks))
        if any(len(b) not in (1, count) for b in all_blocks):
            raise self.complaint("what meets has different widths")
        return self.symbol([op(*(b[k % len(b)] for b in all_blocks)) for k in range(count)])

    def gates(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Symbol:
        """W (h; x; …) + b: W's columns for x are done with, W's columns for the state are left to the program."""
        parts = self.seen.get(("cat", id(x)), ((x,), None))[0]
        start, terms = self.started(parts, weight, bias), []
        for part, columns in zip(parts, self.columns(weight, [p.shape[-1] for p in parts])):
            if isinstance(part, Symbol):
                squares = self.columns(columns, [self.width] * len(part.nodes))
                terms += [(node, self.weight(square)) for node, square in zip(part.nodes, squares)]
        count = len(weight) // self.width
        sources = [node for node, _ in terms]
        return self.symbol(
            [
                self.graph.node("gate", start[k % len(start)], *sources, value=tuple((w, k) for _, w in terms))
                for k in range(count)
            ]
        )

    def started(self, parts: Sequence[Tensor], weight: Tensor, bias: Tensor | None) -> tuple[int, ...]:
        """What the product with the state is added to: the parts that are known, weighed, and the bias."""
        if weight.shape[0] % self.width:
            raise self.complaint(f"a matrix that sees the state must answer a multiple of {self.width} numbers")
        total: Tensor | None = None
        for part, columns in zip(parts, self.columns(weight, [p.shape[-1] for p in parts])):
            if not isinstance(part, Symbol):
                weighed = self.product(part, columns, bias if total is None else None)
                total = weighed if total is None else total + weighed
        if total is None:
            return (self.graph.constant(0),) if bias is None else self.blocks(bias)
        return self.blocks(total)

    def columns(self, weight: Tensor, widths: list[int]) -> tuple[Tensor, ...]:
        if sum(widths) != weight.shape[1]:
            raise self.complaint(f"a matrix of {weight.shape[1]} columns sees {sum(widths)} numbers")
        key = ("columns", id(weight), *widths)
        if key not in self.seen:
            self.seen[key] = (weight.split(widths, dim=1) if len(widths) > 1 else (weight,)), weight
        return self.seen[key][0]

    def weight(self, square: Tensor) -> int:
        key = ("weight", id(square))
        if key not in self.seen:
            self.weights.append(square)
            self.seen[key] = len(self.weights) - 1
        return self.seen[key]

    def complaint(self, what: str) -> Untraceable:
        """The error that names the line of the user's file in which forward stands now."""
        file, frame = sys.modules[type(self.cell).__module__].__file__, sys._getframe()
        while frame.f_back is not None and frame.f_code.co_filename != file:
            frame = frame.f_back
        name = type(self.cell).__name__
        if frame.f_code.co_filename != file:
            return Untraceable(f"{name}: {what}")
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        return Untraceable(f"{name}, line {frame.f_lineno}, `{line}`: {what}")


def must_be_state(cell: Cell, outputs: Any) -> None:
    """Raises UsageError for what no reading of the cell can carry on, not even the slow one."""
    name = type(cell).__name__
    if not isinstance(outputs, tuple | list):
        raise UsageError(f"{name}: forward gives no tuple; the state is one, even of one tensor: return (h,)")
    if len(outputs) != cell.memories:
        raise UsageError(f"{name} gives {len(outputs)} tensors, its state has {cell.memories}: set `memories`")


def mistake(cell: Cell, error: Exception) -> Exception:
    """What is wrong in a cell's own forward, with its line; an error from elsewhere as it is."""
    file = sys.modules[type(cell).__module__].__file__
    at = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    if not at:
        return error
    return UsageError(f"{file}:{at[-1].lineno}, `{at[-1].line}`: {type(error).__name__}: {error}")


def flat(values: Sequence[Any]) -> list[Any]:
    return [w for v in values for w in (v if isinstance(v, tuple | list) else (v,))]


# how torch's functions are read; whatever is not here, the reference still runs


def cat(r: Reading, parts: Sequence[Tensor], dim: int = 0) -> Symbol:
    """Of symbols: their blocks. Of symbols and what is known: nothing but something for a matrix to see."""
    if dim not in (-1, 1):
        raise TypeError
    if all(isinstance(p, Symbol) for p in parts):
        return r.symbol([node for p in parts for node in p.nodes])  # type: ignore[attr-defined]
    result = r.symbol(())
    r.seen["cat", id(result)] = tuple(parts), result
    return result


def chunk(r: Reading, x: Symbol, chunks: int, dim: int = 0) -> tuple[Symbol, ...]:
    if dim not in (-1, 1) or len(x.nodes) % chunks:
        raise TypeError
    size = len(x.nodes) // chunks
    return tuple(r.symbol(x.nodes[k : k + size]) for k in range(0, len(x.nodes), size))


def split(r: Reading, x: Symbol, sizes: int | Sequence[int], dim: int = 0) -> tuple[Symbol, ...]:
    if isinstance(sizes, int):
        return chunk(r, x, x.shape[1] // sizes, dim)
    if dim not in (-1, 1) or any(size % r.width for size in sizes):
        raise TypeError
    ends = [sum(sizes[: k + 1]) // r.width for k in range(len(sizes))]
    return tuple(r.symbol(x.nodes[end - size // r.width : end]) for end, size in zip(ends, sizes))


def matmul(r: Reading, x: Symbol, matrix: Tensor) -> Symbol:
    if isinstance(matrix, Symbol) or matrix.ndim != 2:
        raise TypeError
    key = ("transposed", id(matrix))
    r.seen.setdefault(key, (matrix.t(), matrix))
    return r.gates(x, r.seen[key][0])


def power(r: Reading, x: Symbol, exponent: int) -> Symbol:
    if not isinstance(exponent, int) or exponent < 0:
        raise TypeError
    return r.pointwise(lambda a: r.graph.power(a, exponent), x)


def leaky_relu(r: Reading, x: Symbol, slope: float = 0.01, inplace: bool = False) -> Symbol:
    G = r.graph
    return r.pointwise(lambda a: G.sub(G.node("relu", a), G.mul(G.constant(slope), G.node("relu", G.neg(a)))), x)


def plain(op: str) -> Callable[..., Symbol]:
    return lambda r, x: r.pointwise(lambda a: r.graph.node(op, a), x)


def joined(method: str) -> Callable[..., Symbol]:
    return lambda r, a, b: r.pointwise(getattr(r.graph, method), a, b)


ASKS = frozenset(("size", "dim", "shape", "dtype", "device", "ndim", "is_cuda", "len", "requires_grad", "layout"))
ADVICE = "write the line with + - * / sigmoid tanh relu exp log sqrt sin cos softplus, cat, chunk and Linear"
READ: dict[str, Callable[..., Any]] = {
    **{
        op: plain(op) for op in ("sigmoid", "tanh", "exp", "log", "sqrt", "sin", "cos", "abs", "softplus", "reciprocal")
    },
    **{name: joined("add") for name in ("add", "radd")},
    **{name: joined("sub") for name in ("sub", "subtract")},
    **{name: joined("mul") for name in ("mul", "rmul", "multiply")},
    **{name: joined("div") for name in ("div", "truediv", "divide")},
    **{name: lambda r, a, b: joined("sub")(r, b, a) for name in ("rsub",)},
    **{name: lambda r, a, b: joined("div")(r, b, a) for name in ("rdiv", "rtruediv")},
    "relu": lambda r, x, inplace=False: plain("relu")(r, x),
    "leaky_relu": leaky_relu,
    "neg": lambda r, x: r.pointwise(r.graph.neg, x),
    "square": lambda r, x: joined("mul")(r, x, x),
    "pow": power,
    "lerp": lambda r, a, b, w: r.pointwise(lambda a, b, w: r.graph.add(a, r.graph.mul(w, r.graph.sub(b, a))), a, b, w),
    "zeros_like": lambda r, x: r.pointwise(lambda a: r.graph.constant(0), x),
    "ones_like": lambda r, x: r.pointwise(lambda a: r.graph.constant(1), x),
    "cat": cat,
    "concat": cat,
    "chunk": chunk,
    "split": split,
    "linear": lambda r, x, weight, bias=None: r.gates(x, weight, bias),
    "matmul": matmul,
    "mm": matmul,
}
