"""A graph as C: which gates can be multiplied at once, what must wait for what, and the loops that do it.

A step goes level by level. A level's gates are multiplied together, where they weigh the same sources in one product
(a stage); then what the next level weighs, or the new state, is computed from them while they lie in the cache. Each
thread owns a range of units, so a level ends in one barrier. The way back is the same, read from the end; the chain
rule is applied to the graph, and the activations are computed again from the stored gates.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import Any

from legato.recurrent.graph import OPS, Graph

INDEX = ("T", "B", "H", "threads", "reverse", "keep", "masked")  # the first numbers a program is given


@dataclass(frozen=True)
class Stage:
    """Gates that weigh the same sources: one product."""

    level: int
    sources: tuple[int, ...]
    gates: tuple[int, ...]


class Program:
    """What a reading computes, arranged; `forward` and `backward` are the C functions, `*_arguments` their tensors."""

    def __init__(self, graph: Graph, outputs: Sequence[int], states: int) -> None:
        self.graph, self.outputs, self.states = Graph(graph.code), tuple(outputs), states
        self.levels = self._levels()
        self.gates = [gate for level in self.stages for stage in level for gate in stage.gates]
        used = [source for level in self.stages for stage in level for source in stage.sources]
        self.sources = list(dict.fromkeys(used))
        state = {self.graph.node("state", value=i): i for i in range(states + 1)}  # + x, where it is not known before
        self.raw = {source: state[source] for source in self.sources if source in state}
        self.inputs = [i for node, i in state.items() if i >= states and node in set(self.graph.below(self.roots))]

    @property
    def roots(self) -> list[int]:
        return [*self.outputs, *self.sources]

    def _levels(self) -> dict[int, int]:
        """Of each gate: how many products must be done before it can be."""
        levels: dict[int, int] = {}
        for node, (op, args, _) in enumerate(self.graph.code):
            if op == "gate":
                inside = [g for g in self.graph.below(args) if self.graph.code[g][0] == "gate"]
                levels[node] = 1 + max((levels[g] for g in inside), default=-1)
        return levels

    @cached_property
    def stages(self) -> list[list[Stage]]:
        needed = [gate for gate in self.levels]
        groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        for gate in needed:
            groups.setdefault((self.levels[gate], self.graph.code[gate][1][1:]), []).append(gate)
        by_weight = lambda gate: self.graph.code[gate][2]
        stages = [Stage(level, key, tuple(sorted(gates, key=by_weight))) for (level, key), gates in groups.items()]
        return [[s for s in stages if s.level == level] for level in range(max(self.levels.values(), default=-1) + 1)]

    @cached_property
    def before(self) -> list[list[int]]:
        """Sources that are computed just before each level: neither states nor wanted earlier."""
        done: set[int] = set(self.raw)
        lists = []
        for level in self.stages:
            new = list(dict.fromkeys(source for stage in level for source in stage.sources if source not in done))
            done |= set(new)
            lists.append(new)
        return lists

    def level_of(self, source: int) -> int:
        return next(level for level, sources in enumerate(self.before) if source in sources)

    @cached_property
    def computed(self) -> list[int]:
        return [source for sources in self.before for source in sources]

    @cached_property
    def loose_streams(self) -> list[tuple[int, int]]:
        """Streams that are more than what a gate starts from: their gradient is written by itself."""
        return self._leaves("stream")

    @cached_property
    def loose_vectors(self) -> list[tuple[int, int]]:
        return self._leaves("vector")

    def _leaves(self, kind: str) -> list[tuple[int, int]]:
        code = self.graph.code
        return [code[node][2] for node in self.graph.below(self.roots) if code[node][0] == kind]

    @cached_property
    def streams(self) -> int:
        return 1 + max((v[0] for op, _, v in self.graph.code if op == "stream"), default=-1)

    @cached_property
    def vectors(self) -> int:
        return 1 + max((v[0] for op, _, v in self.graph.code if op == "vector"), default=-1)

    # names of the tensors that pass between Python and C

    @cached_property
    def stored(self) -> list[str]:
        """Sources, in what a product reads: M is the copy of a state, A what is computed."""
        copies = [f"M{i}" for i in sorted({0, *self.raw.values()} - set(self.inputs))]
        return copies + [f"M{i}" for i in self.inputs] + [f"A{k}" for k in range(len(self.computed))]

    @cached_property
    def forward_arguments(self) -> dict[str, str]:
        return {
            "gemm": "gemm_t *const ",
            "ids": "const int64_t *",
            "mask": "const uint8_t *",
            **{f"x{i}": "const store *" for i in range(self.streams)},
            **{f"v{i}": "const real *" for i in range(self.vectors)},
            **{f"S{i}": "real *" for i in [*range(self.states), *self.inputs]},
            **dict.fromkeys(self.stored, "store *"),
            "Z": "store *",
            **{f"U{s}_{k}": "const store *" for s, k in self.products},
        }

    @cached_property
    def backward_arguments(self) -> dict[str, str]:
        return {
            "gemm": "gemm_t *const ",
            "ids": "const int64_t *",
            "mask": "const uint8_t *",
            **{f"x{i}": "const store *" for i in range(self.streams)},
            **{f"v{i}": "const real *" for i in range(self.vectors)},
            **{f"S{i}": "const real *" for i in range(self.states)},
            "Z": "const store *",
            "dH": "const store *",
            "dZ": "store *",
            **{f"dS{i}": "real *" for i in range(self.states)},
            **{f"dA{k}": "real *" for k in range(len(self.sources))},
            **{f"dx{m}": "store *" for m in range(len(self.loose_streams))},
            **{f"dv{m}": "real *" for m in range(len(self.loose_vectors))},
            **{f"U{s}_{k}": "const store *" for s, k in self.products},
        }

    @cached_property
    def all_stages(self) -> list[Stage]:
        return [stage for level in self.stages for stage in level]

    @cached_property
    def products(self) -> list[tuple[int, int]]:
        return [(s, k) for s, stage in enumerate(self.all_stages) for k in range(len(stage.sources))]

    def buffer(self, source: int) -> str:
        """Where a product finds a source, for all rows of this step."""
        if source in self.raw:
            i = self.raw[source]
            return f"M{i} + {'before' if i < self.states else 't'} * B * H"
        return f"A{self.computed.index(source)} + zt * B * H"

    # C

    @cached_property
    def source(self) -> str:
        backward = () if self.inputs else (self._backward(),)  # where x is a symbol too, one only generates
        return "\n".join((HEAD, f"enum {{ G = {len(self.gates)} }};", self._forward(), *backward))

    def _forward(self) -> str:
        body: list[str] = []
        for level in range(len(self.stages)):
            if new := self.before[level]:  # else nothing has to be computed before the first level
                if level == 0:
                    body += [*loop("first", "last", self._compute(new, tiles=None)), "BARRIER"]
            body += self._multiply(level)
        if not self.stages:
            body += loop("first", "last", self._compute_outputs(None))
        return function(
            "forward",
            self.forward_arguments,
            "s = 0; s < T; s++",
            body + ["BARRIER"] * (not self.stages),
            len(self.gates),
        )

    def _multiply(self, level: int) -> list[str]:
        stages, last = self.stages[level], level == len(self.stages) - 1
        group = max(4 // gcd(4, len(stage.gates)) for stage in stages)
        lines = [f"for (long j = first; j < last; j += {group}) {{", f"long wide = least({group}, last - j);"]
        offset = 0
        for stage in stages:
            count, s = len(stage.gates), self.all_stages.index(stage)
            lines += [f"real *tile{s} = room + {offset} * {group} * B * LANES;"]
            lines += loop(
                "j",
                "j + wide",
                [
                    f"save(tile{s} + ((b * wide + q - j) * {count} + {g}) * LANES, LANES, {self._start(gate)});"
                    for g, gate in enumerate(stage.gates)
                ],
            )
            for k, source in enumerate(stage.sources):
                lines += [
                    f"(*gemm)(B, wide * {count}, H, {self.buffer(source)}, H, U{s}_{k} + j * {count} * panel, tile{s}, "
                    f"wide * {count} * LANES, 0);"
                ]
            offset += count
        compute = self._compute_outputs(stages) if last else self._compute(self.before[level + 1], stages)
        store = [
            f"save_store({self._at('Z', gate)}, w, {self._tile(stage, g)});"
            for stage in stages
            for g, gate in enumerate(stage.gates)
        ]
        return [*lines, *loop("j", "j + wide", store + compute), "}", "BARRIER"]

    def _start(self, gate: int) -> str:
        op, _, value = self.graph.code[self.graph.code[gate][1][0]]
        return self._leaf(op, value)

    def _leaf(self, op: str, value: Any) -> str:
        match op:
            case "stream":
                return f"load_store(x{value[0]} + row * ldx{value[0]} + {value[1]} * H + i, w)"
            case "vector":
                return f"load(v{value[0]} + {value[1]} * H + i, w)"
            case "state":
                return f"load(S{value} + ({'before' if value < self.states else 't'} * B + b) * H + i, w)"
        return f"all((real){value!r})"

    def _tile(self, stage: Stage, g: int) -> str:
        s = self.all_stages.index(stage)
        return f"load(tile{s} + ((b * wide + q - j) * {len(stage.gates)} + {g}) * LANES, LANES)"

    def _at(self, name: str, gate: int) -> str:
        return f"{name} + ((zt * B + b) * G + {self.gates.index(gate)}) * H + i"

    def _statements(self, wanted: Sequence[int], fresh: dict[int, str]) -> tuple[list[str], list[str]]:
        """C that computes these nodes; `fresh` says where leaves are that do not lie where they usually do."""
        lines, names = [], {}
        for node in self.graph.below(wanted):
            op, args, value = self.graph.code[node]
            if node in fresh:
                text = fresh[node]
            elif op == "gate":
                text = f"load_store({self._at('Z', node)}, w)"
            elif op in OPS:
                text = OPS[op].c.format(*(names[a] for a in args))
            else:
                text = self._leaf(op, value)
            names[node] = f"t{node}"
            lines.append(f"const vec t{node} = {text};")
        return lines, [names[node] for node in wanted]

    def _fresh(self, stages: list[Stage] | None) -> dict[int, str]:
        return {gate: self._tile(stage, g) for stage in stages or () for g, gate in enumerate(stage.gates)}

    def _compute(self, sources: Sequence[int], tiles: list[Stage] | None) -> list[str]:
        lines, names = self._statements(sources, self._fresh(tiles))
        saves = [
            f"save_store(A{self.computed.index(source)} + (zt * B + b) * H + i, w, {name});"
            for source, name in zip(sources, names)
        ]
        return lines + saves

    def _compute_outputs(self, tiles: list[Stage] | None) -> list[str]:
        lines, names = self._statements(self.outputs, self._fresh(tiles))
        copies = [i for i in range(self.states) if f"M{i}" in self.stored]
        wait = ["if (masked && !mask[t * B + b]) {"]
        for i in range(self.states):
            wait.append(f"save(S{i} + (after * B + b) * H + i, w, load(S{i} + (before * B + b) * H + i, w));")
        wait += [
            f"keep_copy(M{i}, (after * B + b) * H + i, w, load(S{i} + (before * B + b) * H + i, w));" for i in copies
        ]
        saves = [f"save(S{i} + (after * B + b) * H + i, w, {name});" for i, name in enumerate(names)]
        saves += [f"keep_copy(M{i}, (after * B + b) * H + i, w, {names[i]});" for i in copies]
        return [*wait, "continue; }", *lines, *saves]

    def _backward(self) -> str:
        graph = Graph(self.graph.code)
        program = self.graph
        self.graph = graph  # derivatives are written into a copy
        adjoint_out = [graph.node("adjoint", value=f"s{i}") for i in range(self.states)]
        adjoint_source = {s: graph.node("adjoint", value=f"a{k}") for k, s in enumerate(self.sources)}
        fresh = {adjoint_source[s]: f"load(dA{k} + b * HP + i, LANES)" for k, s in enumerate(self.sources)}
        body: list[str] = []
        highest = len(self.stages) - 1
        early = not self.before or not self.before[0]  # then the state's gradient is done along with level 0's gates
        for level in range(highest, -1, -1):
            first, final = level == highest, level == 0 and early
            after = [s for lvl in range(level + 1, highest + 1) for s in self.before[lvl]]
            outputs, adjoints = [*self.outputs, *after], [*adjoint_out, *(adjoint_source[s] for s in after)]
            gates = [gate for stage in self.stages[level] for gate in stage.gates]
            body += loop("first", "last", self._gradient(outputs, adjoints, gates, first, final, dict(fresh)))
            body += ["BARRIER", *self._multiply_back(level)]
        if not early or not self.stages:
            outputs, adjoints = (
                [*self.outputs, *self.computed],
                [*adjoint_out, *(adjoint_source[s] for s in self.computed)],
            )
            body += loop("first", "last", self._gradient(outputs, adjoints, [], not self.stages, True, dict(fresh)))
        self.graph = program
        return function("backward", self.backward_arguments, "s = T - 1; s >= 0; s--", body, 0)

    def _gradient(
        self, outputs: list[int], adjoints: list[int], gates: list[int], first: bool, final: bool, fresh: dict[int, str]
    ) -> list[str]:
        """dZ of these gates; the first loop of a step collects the state's gradient, the final one passes it on."""
        G = self.graph
        for i in range(self.states):
            text = f"load(dS{i} + b * HP + i, LANES)"
            if first:
                source = next((k for k, s in enumerate(self.sources) if self.raw.get(s) == i), None)
                text += f" + load(dA{source} + b * HP + i, LANES)" if source is not None else ""
                text += " + load_store(dH + (t * B + b) * H + i, w)" if i == 0 else ""
            fresh[G.node("adjoint", value=f"s{i}")] = text
        leaves = [G.node("state", value=i) for i in range(self.states)] if final else []
        leaves += [G.node("stream", value=v) for v in self.loose_streams] if final else []
        leaves += [G.node("vector", value=v) for v in self.loose_vectors] if final else []
        incoming = [G.node("adjoint", value=f"s{i}") for i in range(self.states)]
        keep = incoming if first and not final else []
        wanted = [*G.gradients(outputs, adjoints, [*gates, *leaves]), *keep]
        lines, names = self._statements(wanted, fresh)
        places = [f"save_store({self._at('dZ', gate)}, w, {{}});" for gate in gates]
        if final:
            places += [f"save(dS{i} + b * HP + i, LANES, {{}});" for i in range(self.states)]
            places += [f"save_store(dx{m} + (t * B + b) * H + i, w, {{}});" for m in range(len(self.loose_streams))]
            places += [f"save(dv{m} + i, w, load(dv{m} + i, w) + {{}});" for m in range(len(self.loose_vectors))]
        places += [f"save(dS{i} + b * HP + i, LANES, {{}});" for i in range(self.states) if keep]
        saves = [place.format(name) for place, name in zip(places, names)]
        waits = [place.format("all(0)") for place in places if place.startswith("save_store")]
        if first:  # where the state waits, its gradient waits too
            waits += [f"save(dS{i} + b * HP + i, LANES, {fresh[node]});" for i, node in enumerate(incoming)]
        return ["if (masked && !mask[t * B + b]) {", *waits, "continue; }", *lines, *saves]

    def _multiply_back(self, level: int) -> list[str]:
        lines = ["for (long j = first; j < last; j += 4) {", "long wide = least(4, last - j);"]
        for stage in reversed(self.stages[level]):
            s, count, start = self.all_stages.index(stage), len(stage.gates), self.gates.index(stage.gates[0])
            for k, source in enumerate(stage.sources):
                users = [x for x in self.all_stages if source in x.sources]
                fresh = int(stage is max(users, key=self.all_stages.index))
                lines.append(
                    f"(*gemm)(B, wide, {count} * H, dZ + (t * B * G + {start}) * H, G * H, U{s}_{k} + j * lines({count} * H)"
                    f" * STEP * LANES, dA{self.sources.index(source)} + j * LANES, HP, {fresh});"
                )
        return [*lines, "}"]


