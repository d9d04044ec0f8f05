"""`scan` again, and equal to it, but several times faster: the cell is traced, differentiated and compiled.

On a CPU with a C compiler a step is one call of generated C for all steps together; anywhere else the same graph runs
through torch's own operations, which still saves the input's products. A cell that cannot be traced runs as it is.
Precision follows torch: float64 and float32 as the parameters are; bfloat16 products with float32 states and gradients
under `torch.autocast("cpu", torch.bfloat16)`. A row's result does not depend on the other rows of its batch.
"""

import ctypes
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from legato.kernels import gemm
from legato.kernels.build import Unavailable, build
from legato.kernels.gemm import BF16, Precision, precision_of, product
from legato.recurrent.cells import Cell, State
from legato.recurrent.emit import Program
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
    table, ids = xs if isinstance(xs, Lookup) else (xs.flatten(0, 1), None)
    steps, rows = (xs.ids if isinstance(xs, Lookup) else xs).shape[:2]
    precision = precision_here(cell, table)
    try:
        compiled = precision is not None and kernels_here(precision)
        if compiled:
            reading = Reading(cell, table, partial(gemm.linear, p=precision))
        else:
            reading = Reading(cell, table)
    except Untraceable as why:
        warn(f"{why}; until then {type(cell).__name__} runs step by step, slowly")
        return slow_scan(cell, xs, state, mask, reverse)
    if state is None:
        state = tuple(table.new_zeros(rows, cell.width) for _ in range(cell.memories))
    where = Sequences(steps, rows, cell.width, ids, mask, reverse)
    if compiled:
        assert precision is not None
        try:
            return run_compiled(reading, state, where, precision)
        except Unavailable as why:
            warn(f"{why}; recurrent layers run through torch instead, several times slower")
    return run_torch(reading, state, where)


@dataclass(frozen=True)
class Sequences:
    """What there is to run over; `ids` says which row of the streams each step reads, if not simply the next."""

    steps: int
    rows: int
    width: int
    ids: Tensor | None
    mask: Tensor | None
    reverse: bool


def precision_here(cell: Cell, x: Tensor) -> Precision | None:
    """What to compute with, or None where there are no kernels for it."""
    dtype = next((p.dtype for p in cell.parameters()), x.dtype)
    if x.device.type != "cpu":
        return None
    if dtype == torch.float32 and torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == BF16.store:
        return BF16
    return precision_of(dtype)


def kernels_here(precision: Precision) -> bool:
    try:
        return precision.gemm is not None
    except Unavailable as why:
        warn(f"{why}; recurrent layers run through torch instead, several times slower")
        return False


WARNED: set[str] = set()


def warn(message: str) -> None:
    """Once, in one line."""
    if message not in WARNED:
        WARNED.add(message)
        warnings.warn(message, stacklevel=3)


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


# compiled


@dataclass(frozen=True)
class Compiled:
    program: Program
    library: ctypes.CDLL


PROGRAMS: dict[Any, Compiled | Unavailable] = {}


def compiled_program(reading: Reading, precision: Precision) -> Compiled:
    """The program of this reading, compiled now unless one of the same key was. Raises Unavailable."""
    key = (reading.key, precision)
    if key not in PROGRAMS:
        program = Program(reading.graph, reading.outputs, len(reading.outputs))
        source = f"#define {precision.name}\n{program.source}"
        try:
            library = build(source, f"{type(reading.cell).__name__}-{precision.name}".lower())
            PROGRAMS[key] = Compiled(program, library)
        except Unavailable as why:
            PROGRAMS[key] = why
    found = PROGRAMS[key]
    if isinstance(found, Unavailable):
        raise found
    return found


def run_compiled(reading: Reading, state: State, where: Sequences, precision: Precision) -> tuple[Hs, State]:
    compiled = compiled_program(reading, precision)
    streams = [s.to(precision.store) for s in reading.streams]
    hs, *final = Recurrence.apply(
        *(compiled, precision, where, (len(streams), len(reading.vectors), len(reading.weights))),
        *(*streams, *reading.vectors, *reading.weights, *state),
    )
    return hs, tuple(final)


