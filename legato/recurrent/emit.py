"""A program as C: the loops that run all steps of it, and all steps back.

Each thread owns a range of units, so a level ends in one barrier, and what is computed from a product is computed while
it lies in the cache. The way back is the same, read from the end; the chain rule is applied to the graph, and the
activations are computed again from the stored gates. Where the mask is False a state is copied, and so is its gradient.
`legato.recurrent.emit.source(program)` is worth printing.
"""

from collections.abc import Iterable, Sequence
from math import gcd
from typing import Any

from legato.recurrent.graph import OPS, Graph
from legato.recurrent.program import Program, Stage

HEAD = """#include "lanes.h"
typedef void gemm_t(long, long, long, const store *, long, const store *, real *, long, int);
INLINE long lines(long k) { return (k + STEP - 1) / STEP; }
INLINE long least(long a, long b) { return a < b ? a : b; }
#ifdef BF16
#define save_copy(p, w, x) save_store(p, w, x)
#else
#define save_copy(p, w, x)  // the state itself is what products read
#endif
"""
NUMBERS = ("T", "B", "H", "threads", "reverse", "keep", "masked")  # what a program is told before its streams' strides
SETTING = """
const long blocks = (H + LANES - 1) / LANES, HP = blocks * LANES, panel = lines(H) * STEP * LANES;
_Pragma("omp parallel num_threads(threads)") {
const long me = omp_get_thread_num(), others = omp_get_num_threads();
const long first = blocks * me / others, last = blocks * (me + 1) / others;
"""
STEP = """
const long t = reverse ? T - 1 - s : s, before = reverse ? t + 1 : t, after = reverse ? t : t + 1, kept = keep ? t : 0;
"""
ROW = "for (long b = 0; b < B; b++) { const long row = ids ? ids[t * B + b] : t * B + b;"
LINE = """
const long i = q * LANES, w = least(LANES, H - i), old = (before * B + b) * H + i, new = (after * B + b) * H + i;
const long now = (t * B + b) * H + i, here = (kept * B + b) * H + i, z = (kept * B + b) * G * H + i, sum = b * HP + i;
"""
WAITS = "if (masked && !mask[t * B + b]) {"


def source(program: Program) -> str:
    """`forward`, and where x is known beforehand (else one only generates) `backward`."""
    parts = [HEAD, f"enum {{ G = {len(program.gates)} }};", Forward(program).text()]
    return "\n".join(parts if program.inputs else [*parts, Backward(program).text()])


def over(first: str, last: str, body: Iterable[str]) -> list[str]:
    """For all rows b and these lines q of units: unit i and the w - 1 after it."""
    return [ROW, f"for (long q = {first}; q < {last}; q++) {{", LINE, *body, "}}"]


