"""A reading arranged: which gates can be multiplied at once, and what must wait for what.

A step goes level by level. A level's gates are multiplied together, where they weigh the same sources in one product
(a stage); then what the next level weighs, or the new state, is computed from them. An LSTM has one level, a GRU two
(r must be known before r ⊙ h can be weighed), Runge and Kutta's cell eight.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from legato.recurrent.graph import Graph


@dataclass(frozen=True)
class Stage:
    """Gates that weigh the same sources: one product."""

    index: int
    sources: tuple[int, ...]
    gates: tuple[int, ...]


class Program:
    """What a reading computes, in its order. A source is what gates weigh: a state as it is (raw), or an expression."""

    def __init__(self, graph: Graph, outputs: Sequence[int], states: int) -> None:
        self.graph, self.outputs, self.states = Graph(graph.code), tuple(outputs), states
        self.levels = self.arranged()
        self.stages = [stage for level in self.levels for stage in level]
        self.gates = [gate for stage in self.stages for gate in stage.gates]
        self.sources = list(dict.fromkeys(source for stage in self.stages for source in stage.sources))
        state = {self.graph.node("state", value=i): i for i in range(states + 1)}  # the last: x, if not known before
        used = self.graph.below([*self.outputs, *self.sources])
        self.raw = {source: state[source] for source in self.sources if source in state}
        self.inputs = [i for node, i in state.items() if i == states and node in used]
        self.before = self.waiting()
        self.computed = [source for sources in self.before for source in sources]
        code = self.graph.code
        self.loose_streams = [
            code[node][2] for node in used if code[node][0] == "stream"
        ]  # not what a gate starts from
        self.loose_vectors = [code[node][2] for node in used if code[node][0] == "vector"]
        self.products = [(stage.index, k) for stage in self.stages for k in range(len(stage.sources))]
        self.widest = 4  # lines of units that are multiplied together, at most

    def arranged(self) -> list[list[Stage]]:
        """The stages by level: the number of products that must be done before."""
        code, level = self.graph.code, dict[int, int]()
        groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        for gate, (op, args, _) in enumerate(code):
            if op == "gate":
                level[gate] = 1 + max(
                    (level[inside] for inside in self.graph.below(args) if inside in level), default=-1
                )
                groups.setdefault((level[gate], args[1:]), []).append(gate)
        levels: list[list[Stage]] = [[] for _ in range(1 + max(level.values(), default=-1))]
        for index, (height, sources) in enumerate(sorted(groups)):
            gates = sorted(groups[height, sources], key=lambda gate: code[gate][2])  # rows of a matrix lie together
            levels[height].append(Stage(index, sources, tuple(gates)))
        return levels

    def waiting(self) -> list[list[int]]:
        """Sources that are computed just before each level: neither states, nor wanted earlier."""
        done, lists = set(self.raw), []
        for level in self.levels:
            new = list(dict.fromkeys(s for stage in level for s in stage.sources if s not in done))
            done |= set(new)
            lists.append(new)
        return lists

    # the tensors that C is told of, in this order, and their types there

    @property
    def stored(self) -> list[str]:
        """What products read: M is a copy of a state, A what is computed."""
        copies = sorted({0, *self.raw.values(), *self.inputs})
        return [f"M{i}" for i in copies] + [f"A{k}" for k in range(len(self.computed))]

    def buffer(self, source: int) -> str:
        """Where a product finds a source, for all rows of this step."""
        if source not in self.raw:
            return f"A{self.computed.index(source)} + kept * B * H"
        i = self.raw[source]
        return f"M{i} + {'before' if i < self.states else 't'} * B * H"

    @property
    def given(self) -> dict[str, str]:
        streams, vectors = (
            sorted({v[0] for op, _, v in self.graph.code if op == kind}) for kind in ("stream", "vector")
        )
        return {
            "gemm": "gemm_t *const ",
            "ids": "const int64_t *",
            "mask": "const uint8_t *",
            **{f"x{i}": "const store *" for i in streams},
            **{f"v{i}": "const real *" for i in vectors},
            **{f"U{s}_{k}": "const store *" for s, k in self.products},
        }

    @property
    def forward_arguments(self) -> dict[str, str]:
        return {
            **self.given,
            **{f"S{i}": "real *" for i in [*range(self.states), *self.inputs]},
            **dict.fromkeys(self.stored, "store *"),
            "Z": "store *",
        }

    @property
    def backward_arguments(self) -> dict[str, str]:
        return {
            **self.given,
            **{f"S{i}": "const real *" for i in range(self.states)},
            "Z": "const store *",
            "dH": "const store *",
            "dZ": "store *",
            **{f"dS{i}": "real *" for i in range(self.states)},
            **{f"dA{k}": "real *" for k in range(len(self.sources))},
            **{f"dx{m}": "store *" for m in range(len(self.loose_streams))},
            **{f"dv{m}": "real *" for m in range(len(self.loose_vectors))},
        }
