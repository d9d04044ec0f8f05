from typing import ClassVar

import pytest
import torch
from torch import nn

from legato.errors import Notice, UsageError
from legato.kernels import build, gemm
from legato.recurrent import compiled, fast
from legato.recurrent.cells import CELLS, LSTM, Cell
from legato.recurrent.scan import Lookup, mask_of, scan
from tests.recurrent.made import cell_of, everything, relative, sequence


def error(found, expected):
    return max(relative(a, b) for a, b in zip(found, expected, strict=True))


@pytest.fixture
def no_compiler(monkeypatch):
    monkeypatch.setenv("LEGATO_KERNELS", "off")
    for cached in (build.compiler, build.from_file):
        cached.cache_clear()
    fast.WARNED.clear()
    compiled.PROGRAMS.clear()
    yield
    for cached in (build.compiler, build.from_file):
        cached.cache_clear()
    compiled.PROGRAMS.clear()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_equals_the_reference(name, reverse):
    cell = cell_of(name, inputs=3)
    xs, state = sequence(cell)
    for mask in (None, mask_of(torch.tensor([1, 4, 2]), 4)):
        how = {"mask": mask, "reverse": reverse}
        assert error(everything(fast.scan, cell, xs, state, **how), everything(scan, cell, xs, state, **how)) < 1e-10


@pytest.mark.parametrize("width", [16, 37, 64])
@pytest.mark.parametrize("name", ["lstm", "gru", "mut3"])
def test_equals_the_reference_in_float32_at_any_width(name, width):
    cell = cell_of(name, inputs=9, width=width, dtype=torch.float32, scale=width**-0.5)
    xs, state = sequence(cell, steps=12, rows=7)
    truth = everything(scan, cell.double(), xs.double(), [s.double() for s in state])
    assert error(everything(fast.scan, cell.float(), xs, state), truth) < 1e-5


@pytest.mark.parametrize(("name", "width"), [("lstm", 64), ("peepholelstm", 37), ("gru", 64), ("mut2", 33)])
def test_bfloat16_gradients_are_within_its_own_rounding(name, width):
    cell = cell_of(name, inputs=64, width=width, dtype=torch.float32, scale=width**-0.5)
    xs, state = sequence(cell, steps=20, rows=50)
    state = tuple(0.4 * s for s in state)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = everything(fast.scan, cell, xs, state)
    assert found[0].dtype == torch.bfloat16
    assert {t.dtype for t in found[1:]} == {torch.float32}
    assert error(found, everything(scan, cell.double(), xs.double(), [s.double() for s in state])) < 6e-3


@pytest.mark.parametrize("name", ["lstm", "mut1", "mut2"])
@pytest.mark.parametrize("words", [6, 600])
def test_a_table_is_weighed_once_a_word_and_learns_the_same(name, words):
    cell = cell_of(name)
    table = torch.randn(words, 5, dtype=torch.float64, requires_grad=True)
    ids = torch.randint(0, words, (4, 3))
    both = []
    for run in (scan, fast.scan):
        hs, _ = run(cell, Lookup(table, ids))
        both.append([hs, *torch.autograd.grad(hs.sin().sum(), [table, *cell.parameters()])])
    assert error(both[1], both[0]) < 1e-12


def test_a_row_does_not_depend_on_its_neighbours():
    cell = LSTM(9, 37)
    xs = torch.randn(6, 13, 9)
    together, _ = fast.scan(cell, xs)
    alone = [fast.scan(cell, xs[:, row : row + 1])[0] for row in range(13)]
    assert torch.equal(together, torch.cat(alone, dim=1))


def test_number_of_threads_changes_nothing(monkeypatch):
    monkeypatch.setattr(gemm, "WORTH_A_THREAD", 1)
    cell, xs, before = LSTM(9, 37), torch.randn(6, 13, 9), torch.get_num_threads()
    hs = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        hs.append(fast.scan(cell, xs)[0])
    torch.set_num_threads(before)
    assert torch.equal(hs[0], hs[1])
    assert torch.equal(hs[0], hs[2])


@pytest.mark.parametrize("name", ["lstm", "mut3", "fgr", "rungekutta", "mut2"])
def test_without_a_compiler_the_same_graph_runs_through_torch(name, no_compiler):
    cell = cell_of(name)
    xs, state = sequence(cell)
    mask = mask_of(torch.tensor([1, 4, 2]), 4)
    with pytest.warns(UserWarning, match="switched off") as told:
        found = everything(fast.scan, cell, xs, state, mask=mask)
    assert len(told) == 1
    assert "\n" not in str(told[0].message)
    assert told[0].category is Notice, "one line on the command line, without legato's source"
    assert error(found, everything(scan, cell, xs, state, mask=mask)) < 1e-12
    everything(fast.scan, cell, xs, state)  # told once


