"""A recurrent language model, sampled letter by letter: the slow loop, and the same in C.

What is drawn is decided by `uniforms`, (length, b) numbers in [0, 1), and not by a generator's state: the letter whose
share of the distribution each falls into. So both loops draw the same text, and any part of it can be drawn again.
"""

import ctypes
from collections.abc import Sequence
from ctypes import c_int, c_long, c_void_p

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from legato.kernels import gemm
from legato.kernels.build import Unavailable, from_file
from legato.kernels.gemm import BF16, F32, F64, Precision
from legato.recurrent.cells import Cell, State
from legato.recurrent.compiled import Compiled, compiled_program, packed_forward, room
from legato.recurrent.fast import warn
from legato.recurrent.program import Program
from legato.recurrent.stack import States
from legato.recurrent.trace import Reading, Untraceable

Prompt = Int[Tensor, "p b"]
Text = Int[Tensor, "t b"]
Uniforms = Float[Tensor, "t b"]


@torch.no_grad()
def sample(
    cells: Sequence[Cell],
    table: Float[Tensor, "v i"],
    head: nn.Linear,
    prompt: Prompt,
    uniforms: Uniforms,
    temperature: float = 1.0,
    states: States | None = None,
) -> tuple[Text, States]:
    """`len(uniforms)` letters after a prompt, and the states: step by step, obviously right.

    `table` holds each letter's vector; the cells lie on top of one another; temperature 0 takes the likeliest.
    """
    now: list[State] = list(states or [cell.start(table[prompt[0]]) for cell in cells])
    given, drawn = list(prompt), list[Tensor]()
    for t in range(len(prompt) + len(uniforms) - 1):
        below = table[given[t]]
        for layer, cell in enumerate(cells):
            now[layer] = cell(below, now[layer])
            below = now[layer][0]
        if t >= len(prompt) - 1:
            drawn.append(draw(head(below), temperature, uniforms[len(drawn)]))
            given.append(drawn[-1])
    return torch.stack(drawn), tuple(now)


def draw(logits: Float[Tensor, "b v"], temperature: float, uniform: Float[Tensor, "b"]) -> Int[Tensor, "b"]:
    """The letter into whose share of softmax(logits / temperature) each number falls."""
    if temperature == 0:
        return logits.argmax(-1)
    shares = (logits.double() / temperature).softmax(-1).cumsum(-1)
    return (shares <= uniform.double()[:, None] * shares[:, -1:]).sum(-1).clamp(max=logits.shape[-1] - 1)


