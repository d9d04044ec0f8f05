"""`scan` again, and equal to it, but several times faster: the cell is traced, differentiated and compiled.

On a CPU with a C compiler a step is one call of generated C for all steps together. On a GPU, cuDNN runs the cells it
knows; anywhere else the same graph runs through torch's own operations, which still saves the input's products. A cell
that cannot be traced runs as it is. Precision follows torch: float64 and float32 as the parameters are; bfloat16
products with float32 states and gradients under `torch.autocast("cpu", torch.bfloat16)`. A row's result does not depend
on the other rows of its batch.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from legato.errors import Notice
from legato.kernels import gemm
from legato.kernels.build import Unavailable
from legato.kernels.gemm import BF16, Precision, precision_of
from legato.recurrent import vendor
from legato.recurrent.cells import Cell, State
from legato.recurrent.compiled import Sequences, run_compiled
from legato.recurrent.graph import OPS
from legato.recurrent.scan import Hs, Lookup, Mask, Xs
from legato.recurrent.scan import scan as slow_scan
from legato.recurrent.trace import Reading, Untraceable

Scan = Callable[..., tuple[Hs, State]]


def scan(
    cell: Cell, xs: Xs | Lookup, state: State | None = None, mask: Mask | None = None, reverse: bool = False
) -> tuple[Hs, State]:
    """Carry a cell over a sequence, forwards or backwards: every h, and the state at the end. See `scan.scan`.

    Under bfloat16 autocast hs are bfloat16, states float32. There is no second derivative.
    """
    if any(module._forward_hooks or module._forward_pre_hooks for module in cell.modules()):
        return slow_scan(cell, xs, state, mask, reverse)  # somebody watches each step
    if vendor.knows(cell, mask) and next(cell.parameters()).is_cuda:
        return vendor.scan(cell, xs.xs() if isinstance(xs, Lookup) else xs, state, reverse)
    table, ids = xs if isinstance(xs, Lookup) else (xs.flatten(0, 1), None)
    steps, rows = (xs.ids if isinstance(xs, Lookup) else xs).shape[:2]
    precision = precision_here(cell, table)
    try:
        reading = Reading(cell, table, partial(gemm.linear, p=precision)) if precision else Reading(cell, table)
    except Untraceable as why:
        warn(f"{why}; until then {type(cell).__name__} runs step by step, slowly")
        return slow_scan(cell, xs, state, mask, reverse)
    if state is None:
        state = tuple(table.new_zeros(rows, cell.width) for _ in range(cell.memories))
    where = Sequences(steps, rows, cell.width, ids, mask, reverse)
    try:
        if precision:
            return run_compiled(reading, state, where, precision)
    except Unavailable as why:
        warn_slow(why)
    return run_torch(reading, state, where)


def precision_here(cell: Cell, x: Tensor) -> Precision | None:
    """What to compute with, or None where there are no kernels for it."""
    dtype = next((p.dtype for p in cell.parameters()), x.dtype)
    if x.device.type != "cpu":
        return None
    half = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == BF16.store
    precision = BF16 if half and dtype == torch.float32 else precision_of(dtype)
    try:
        return precision if precision and precision.gemm else None
    except Unavailable as why:
        warn_slow(why)
        return None


WARNED: set[str] = set()


def warn(message: str) -> None:
    """Once, in one line."""
    if message not in WARNED:
        WARNED.add(message)
        warnings.warn(message, Notice, stacklevel=3)


def warn_slow(why: Unavailable) -> None:
    warn(f"{why}; recurrent layers run through torch instead, several times slower")


# the same graph through torch


def run_torch(reading: Reading, state: State, where: Sequences) -> tuple[Hs, State]:
    """Step by step, with autograd; equal to the reference, but for the products that are no longer inside."""
    code = reading.graph.code
    hs: list[Tensor] = [state[0]] * where.steps
    for t in reversed(range(where.steps)) if where.reverse else range(where.steps):
        at = slice(t * where.rows, (t + 1) * where.rows) if where.ids is None else where.ids[t]
        found: list[Any] = []
        for op, args, value in code:
            found.append(evaluate(reading, op, [found[a] for a in args], value, state, at))
        new = tuple(found[output].expand(where.rows, where.width) for output in reading.outputs)
        if where.mask is not None:
            new = tuple(torch.where(where.mask[t, :, None], n, s) for n, s in zip(new, state))
        state = new
        hs[t] = state[0]
    return torch.stack(hs), state


def evaluate(reading: Reading, op: str, args: list[Tensor], value: Any, state: State, at: Any) -> Tensor:
    n = reading.width
    match op:
        case "state":
            return state[value]
        case "stream":
            return reading.streams[value[0]][at, value[1] * n : value[1] * n + n]
        case "vector":
            return reading.vectors[value[0]][value[1] * n : value[1] * n + n]
        case "constant":
            return state[0].new_tensor(value)
        case "gate":
            start, *sources = args
            weights = [reading.weights[w][r * n : r * n + n] for w, r in value]
            return sum((s @ w.t().to(s.dtype) for s, w in zip(sources, weights)), start)
    return OPS[op].torch(*args)