def test_no_gradient_is_kept_where_none_is_wanted():
    cell = LSTM(4, 8)
    with torch.no_grad():
        hs, _ = fast.scan(cell, torch.randn(3, 2, 4))
    assert hs.grad_fn is None


def test_a_watched_cell_runs_step_by_step():
    cell, seen = LSTM(4, 8), []
    cell.register_forward_hook(lambda module, given, gave: seen.append(gave[0]))
    fast.scan(cell, torch.randn(3, 2, 4))
    assert len(seen) == 3


# a user's own cells, in the user's own file


class Leaky(Cell):
    """Parameters of every shape, words for names, and torch functions the library's cells do not use."""

    sees: ClassVar = {("keep", "write"): "xh", "h": "h"}

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width)
        self.rate = nn.Parameter(torch.tensor(0.3))
        self.scale = nn.Parameter(torch.ones(width))
        self.mix = nn.Parameter(torch.eye(width))

    def forward(self, x, state):
        (h,) = state
        keep, write = torch.sigmoid(self.keepwrite(x, h)[0]), self.keepwrite(x, h)[1]
        new = torch.nn.functional.softplus(write) - torch.log(1 + (h @ self.mix) ** 2) / 2 + torch.cos(h).abs()
        return (torch.lerp(h, torch.tanh(self.scale * new), self.rate) * keep + torch.relu(self.h(h)) * 0.1,)


class Diagonal(Cell):
    """No matrix sees the state at all."""

    sees: ClassVar = {"u": "x"}

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width)
        self.a = nn.Parameter(torch.rand(width))

    def forward(self, x, state):
        (h,) = state
        return (self.a * h + self.u(x),)


class Doubled(Cell):
    """One matrix seen twice, a memory that is read late, and gates below gates."""

    sees: ClassVar = {"a": "hx", "b": "hc"}
    memories = 2

    def forward(self, x, state):
        h, c = state
        a = torch.tanh(self.a(h, x))
        c = torch.tanh(self.b(a * c, h)) + 0.5 * c
        return torch.tanh(self.b(c, a)) + self.a(c, x), c


class Softmaxed(Cell):
    sees: ClassVar = {"h": "hx"}

    def forward(self, x, state):
        (h,) = state
        return (torch.softmax(self.h(h, x), -1),)


@pytest.mark.parametrize("kind", [Leaky, Diagonal, Doubled])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_users_own_cell(kind, reverse):
    cell = kind(3, 5).double()
    xs, state = sequence(cell)
    mask = mask_of(torch.tensor([4, 2, 3]), 4)
    how = {"mask": mask, "reverse": reverse}
    assert error(everything(fast.scan, cell, xs, state, **how), everything(scan, cell, xs, state, **how)) < 1e-10


def test_what_cannot_be_traced_runs_slowly_and_names_the_line():
    cell = Softmaxed(3, 5).double()
    xs, state = sequence(cell)
    fast.WARNED.clear()
    with pytest.warns(UserWarning, match=r"Softmaxed, line \d+, `return \(torch.softmax.*softmax\(\) mixes .* write"):
        hs, _ = fast.scan(cell, xs, state)
    assert torch.equal(hs, scan(cell, xs, state)[0])


class Bare(Softmaxed):
    def forward(self, x, state):
        return torch.tanh(self.h(state[0], x))


class Twofold(Softmaxed):
    def forward(self, x, state):
        return torch.tanh(self.h(state[0], x)), state[0]


class Mistaken(Softmaxed):
    def forward(self, x, state):
        return (self.q(state[0]),)


def test_a_mistake_in_a_cell_is_told_with_file_and_line():
    with pytest.raises(UsageError, match=r"test_fast\.py:\d+, `return \(self\.q\(state.*: AttributeError: .*'q'"):
        fast.scan(Mistaken(3, 5), torch.randn(4, 2, 3))


@pytest.mark.parametrize(
    ("kind", "told"),
    [(Bare, r"Bare: forward gives no tuple.*return \(h,\)"), (Twofold, r"Twofold gives 2 .*`memories`")],
)
def test_a_cell_that_nothing_can_carry_on_is_refused(kind, told):
    with pytest.raises(UsageError, match=told):
        fast.scan(kind(3, 5), torch.randn(4, 2, 3))


def test_a_second_derivative_is_refused():
    cell = LSTM(3, 4).double()
    xs = torch.randn(2, 2, 3).double().requires_grad_()
    (gradient,) = torch.autograd.grad(fast.scan(cell, xs)[0].sum(), xs, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad"):
        gradient.sum().backward()