class Writer:
    """What both directions say alike."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.graph = Graph(program.graph.code)  # derivatives are written into a copy

    def function(self, name: str, arguments: dict[str, str], steps: str, body: Iterable[str]) -> str:
        streams = [a for a in arguments if a[0] == "x"]
        told = [f"const long {n} = n[{k}];" for k, n in enumerate((*NUMBERS, *(f"ld{x}" for x in streams)))]
        told += [f"{kind}{a} = p[{k}];" for k, (a, kind) in enumerate(arguments.items())]
        room = f"real *room = aligned_alloc(64, (G + 1) * {self.program.widest} * B * LANES * sizeof(real));"
        head = f"void {name}(const long *n, void *const *p) {{"
        loop = [f"for (long {steps}) {{", STEP, *body, "}"]
        return "\n".join((head, *told, SETTING, room, *loop, "free(room); }}"))

    def statements(self, wanted: Sequence[int], where: dict[int, str]) -> tuple[list[str], list[str]]:
        """C that computes these nodes, and their names; `where` says what lies elsewhere than usual."""
        lines: list[str] = []
        for node in self.graph.below(wanted):
            op, args, value = self.graph.code[node]
            if node in where:
                text = where[node]
            elif op in OPS:
                text = OPS[op].c.format(*(f"t{a}" for a in args))
            else:
                text = self.leaf(node, op, value)
            lines.append(f"const vec t{node} = {text};")
        return lines, [f"t{node}" for node in wanted]

    def leaf(self, node: int, op: str, value: Any) -> str:
        match op:
            case "gate":
                return f"load_store(Z + z + {self.program.gates.index(node)} * H, w)"
            case "stream":
                return f"load_store(x{value[0]} + row * ldx{value[0]} + {value[1]} * H + i, w)"
            case "vector":
                return f"load(v{value[0]} + {value[1]} * H + i, w)"
            case "state":
                return f"load(S{value} + {'old' if value < self.program.states else 'now'}, w)"
        return f"all((real){value!r})"


class Forward(Writer):
    def text(self) -> str:
        program, body = self.program, list[str]()
        if program.before and program.before[0]:  # what the first level weighs has to be computed
            body += [*over("first", "last", self.sources(program.before[0], {})), "BARRIER"]
        for level in range(len(program.levels)):
            body += self.level(level)
        if not program.levels:
            body += over("first", "last", self.outputs({}))
        return self.function("forward", program.forward_arguments, "s = 0; s < T; s++", body)

    def level(self, level: int) -> list[str]:
        """Multiply a level's gates, a few lines of units at a time, and compute on from them while they are at hand."""
        stages = self.program.levels[level]
        group = max(4 // gcd(4, len(stage.gates)) for stage in stages)
        lines = [f"for (long j = first; j < last; j += {group}) {{ const long wide = least({group}, last - j);"]
        offset = 0
        for stage in stages:
            lines += [f"real *tile{stage.index} = room + {offset} * B * LANES;", *self.product(stage)]
            offset += len(stage.gates) * group
        tiles = {gate: f"load({self.tile(stage, gate)}, LANES)" for stage in stages for gate in stage.gates}
        keep = [f"save_store(Z + z + {self.program.gates.index(gate)} * H, w, {tile});" for gate, tile in tiles.items()]
        final = level == len(self.program.levels) - 1
        compute = self.outputs(tiles) if final else self.sources(self.program.before[level + 1], tiles)
        return [*lines, *over("j", "j + wide", keep + compute), "}", "BARRIER"]

    def product(self, stage: Stage) -> list[str]:
        count, s = len(stage.gates), stage.index
        begun = [f"save({self.tile(stage, gate)}, LANES, {self.begins(gate)});" for gate in stage.gates]
        lines = over("j", "j + wide", begun)
        for k, node in enumerate(stage.sources):
            to = f"tile{s}, wide * {count} * LANES, 0"
            panels = f"U{s}_{k} + j * {count} * panel"
            lines.append(f"(*gemm)(B, wide * {count}, H, {self.program.buffer(node)}, H, {panels}, {to});")
        return lines

    def tile(self, stage: Stage, gate: int) -> str:
        count = len(stage.gates)
        return f"tile{stage.index} + ((b * wide + q - j) * {count} + {stage.gates.index(gate)}) * LANES"

    def begins(self, gate: int) -> str:
        """What the product is added to: the input's part, or the bias."""
        node = self.graph.code[gate][1][0]
        op, _, value = self.graph.code[node]
        return self.leaf(node, op, value)

    def sources(self, wanted: Sequence[int], tiles: dict[int, str]) -> list[str]:
        lines, names = self.statements(wanted, tiles)
        places = [self.program.computed.index(node) for node in wanted]
        return lines + [f"save_store(A{k} + here, w, {name});" for k, name in zip(places, names)]

    def outputs(self, tiles: dict[int, str]) -> list[str]:
        lines, names = self.statements(self.program.outputs, tiles)
        waits, saves = [WAITS], list[str]()
        for i, name in enumerate(names):
            for values, found in ((waits, f"load(S{i} + old, w)"), (saves, name)):
                values.append(f"save(S{i} + new, w, {found});")
                if f"M{i}" in self.program.stored:
                    values.append(f"save_copy(M{i} + new, w, {found});")
        return [*waits, "continue; }", *lines, *saves]


class Backward(Writer):
    """dS is the gradient of the state after a step, made that of the state before; dA that of what products read."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        node = self.graph.node
        self.d_state = [node("adjoint", value=f"S{i}") for i in range(program.states)]
        self.d_source = {source: node("adjoint", value=f"A{k}") for k, source in enumerate(program.sources)}
        self.where = {d: f"load(dA{k} + sum, LANES)" for k, d in enumerate(self.d_source.values())}

    def text(self) -> str:
        program, body, first = self.program, list[str](), True
        early = not (program.before and program.before[0])  # the state's gradient is done with the lowest level's gates
        for level in reversed(range(len(program.levels))):
            later = [node for nodes in program.before[level + 1 :] for node in nodes]
            gates = [gate for stage in program.levels[level] for gate in stage.gates]
            body += over("first", "last", self.gradient(later, gates, first, final=early and level == 0))
            body += ["BARRIER", *self.products(level)]
            first = False
        if not early or not program.levels:
            body += over("first", "last", self.gradient(program.computed, [], first, final=True))
        return self.function("backward", program.backward_arguments, "s = T - 1; s >= 0; s--", body)

    def gradient(self, later: Sequence[int], gates: Sequence[int], first: bool, final: bool) -> list[str]:
        """dZ of these gates, through the outputs and the `later` sources.

        The first loop of a step gathers the state's gradient, the final one passes it on to the step before.
        """
        program, G = self.program, self.graph
        where = self.where | {d: self.arriving(i, first) for i, d in enumerate(self.d_state)}
        wanted, places = list(gates), [f"save_store(dZ + z + {program.gates.index(g)} * H, w, {{}});" for g in gates]
        if final:
            wanted += [G.node("state", value=i) for i in range(program.states)]
            wanted += [G.node("stream", value=v) for v in program.loose_streams]
            wanted += [G.node("vector", value=v) for v in program.loose_vectors]
            places += [f"save(dS{i} + sum, LANES, {{}});" for i in range(program.states)]
            places += [f"save_store(dx{m} + now, w, {{}});" for m in range(len(program.loose_streams))]
            places += [f"save(dv{m} + i, w, load(dv{m} + i, w) + {{}});" for m in range(len(program.loose_vectors))]
        outputs, adjoints = [*program.outputs, *later], [*self.d_state, *(self.d_source[node] for node in later)]
        found = G.gradients(outputs, adjoints, wanted)
        if first and not final:
            found += self.d_state
            places += [f"save(dS{i} + sum, LANES, {{}});" for i in range(program.states)]
        lines, names = self.statements(found, where)
        waits = [place.format("all(0)") for place in places if place.startswith("save_store")]
        if first:
            waits += [f"save(dS{i} + sum, LANES, {where[d]});" for i, d in enumerate(self.d_state)]
        return [WAITS, *waits, "continue; }", *lines, *(place.format(name) for place, name in zip(places, names))]

    def arriving(self, i: int, first: bool) -> str:
        """State i's gradient: from its own expressions, from products, and for h from everything above."""
        parts = [f"load(dS{i} + sum, LANES)"]
        if first:
            parts += [
                f"load(dA{k} + sum, LANES)" for k, s in enumerate(self.program.sources) if self.program.raw.get(s) == i
            ]
            parts += ["load_store(dH + now, w)"] if i == 0 else []
        return " + ".join(parts)

    def products(self, level: int) -> list[str]:
        """dA += dZ · U, for the units this thread owns; the first product of a step sets it."""
        program = self.program
        lines = ["for (long j = first; j < last; j += 4) { const long wide = least(4, last - j);"]
        for stage in reversed(program.levels[level]):
            s, depth = stage.index, f"{len(stage.gates)} * H"
            start = f"dZ + (t * B * G + {program.gates.index(stage.gates[0])}) * H, G * H"
            for k, node in enumerate(stage.sources):
                fresh = int(s == max(other.index for other in program.stages if node in other.sources))
                panels = f"U{s}_{k} + j * lines({depth}) * STEP * LANES"
                to = f"dA{program.sources.index(node)} + j * LANES, HP, {fresh}"
                lines.append(f"(*gemm)(B, wide, {depth}, {start}, {panels}, {to});")
        return [*lines, "}"]
