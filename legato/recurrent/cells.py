"""Recurrent cells: a class for each formula, and a line of code for each line of mathematics.

A cell takes x_t and the state, and gives the next state: a tuple of tensors, the first of which is h, all that the
rest of a network sees. `sees` says which weights there are, and what each sees: W_r (h; x) + b_r is `"r": "hx"`;
`("i", "f", "o", "g"): "hx"` is four gates under one matrix, called `self.ifog` and answered as four tensors.
Shapes: x (b, i); h, c and every gate (b, n). A cell treats each row alone; that is all `fast.scan` asks of it.
"""

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn, relu, tanh
from torch import sigmoid as sigm

from legato.errors import UsageError, nearest

X = Float[Tensor, "b i"]
State = tuple[Float[Tensor, "b n"], ...]


class Gate(nn.Linear):
    """W (h; x; …) + b: what a gate weighs before it is squashed."""

    def forward(self, *parts: Tensor) -> Tensor:
        return super().forward(torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0])


class Gates(Gate):
    """Several gates under one matrix."""

    def __init__(self, inputs: int, width: int, count: int) -> None:
        super().__init__(inputs, width * count)
        self.count = count

    def forward(self, *parts: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        return super().forward(*parts).chunk(self.count, dim=-1)


class Cell(nn.Module):
    """`inputs` = i, the width of x; `width` = n, the width of h and of everything else in the state."""

    sees: ClassVar[dict[str | tuple[str, ...], str]]  # x is i wide, every other letter n
    memories: ClassVar[int] = 1  # tensors in the state
    adds_x: ClassVar[bool] = False  # x is added to h unweighed, so must be as wide

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        if self.adds_x and inputs != width:
            name = type(self).__name__
            raise UsageError(f"{name} adds x to h, but x is {inputs} wide and h {width}: put a Linear before it")
        self.inputs, self.width = inputs, width
        for gate, parts in self.sees.items():
            seen = sum(inputs if part == "x" else width for part in parts)
            self.add_module(
                "".join(gate), Gate(seen, width) if isinstance(gate, str) else Gates(seen, width, len(gate))
            )

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # self.r is a Gate

    def start(self, x: X) -> State:
        """The state before the first step: zeros."""
        return (x.new_zeros(len(x), self.width),) * self.memories


class RNN(Cell):  # Elman 1990
    sees: ClassVar = {"h": "hx"}

    def forward(self, x: X, state: State) -> State:
        (h,) = state
        return (tanh(self.h(h, x)),)


class ReluRNN(Cell):  # Le, Jaitly & Hinton 2015 start it from the identity
    sees: ClassVar = {"h": "hx"}

    def forward(self, x: X, state: State) -> State:
        (h,) = state
        return (relu(self.h(h, x)),)


class Jordan(Cell):  # Jordan 1986: what is fed back is the output y
    sees: ClassVar = {"h": "yx", "y": "h"}
    memories = 2

    def forward(self, x: X, state: State) -> State:
        y, _ = state
        h = tanh(self.h(y, x))
        y = self.y(h)
        return y, h


class LSTM(Cell):  # Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000
    sees: ClassVar = {("i", "f", "o", "g"): "hx"}
    memories = 2

    def forward(self, x: X, state: State) -> State:
        h, c = state
        i, f, o, g = self.ifog(h, x)
        c = sigm(f) * c + sigm(i) * tanh(g)
        h = sigm(o) * tanh(c)
        return h, c


class Peepholes(Cell):
    """The gates also see the memory, each unit only its own: V is diagonal, a row of n numbers for each gate."""

    memories = 2
    peeps: ClassVar[int] = 3

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width)
        self.V = nn.Parameter(torch.zeros(self.peeps, width))


class PeepholeLSTM(Peepholes):  # Gers, Schraudolph & Schmidhuber 2002; the "vanilla LSTM" of Greff et al. 2015
    sees: ClassVar = {("i", "f", "o", "g"): "hx"}

    def forward(self, x: X, state: State) -> State:
        (h, c), (Vi, Vf, Vo) = state, self.V
        i, f, o, g = self.ifog(h, x)
        c = sigm(f + Vf * c) * c + sigm(i + Vi * c) * tanh(g)
        h = sigm(o + Vo * c) * tanh(c)  # the output gate sees the new memory
        return h, c


# Greff et al. 2015, "LSTM: A Search Space Odyssey", section 3: the vanilla LSTM, each time without one thing


class NIG(Peepholes):  # no input gate: i = 1
    sees: ClassVar = {("f", "o", "g"): "hx"}
    peeps = 2

    def forward(self, x: X, state: State) -> State:
        (h, c), (Vf, Vo) = state, self.V
        f, o, g = self.fog(h, x)
        c = sigm(f + Vf * c) * c + tanh(g)
        h = sigm(o + Vo * c) * tanh(c)
        return h, c


class NFG(Peepholes):  # no forget gate: f = 1, the cell of 1997
    sees: ClassVar = {("i", "o", "g"): "hx"}
    peeps = 2

    def forward(self, x: X, state: State) -> State:
        (h, c), (Vi, Vo) = state, self.V
        i, o, g = self.iog(h, x)
        c = c + sigm(i + Vi * c) * tanh(g)
        h = sigm(o + Vo * c) * tanh(c)
        return h, c


class NOG(Peepholes):  # no output gate: o = 1
    sees: ClassVar = {("i", "f", "g"): "hx"}
    peeps = 2

    def forward(self, x: X, state: State) -> State:
        (h, c), (Vi, Vf) = state, self.V
        i, f, g = self.ifg(h, x)
        c = sigm(f + Vf * c) * c + sigm(i + Vi * c) * tanh(g)
        h = tanh(c)
        return h, c