def call(function: Any, names: Sequence[str], tensors: dict[str, Any], numbers: Sequence[int]) -> None:
    """C takes two arrays: numbers, and addresses in the order of its arguments."""
    pointers = [t if isinstance(t, int) else 0 if t is None else t.data_ptr() for t in (tensors[n] for n in names)]
    function((ctypes.c_long * len(numbers))(*numbers), (ctypes.c_void_p * len(pointers))(*pointers))


def room(*size: int, dtype: torch.dtype) -> Tensor:
    """Unset memory, and one number more, which is 0: a pair of bfloat16 may be read across the end of an odd row."""
    count = torch.Size(size).numel()
    flat = torch.empty(count + 1, dtype=dtype)
    flat[count] = 0
    return flat[:count].view(size)


class Recurrence(torch.autograd.Function):
    """All steps of a cell: forward keeps gates and states, backward computes the activations from them again."""

    @staticmethod
    def forward(ctx, compiled, p, where, counts, *tensors):  # type: ignore[no-untyped-def]
        program = compiled.program
        streams, vectors, weights, state = divided(tensors, counts)
        T, B, H, G = where.steps, where.rows, where.width, len(program.gates)
        keep = any(ctx.needs_input_grad)
        kept = T if keep else 1
        start, end = (T, 0) if where.reverse else (0, T)
        made: dict[str, Tensor | int | None] = {
            "gemm": ctypes.cast(p.gemm.gemm, ctypes.c_void_p).value,
            "ids": None if where.ids is None else where.ids.contiguous(),
            "mask": None if where.mask is None else where.mask.contiguous(),
            **{f"x{i}": s.contiguous() for i, s in enumerate(streams)},
            **{f"v{i}": v.to(p.real).contiguous() for i, v in enumerate(vectors)},
            "Z": torch.empty(kept, B, G, H, dtype=p.store),
            **packed_forward(program, weights, H, p),
        }
        for i, s in enumerate(state):
            made[f"S{i}"] = torch.empty(T + 1, B, H, dtype=p.real)
            made[f"S{i}"][start] = s
        for name in program.stored:
            if name[0] == "A":
                made[name] = room(kept, B, H, dtype=p.store)
            elif p is BF16:
                made[name] = room(T + 1, B, H, dtype=p.store)
                made[name][start] = state[int(name[1:])]
            else:
                made[name] = made[f"S{name[1:]}"]
        strides = [s.shape[1] for s in streams]
        threads = min(gemm.threads_for(2 * B * H * H * G), -(-H // p.lanes))  # each has units of its own
        sizes = [T, B, H, threads, int(where.reverse), int(keep), int(where.mask is not None)]
        call(compiled.library.forward, list(program.forward_arguments), made, [*sizes, *strides])
        if keep:
            ctx.compiled, ctx.p, ctx.where, ctx.counts, ctx.numbers = compiled, p, where, counts, [*sizes, *strides]
            ctx.names = [name for name in made if isinstance(made[name], Tensor) and name[0] != "U"]
            ctx.save_for_backward(*tensors, *(made[name] for name in ctx.names))
        hs = made["M0"][:T] if where.reverse else made["M0"][1:]
        return (hs, *(made[f"S{i}"][end].clone() for i in range(len(state))))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dH, *d_final):  # type: ignore[no-untyped-def]
        program, p, where = ctx.compiled.program, ctx.p, ctx.where
        T, B, H, G = where.steps, where.rows, where.width, len(program.gates)
        count = len(ctx.saved_tensors) - len(ctx.names)
        streams, vectors, weights, state = divided(ctx.saved_tensors[:count], ctx.counts)
        made: dict[str, Any] = dict(zip(ctx.names, ctx.saved_tensors[count:]))
        padded = -(-H // p.lanes) * p.lanes
        made |= {
            "gemm": ctypes.cast(p.gemm.gemm, ctypes.c_void_p).value,
            "ids": made.get("ids"),
            "mask": made.get("mask"),
            "dH": dH.to(p.store).contiguous(),
            "dZ": room(T, B, G, H, dtype=p.store),
            **{f"dA{k}": torch.zeros(B, padded, dtype=p.real) for k in range(len(program.sources))},
            **{f"dx{m}": torch.empty(T, B, H, dtype=p.store) for m in range(len(program.loose_streams))},
            **{f"dv{m}": torch.zeros(H, dtype=p.real) for m in range(len(program.loose_vectors))},
            **packed_backward(program, weights, H, p),
        }
        for i, d in enumerate(d_final):
            made[f"dS{i}"] = torch.zeros(B, padded, dtype=p.real)
            made[f"dS{i}"][:, :H] = d
        call(ctx.compiled.library.backward, list(program.backward_arguments), made, ctx.numbers)
        d_state = [made[f"dS{i}"][:, :H] for i in range(len(state))]
        for k, source in enumerate(program.sources):
            if source in program.raw:
                d_state[program.raw[source]] = d_state[program.raw[source]] + made[f"dA{k}"][:, :H]
        grads = (
            *stream_gradients(program, streams, made, where, p),
            *vector_gradients(program, vectors, made, H),
            *weight_gradients(program, weights, made, where, p),
            *(d.to(s.dtype) for d, s in zip(d_state, state)),
        )
        return (None, None, None, None, *grads)


def divided(tensors: Sequence[Tensor], counts: tuple[int, int, int]) -> tuple[Sequence[Tensor], ...]:
    """streams, vectors, weights, states."""
    ends = [sum(counts[:k]) for k in range(4)]
    return (*(tensors[a:b] for a, b in zip(ends, ends[1:])), tensors[ends[3] :])


def runs(program: Program, stage: int, k: int) -> list[tuple[int, int, int, int]]:
    """Gates of a stage whose rows of a weight follow one another, for its k-th source: (first gate, count, w, row)."""
    gates = program.all_stages[stage].gates
    places = [(*program.graph.code[gate][2][k], i) for i, gate in enumerate(gates)]
    found = []
    for (w, _), group in groupby(places, lambda place: (place[0], place[1] - place[2])):
        _, row, first = (members := list(group))[0]
        found.append((first, len(members), w, row))
    return found


def rows_of(program: Program, weights: Sequence[Tensor], stage: int, k: int, H: int) -> Tensor:
    """The weights of a stage's gates for its k-th source, (gates · n, n): a view where they lie together."""
    parts = [weights[w][row * H : (row + count) * H] for _, count, w, row in runs(program, stage, k)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def packed_forward(program: Program, weights: Sequence[Tensor], H: int, p: Precision) -> dict[str, Tensor]:
    """Panels in the order units, gates: a thread that owns some units finds all their gates side by side."""
    made = {}
    for s, k in program.products:
        rows, count = rows_of(program, weights, s, k, H), len(program.all_stages[s].gates)
        panel = -(-H // p.step) * p.step * p.lanes
        out = gemm.aligned(-(-H // p.lanes) * count * panel, p.store)
        for g in range(count):
            gemm.packed(rows[g * H : (g + 1) * H].t(), p, out, every=count, at=g)
        made[f"U{s}_{k}"] = out
    return made


def packed_backward(program: Program, weights: Sequence[Tensor], H: int, p: Precision) -> dict[str, Tensor]:
    return {f"U{s}_{k}": gemm.packed(rows_of(program, weights, s, k, H), p) for s, k in program.products}


def weight_gradients(
    program: Program, weights: Sequence[Tensor], made: dict[str, Any], where: Sequences, p: Precision
) -> list[Tensor]:
    """Σ_t dZ_tᵀ · source_t: one product each, over all steps at once."""
    T, B, H = where.steps, where.rows, where.width
    dZ = made["dZ"].view(T * B, -1)
    grads: list[Tensor | None] = [None] * len(weights)
    for s, k in program.products:
        stage = program.all_stages[s]
        source = stage.sources[k]
        if source in program.raw:
            states = made[f"M{program.raw[source]}"]
            before = states[1:] if where.reverse else states[:T]
        else:
            before = made[f"A{program.computed.index(source)}"]
        for first, count, w, row in runs(program, s, k):
            start = (program.gates.index(stage.gates[0]) + first) * H
            dz = dZ[:, start : start + count * H]
            if grads[w] is None and count * H == len(weights[w]):
                grads[w] = product(dz, before.reshape(T * B, H), p, transpose=True, wide=True)
                continue
            if grads[w] is None:
                grads[w] = torch.zeros(weights[w].shape, dtype=p.real)
            there = grads[w][row * H : (row + count) * H]  # type: ignore[index]
            product(dz, before.reshape(T * B, H), p, transpose=True, wide=True, add_to=there)
    return [torch.zeros_like(w) if g is None else g.to(w.dtype) for g, w in zip(grads, weights)]


def stream_gradients(
    program: Program, streams: Sequence[Tensor], made: dict[str, Any], where: Sequences, p: Precision
) -> list[Tensor]:
    """A gate's gradient is that of what it started from; a table's rows collect theirs from wherever they were read."""
    T, B, H = where.steps, where.rows, where.width
    dZ = made["dZ"].view(T * B, -1)
    code = program.graph.code
    grads = []
    for i, stream in enumerate(streams):
        parts = [(v, g) for g, gate in enumerate(program.gates) if (v := starts(code, gate, "stream", i)) is not None]
        loose = [(v[1], m) for m, v in enumerate(program.loose_streams) if v[0] == i]
        blocks, firsts = [v for v, _ in parts], [g for _, g in parts]
        count = stream.shape[1] // H
        if not loose and blocks == list(range(count)) and firsts == list(range(firsts[0], firsts[0] + count)):
            grad = dZ[:, firsts[0] * H : (firsts[0] + count) * H]
        else:
            grad = torch.zeros(T * B, count, H, dtype=p.store)
            for block, g in parts:
                grad[:, block] += dZ[:, g * H : (g + 1) * H]
            for block, m in loose:
                grad[:, block] += made[f"dx{m}"].view(T * B, H)
            grad = grad.view(T * B, count * H)
        grads.append(grad if where.ids is None else collected(grad, where.ids.flatten(), len(stream), p))
    return grads


def starts(code: Any, gate: int, kind: str, i: int) -> int | None:
    """The block of leaf i that a gate starts from, or None if it starts from something else."""
    op, _, value = code[code[gate][1][0]]
    return value[1] if op == kind and value[0] == i else None


def collected(grad: Tensor, ids: Tensor, rows: int, p: Precision) -> Tensor:
    """The sum of the gradients of all steps that read a row, for each row."""
    if rows <= 512:  # then a product with their indicator costs less than walking through memory
        return product(torch.nn.functional.one_hot(ids, rows).to(p.store), grad, p, transpose=True)
    return torch.zeros(rows, grad.shape[1], dtype=p.real).index_add_(0, ids, grad.to(p.real)).to(p.store)


def vector_gradients(program: Program, vectors: Sequence[Tensor], made: dict[str, Any], H: int) -> list[Tensor]:
    dZ, code = made["dZ"].flatten(0, 1), program.graph.code
    grads = []
    for i, vector in enumerate(vectors):
        grad = torch.zeros(len(vector) // H, H, dtype=made["dA0"].dtype if program.sources else made["dZ"].dtype)
        for g, gate in enumerate(program.gates):
            if (block := starts(code, gate, "vector", i)) is not None:
                grad[block] += dZ[:, g].sum(0, dtype=grad.dtype)
        for m, value in enumerate(program.loose_vectors):
            if value[0] == i:
                grad[value[1]] += made[f"dv{m}"]
        grads.append(grad.flatten().to(vector.dtype))
    return grads
