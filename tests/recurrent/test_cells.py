import numpy as np
import pytest
import torch

from legato.errors import UsageError
from legato.recurrent.cells import CELLS, LSTM, MUT1, lookup
from tests.recurrent.formulas import FORMULAS
from tests.recurrent.made import cell_of, sequence


def weights_of(cell):
    """W_gate,part, its bias, and the other parameters, out of the cell's own matrices."""
    found, biases = {}, {}
    for gates, parts in cell.sees.items():
        layer, n = getattr(cell, "".join(gates)), cell.width
        columns = np.cumsum([0] + [cell.inputs if part == "x" else n for part in parts])
        for k, gate in enumerate(gates):
            biases[gate] = layer.bias[k * n : k * n + n].detach().numpy()
            for j, part in enumerate(parts):
                block = layer.weight[k * n : k * n + n, columns[j] : columns[j + 1]]
                found[gate, part] = block.detach().numpy()
    others = {name: p.detach().numpy() for name, p in cell.named_parameters() if "." not in name}
    return lambda gate, part: found[gate, part], lambda gate: biases[gate], others


@pytest.mark.parametrize("name", CELLS)
def test_equals_its_formula_written_a_second_time(name):
    cell = cell_of(name, inputs=3)
    xs, state = sequence(cell)
    expected = FORMULAS[name](*weights_of(cell), xs[0].numpy(), *(s.numpy() for s in state))
    for new, true in zip(cell(xs[0], state), expected, strict=True):
        np.testing.assert_allclose(new.detach().numpy(), true, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_starts_from_zeros(name):
    cell = cell_of(name, inputs=3)
    xs, state = sequence(cell)
    assert [s.shape for s in cell.start(xs[0])] == [s.shape for s in state]
    assert not any(s.any() for s in cell.start(xs[0]))


i, n = 7, 5
COUNTS = {
    "rnn": n * (i + n) + n,
    "relurnn": n * (i + n) + n,
    "jordan": n * (i + n) + n + n * n + n,
    "lstm": 4 * (n * (i + n) + n),
    "np": 4 * (n * (i + n) + n),
    "peepholelstm": 4 * (n * (i + n) + n) + 3 * n,
    "niaf": 4 * (n * (i + n) + n) + 3 * n,
    "noaf": 4 * (n * (i + n) + n) + 3 * n,
    "nig": 3 * (n * (i + n) + n) + 2 * n,
    "nfg": 3 * (n * (i + n) + n) + 2 * n,
    "nog": 3 * (n * (i + n) + n) + 2 * n,
    "cifg": 3 * (n * (i + n) + n) + 2 * n,
    "fgr": 4 * (n * (i + n) + n) + 3 * n + 9 * n * n,
    "gru": 3 * (n * (i + n) + n),
    "cudnngru": 3 * (n * (i + n) + n) + n,
    "mut1": 4 * n * n + 3 * n,
    "mut2": 5 * n * n + 3 * n,
    "mut3": 3 * (n * (i + n) + n),
    "euler": n * (i + n) + n + n * n + n,
    "rungekutta": n * (i + n) + n + n * n + n,
}


@pytest.mark.parametrize("name", CELLS)
def test_has_as_many_parameters_as_its_formula(name):
    cell = CELLS[name](n if CELLS[name].adds_x else i, n)
    assert sum(p.numel() for p in cell.parameters()) == COUNTS[name]


def test_a_name_that_does_not_exist_is_answered_with_the_nearest():
    assert lookup("lstm") is LSTM
    with pytest.raises(UsageError, match="no cell called 'mutt1'; did you mean mut1"):
        lookup("mutt1")


def test_shapes_are_checked():
    with pytest.raises(Exception, match="b n"):
        LSTM(3, 5)(torch.zeros(2, 3), (torch.zeros(3, 5), torch.zeros(3, 5)))  # beartype looks at one of them


def test_mut1_says_what_to_do_when_x_is_not_as_wide_as_h():
    with pytest.raises(UsageError, match="put a Linear before it"):
        MUT1(3, 5)
