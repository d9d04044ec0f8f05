import pytest
import torch

from legato.recurrent import fast
from legato.recurrent.cells import CELLS, Jordan
from legato.recurrent.scan import Lookup, forced, mask_of, scan
from tests.recurrent.made import cell_of, sequence

SCANS = pytest.mark.parametrize("run", [scan, fast.scan], ids=["reference", "fast"])


@SCANS
@pytest.mark.parametrize("name", ["lstm", "mut3", "fgr"])
def test_two_halves_are_the_whole(run, name):
    cell = cell_of(name)
    xs, state = sequence(cell, steps=6)
    hs, final = run(cell, xs, state)
    first, between = run(cell, xs[:2], state)
    second, last = run(cell, xs[2:], between)
    assert torch.equal(torch.cat((first, second)), hs)
    assert all(torch.equal(a, b) for a, b in zip(last, final))


@SCANS
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", ["gru", "peepholelstm", "mut1"])
def test_padding_changes_nothing_in_either_direction(run, name, reverse):
    cell = cell_of(name)
    xs, state = sequence(cell, steps=5)
    lengths = torch.tensor([5, 2, 4])
    hs, final = run(cell, xs, state, mask=mask_of(lengths, 5), reverse=reverse)
    for row, length in enumerate(lengths.tolist()):
        alone = tuple(s[row : row + 1] for s in state)
        true_hs, true_final = run(cell, xs[:length, row : row + 1], alone, reverse=reverse)
        torch.testing.assert_close(hs[:length, row : row + 1], true_hs, rtol=0, atol=1e-14)
        for a, b in zip(final, true_final):
            torch.testing.assert_close(a[row : row + 1], b, rtol=0, atol=1e-14)


@SCANS
def test_backwards_is_forwards_over_the_reversed_sequence(run):
    cell = cell_of("lstm")
    xs, state = sequence(cell)
    hs, final = run(cell, xs, state, reverse=True)
    forwards, same = run(cell, xs.flip(0), state)
    assert torch.equal(hs, forwards.flip(0))
    assert all(torch.equal(a, b) for a, b in zip(final, same))


@SCANS
@pytest.mark.parametrize("name", CELLS)
def test_gradients_are_those_of_finite_differences(run, name):
    cell = cell_of(name, inputs=2, width=2)
    xs, state = sequence(cell, steps=3, rows=2)
    inputs = [t.requires_grad_() for t in (xs, *state)]
    parameters = list(cell.parameters())

    def function(xs, *rest):
        hs, final = run(cell, xs, tuple(rest[: cell.memories]))
        return hs, *final

    assert torch.autograd.gradcheck(function, (*inputs, *parameters))


def test_a_lookup_is_the_rows_it_names():
    table, ids = torch.randn(7, 3), torch.randint(0, 7, (4, 2))
    assert torch.equal(Lookup(table, ids).xs(), torch.stack([table[row] for row in ids]))


def test_teacher_forcing_tells_each_step_the_true_output():
    cell = Jordan(2, 3).double()
    xs, ys = torch.randn(4, 2, 2).double(), torch.randn(4, 2, 3).double()
    hs, _ = forced(cell, xs, ys)
    for t in range(4):
        told = ys[t - 1] if t else torch.zeros(2, 3).double()
        torch.testing.assert_close(hs[t], cell(xs[t], (told, told))[0])
