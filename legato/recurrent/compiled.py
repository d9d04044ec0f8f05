"""All steps of a cell as one node of autograd: generated C for the steps, a few large products for everything else."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import torch
from torch import Tensor

from legato.kernels import gemm
from legato.kernels.build import Unavailable, build
from legato.kernels.gemm import BF16, Precision, product
from legato.recurrent.cells import State
from legato.recurrent.emit import source
from legato.recurrent.program import Program
from legato.recurrent.scan import Hs
from legato.recurrent.trace import Reading


@dataclass(frozen=True)
class Sequences:
    """What there is to run over; `ids` says which row of the streams each step reads, if not simply the next."""

    steps: int
    rows: int
    width: int
    ids: Tensor | None
    mask: Tensor | None
    reverse: bool


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
        text = f"#define {precision.name}\n{source(program)}"
        try:
            library = build(text, f"{type(reading.cell).__name__}-{precision.name}".lower())
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
    """Memory for rows of `size[-1]`, and one number more, which is 0.

    A pair of bfloat16 may be read across the end of an odd row, into the next one, and is weighed by 0 there. Memory
    that is unset may hold NaN, and 0 · NaN is NaN: so odd rows begin as zeros.
    """
    count = torch.Size(size).numel()
    flat = (torch.zeros if size[-1] % 2 else torch.empty)(count + 1, dtype=dtype)
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
        made: dict[str, Any] = {
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
        for k, node in enumerate(program.sources):
            if node in program.raw:  # what the last product back through time has left there
                d_state[program.raw[node]] = d_state[program.raw[node]] + made[f"dA{k}"][:, :H]
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
    return (*(tensors[a:b] for a, b in pairwise(ends)), tensors[ends[3] :])


def runs(program: Program, stage: int, k: int) -> list[tuple[int, int, int, int]]:
    """Gates of a stage whose rows of a weight follow one another, for its k-th source: (first gate, count, w, row)."""
    gates = program.stages[stage].gates
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
        rows, count = rows_of(program, weights, s, k, H), len(program.stages[s].gates)
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
        stage = program.stages[s]
        node = stage.sources[k]
        if node in program.raw:
            states = made[f"M{program.raw[node]}"]
            before = states[1:] if where.reverse else states[:T]
        else:
            before = made[f"A{program.computed.index(node)}"]
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