def loop(first: str, last: str, body: Iterable[str]) -> list[str]:
    """Over all rows, and these cache lines of units: unit i and the w - 1 after it."""
    head = "for (long b = 0; b < B; b++) { const long row = ids ? ids[t * B + b] : t * B + b;"
    lanes = f"for (long q = {first}; q < {last}; q++) {{ const long i = q * LANES, w = least(LANES, H - i);"
    return [head, lanes, *body, "}}"]


def function(name: str, arguments: dict[str, str], steps: str, body: Iterable[str], gates: int) -> str:
    sizes = [f"const long {n} = n[{k}];" for k, n in enumerate(INDEX)]
    strides = [f"const long ld{a} = n[{len(INDEX) + k}];" for k, a in enumerate(x for x in arguments if x[0] == "x")]
    pointers = [f"{kind}{a} = p[{k}];" for k, (a, kind) in enumerate(arguments.items())]
    return "\n".join(
        (
            f"void {name}(const long *n, void *const *p) {{",
            *sizes, *strides, *pointers,
            "const long blocks = (H + LANES - 1) / LANES, HP = blocks * LANES, panel = lines(H) * STEP * LANES;",
            "_Pragma(\"omp parallel num_threads(threads)\")",
            "{",
            "const long me = omp_get_thread_num(), all_ = omp_get_num_threads();",
            "const long first = blocks * me / all_, last = blocks * (me + 1) / all_;",
            f"real *room = aligned_alloc(64, {max(gates, 1)} * 4 * B * LANES * sizeof(real));",
            f"for (long {steps}) {{",
            "const long t = reverse ? T - 1 - s : s, before = reverse ? t + 1 : t, after = reverse ? t : t + 1, zt = keep ? t : 0;",
            *body,
            "}", "free(room); }", "}",
        )
    )  # fmt: skip


HEAD = """#include "lanes.h"
typedef void gemm_t(long, long, long, const store *, long, const store *, real *, long, int);
INLINE long lines(long k) { return (k + STEP - 1) / STEP; }
INLINE long least(long a, long b) { return a < b ? a : b; }
#ifdef BF16
#define keep_copy(m, at, w, x) save_store((m) + (at), w, x)
#else
#define keep_copy(m, at, w, x)
#endif
"""