class Sampler:
    """`sample`, with weights packed once, each letter's way through the lowest input matrix in a table, and all in C.

    precision: torch.float32, or torch.bfloat16 with float32 states. Where there is no compiler, or a cell cannot be
    read, `sample` runs. Between two letters all of the weights go past once: 12.6 MB for two LSTMs of 512 in float32.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        table: Float[Tensor, "v i"],
        head: nn.Linear,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.cells, self.table, self.head = list(cells), table.detach(), head
        self.precision = {p.store: p for p in (F64, F32, BF16)}[precision]
        try:
            self.layers = self.prepared()
            self.library = from_file("generate", self.precision.name)
        except (Unavailable, Untraceable) as why:
            warn(f"{why}; letters are sampled step by step, slowly")
            self.layers = []

    @torch.no_grad()
    def prepared(self) -> list["Layer"]:
        p, width = self.precision, self.cells[0].width
        for cell in self.cells[1:]:
            if not cell.inputs == cell.width == width:
                name = type(cell).__name__
                raise Untraceable(
                    f"a {name} of {cell.inputs} inputs, {cell.width} wide, is not as wide as what is below it"
                )
        lowest = Reading(self.cells[0], self.table, lambda x, w, b: gemm.linear(x, w, b, p))
        others = [Reading(cell, None) for cell in self.cells[1:]]
        return [Layer(reading, compiled_program(reading, p), p) for reading in (lowest, *others)]

    @torch.no_grad()
    def __call__(
        self, prompt: Prompt, uniforms: Uniforms, temperature: float = 1.0, states: States | None = None
    ) -> tuple[Text, States]:
        """Letters after the prompt (t, b), and the states; see `sample`."""
        if not self.layers:
            return sample(self.cells, self.table, self.head, prompt, uniforms, temperature, states)
        p, (count, rows), width = self.precision, uniforms.shape, self.cells[-1].width
        threads, size = torch.get_num_threads(), len(self.head.weight)
        ids = prompt[0].to(torch.int64).clone()
        told, out = prompt[1:].to(torch.int64).contiguous(), torch.empty(count, rows, dtype=torch.int64)
        calls = (LayerCall * len(self.layers))(
            *(layer.call(rows, ids, None if states is None else states[k]) for k, layer in enumerate(self.layers))
        )
        panels = gemm.packed(self.head.weight.detach().t(), p)
        bias = torch.zeros(-(-size // p.lanes) * p.lanes, dtype=p.real)
        bias[:size] = 0 if self.head.bias is None else self.head.bias.detach()
        logits = torch.empty(rows, len(bias), dtype=p.real)
        numbers = [c_long(n) for n in (count, len(told), rows, width, size, len(self.layers))]
        tensors = (panels, bias, logits, ids, told, uniforms.to(p.real).contiguous())
        heat = torch.tensor(temperature, dtype=p.real)
        self.library.generate.restype = c_long
        turn = self.library.generate(
            *(*numbers, calls, c_void_p(ctypes.cast(p.gemm.gemm, c_void_p).value), *map(gemm.address, tensors)),
            *(gemm.address(heat), gemm.address(out), c_long(0), c_int(threads)),
        )
        return out, tuple(layer.states(turn) for layer in self.layers)


class LayerCall(ctypes.Structure):
    """`layer` in generate.c."""

    _fields_ = (
        *(("step", c_void_p), ("numbers", c_void_p), ("pointers", c_void_p), ("x_store", c_long), ("x_real", c_long)),
        *(("h_store", c_void_p), ("h_real", c_void_p)),
    )


class Layer:
    """A layer's compiled step, its packed weights, and room for its state: before and after, by turns."""

    def __init__(self, reading: Reading, compiled: Compiled, p: Precision) -> None:
        self.program: Program = compiled.program
        self.function, self.p, self.width = compiled.library.forward, p, reading.width
        self.fixed: dict[str, Tensor] = {
            **{f"x{i}": s.to(p.store).contiguous() for i, s in enumerate(reading.streams)},
            **{f"v{i}": v.to(p.real).contiguous() for i, v in enumerate(reading.vectors)},
            **packed_forward(self.program, reading.weights, reading.width, p),
        }
        self.strides = [s.shape[1] for s in reading.streams]

    def call(self, rows: int, ids: Tensor, state: State | None) -> LayerCall:
        """Everything the step is told; kept here as long as C may look at it."""
        program, p, width = self.program, self.p, self.width
        self.room: dict[str, Tensor] = {"Z": torch.empty(rows, len(program.gates), width, dtype=p.store), "ids": ids}
        for i in range(program.states):
            self.room[f"S{i}"] = torch.zeros(2, rows, width, dtype=p.real)
            if state is not None:
                self.room[f"S{i}"][0] = state[i]
        for name in program.stored:
            if name[0] == "A":
                self.room[name] = room(1, rows, width, dtype=p.store)
            elif int(name[1:]) < program.states:
                copy = self.room[f"S{name[1:]}"]
                self.room[name] = room(2, rows, width, dtype=p.store).copy_(copy) if p is BF16 else copy
        tensors = {**self.fixed, **self.room}
        names = list(program.forward_arguments)
        addresses = [tensors[n].data_ptr() if n in tensors else 0 for n in names]
        addresses[names.index("gemm")] = ctypes.cast(p.gemm.gemm, c_void_p).value or 0
        self.pointers = (c_void_p * len(names))(*addresses)
        threads = gemm.threads_for(2 * rows * width * width * len(program.gates))
        sizes = [1, rows, width, threads, 0, 0, 0, *self.strides]
        self.numbers = (c_long * len(sizes))(*sizes)
        x = program.states  # the place of x among the states
        return LayerCall(
            ctypes.cast(self.function, c_void_p).value,
            *(ctypes.addressof(self.numbers), ctypes.addressof(self.pointers)),
            *(names.index(f"{kind}{x}") if f"{kind}{x}" in names else -1 for kind in "MS"),
            *(tensors["M0"].data_ptr(), tensors["S0"].data_ptr()),
        )

    def states(self, turn: int) -> State:
        return tuple(self.room[f"S{i}"][turn].clone() for i in range(self.program.states))