class NIAF(PeepholeLSTM):  # no input activation function: g for tanh(g)
    def forward(self, x: X, state: State) -> State:
        (h, c), (Vi, Vf, Vo) = state, self.V
        i, f, o, g = self.ifog(h, x)
        c = sigm(f + Vf * c) * c + sigm(i + Vi * c) * g
        h = sigm(o + Vo * c) * tanh(c)
        return h, c


class NOAF(PeepholeLSTM):  # no output activation function: c for tanh(c)
    def forward(self, x: X, state: State) -> State:
        (h, c), (Vi, Vf, Vo) = state, self.V
        i, f, o, g = self.ifog(h, x)
        c = sigm(f + Vf * c) * c + sigm(i + Vi * c) * tanh(g)
        h = sigm(o + Vo * c) * c
        return h, c


class NP(LSTM):  # no peepholes
    pass


class CIFG(Peepholes):  # coupled input and forget gate: f = 1 − i
    sees: ClassVar = {("i", "o", "g"): "hx"}
    peeps = 2

    def forward(self, x: X, state: State) -> State:
        (h, c), (Vi, Vo) = state, self.V
        i, o, g = self.iog(h, x)
        i = sigm(i + Vi * c)
        c = (1 - i) * c + i * tanh(g)
        h = sigm(o + Vo * c) * tanh(c)
        return h, c


class FGR(Peepholes):  # full gate recurrence: the gates also see all gates of the step before
    sees: ClassVar = {("i", "f", "o"): "hxifo", "g": "hx"}
    memories = 5

    def forward(self, x: X, state: State) -> State:
        (h, c, i, f, o), (Vi, Vf, Vo) = state, self.V
        i, f, o = self.ifo(h, x, i, f, o)
        i, f = sigm(i + Vi * c), sigm(f + Vf * c)
        c = f * c + i * tanh(self.g(h, x))
        o = sigm(o + Vo * c)
        h = o * tanh(c)
        return h, c, i, f, o


class GRU(Cell):  # Cho et al. 2014, as lectured: r resets h before the matrix, z keeps (in the MUTs it writes)
    sees: ClassVar = {("r", "z"): "hx", "h": "hx"}

    def forward(self, x: X, state: State) -> State:
        (h,) = state
        r, z = self.rz(h, x)
        g = tanh(self.h(sigm(r) * h, x))
        return (sigm(z) * h + (1 - sigm(z)) * g,)


class CudnnGRU(Cell):  # what nn.GRU computes: r resets U h + b after the matrix, which takes a bias more
    sees: ClassVar = {("r", "z"): "hx", "x": "x", "h": "h"}

    def forward(self, x: X, state: State) -> State:
        (h,) = state
        r, z = self.rz(h, x)
        g = tanh(self.x(x) + sigm(r) * self.h(h))
        return (sigm(z) * h + (1 - sigm(z)) * g,)


# Jozefowicz, Zaremba & Sutskever 2015, "An Empirical Exploration of Recurrent Network Architectures", section 3.3


class MUT1(Cell):
    adds_x = True
    sees: ClassVar = {"z": "x", "r": "hx", "h": "h"}

    def forward(self, x: X, state: State) -> State:
        (h,) = state
        z = sigm(self.z(x))
        r = sigm(self.r(h, x))
        return (tanh(self.h(r * h) + tanh(x)) * z + h * (1 - z),)


class MUT2(Cell):
    adds_x = True
    sees: ClassVar = {"z": "hx", "r": "h", "h": "hx"}

    def forward(self, x: X, state: State) -> State:
        (h,) = state
        z = sigm(self.z(h, x))
        r = sigm(x + self.r(h))
        return (tanh(self.h(r * h, x)) * z + h * (1 - z),)


class MUT3(Cell):
    sees: ClassVar = {"z": "hx", "r": "hx", "h": "hx"}

    def forward(self, x: X, state: State) -> State:
        (h,) = state
        z = sigm(self.z(tanh(h), x))
        r = sigm(self.r(h, x))
        return (tanh(self.h(r * h, x)) * z + h * (1 - z),)


# Numerical solvers are recurrence relations: h' = f(h, x), with f learnt


class Euler(Cell):
    sees: ClassVar = {"w": "hx", "v": "h"}
    dt: ClassVar[float] = 0.1

    def f(self, h: Tensor, x: Tensor) -> Tensor:
        return self.v(tanh(self.w(h, x)))

    def forward(self, x: X, state: State) -> State:
        (h,) = state
        return (h + self.dt * self.f(h, x),)


class RungeKutta(Euler):  # Kutta 1901, fourth order; x stands still during a step
    def forward(self, x: X, state: State) -> State:
        (h,), f, dt = state, self.f, self.dt
        k1 = f(h, x)
        k2 = f(h + dt / 2 * k1, x)
        k3 = f(h + dt / 2 * k2, x)
        k4 = f(h + dt * k3, x)
        return (h + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4),)


CELLS: dict[str, type[Cell]] = {
    cell.__name__.lower(): cell
    for cell in (
        *(RNN, ReluRNN, Jordan, LSTM, PeepholeLSTM, GRU, CudnnGRU, MUT1, MUT2, MUT3),
        *(NIG, NFG, NOG, NIAF, NOAF, NP, CIFG, FGR, Euler, RungeKutta),
    )
}


def lookup(name: str) -> type[Cell]:
    """The cell of this name. Raises UsageError with the nearest one."""
    if name not in CELLS:
        raise UsageError(f"no cell called {name!r}{nearest(name, CELLS)}")
    return CELLS[name]
