"""torch's own layers are the cells they are named after: outputs, states and every gradient."""

import pytest
import torch

from legato.recurrent import fast, vendor
from legato.recurrent.cells import CELLS, LSTM
from legato.recurrent.scan import scan
from tests.recurrent.made import cell_of, everything, relative, sequence

NAMES = [name for name, kind in CELLS.items() if kind in vendor.KNOWN]


def by_vendor(cell, xs, state=None, mask=None, reverse=False):
    return vendor.scan(cell, xs, state, reverse)


def test_four_cells_are_known():
    assert len(NAMES) == 4


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_reference(name, reverse):
    cell = cell_of(name, inputs=3)
    xs, state = sequence(cell)
    found, true = (everything(f, cell, xs, state, mask=None, reverse=reverse) for f in (by_vendor, scan))
    assert max(relative(a, b) for a, b in zip(found, true, strict=True)) < 1e-10


def test_begins_at_zero_where_nothing_is_said():
    cell = LSTM(3, 4).double()
    xs = torch.randn(5, 2, 3, dtype=torch.float64)
    for a, b in zip(vendor.scan(cell, xs)[1], scan(cell, xs)[1], strict=True):
        torch.testing.assert_close(a, b)


def test_a_user_s_cell_and_a_mask_are_not_known():
    class Own(LSTM):
        pass

    assert not vendor.knows(Own(3, 4), None)
    assert not vendor.knows(LSTM(3, 4), torch.ones(5, 2, dtype=torch.bool))
    assert vendor.knows(LSTM(3, 4), None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", NAMES)
def test_on_a_gpu_the_fast_scan_is_the_vendor_s(name):
    cell = cell_of(name, inputs=3, dtype=torch.float32)
    xs, state = sequence(cell)
    true = scan(cell, xs, state)[0]
    found = fast.scan(cell.cuda(), xs.cuda(), tuple(s.cuda() for s in state))[0]
    torch.testing.assert_close(found.cpu(), true, rtol=1e-3, atol=1e-4)
