import pytest
import torch

from legato.recurrent.cells import GRU, LSTM
from legato.recurrent.scan import scan
from legato.recurrent.truncated import truncated, windows


def test_windows_cover_every_loss_once():
    for sliding in (False, True):
        for steps in range(1, 9):
            for size in range(1, 5):
                found = windows(steps, size, sliding)
                assert [t for w in found for t in range(w.counted, w.stop)] == list(range(steps))
                assert all(0 < w.stop - w.start <= size for w in found)


@pytest.mark.parametrize("kind", [GRU, LSTM])
@pytest.mark.parametrize("sliding", [False, True])
def test_states_go_on_for_ever(kind, sliding):
    cell, xs = kind(3, 4).double(), torch.randn(7, 2, 3).double()
    hs = torch.cat([part for _, part in truncated(cell, xs, 3, sliding)])
    torch.testing.assert_close(hs, scan(cell, xs)[0])


def test_a_window_as_long_as_the_sequence_is_all_of_it():
    cell, xs = GRU(3, 4).double(), torch.randn(5, 2, 3).double()
    ((_, hs),) = truncated(cell, xs, 5)
    found = torch.autograd.grad(hs.sin().sum(), list(cell.parameters()))
    torch.testing.assert_close(found, torch.autograd.grad(scan(cell, xs)[0].sin().sum(), list(cell.parameters())))
