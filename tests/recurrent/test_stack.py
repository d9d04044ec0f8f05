import pytest
import torch
from torch import nn

from legato.recurrent.cells import GRU, LSTM, RNN
from legato.recurrent.lookahead import Lookahead
from legato.recurrent.scan import Lookup, mask_of, scan
from legato.recurrent.stack import Stack


def test_two_layers_both_ways_are_four_scans():
    stack = Stack(GRU, 3, 4, depth=2, both=True).double()
    xs, mask = torch.randn(5, 2, 3).double(), mask_of(torch.tensor([5, 3]), 5)
    ys, states = stack(xs, mask=mask)
    below = xs
    for layer in range(2):
        forth, first = scan(stack.cells[2 * layer], below, mask=mask)
        back, second = scan(stack.cells[2 * layer + 1], below, mask=mask, reverse=True)
        below = torch.cat((forth, back), dim=-1)
        torch.testing.assert_close(states[2 * layer], first)
        torch.testing.assert_close(states[2 * layer + 1], second)
    torch.testing.assert_close(ys, below)
    assert ys.shape[-1] == stack.outputs == 8


def test_equals_torch_with_its_weights():
    stack, true = Stack(LSTM, 3, 4, depth=2).double(), nn.LSTM(3, 4, 2).double()
    for layer, cell in enumerate(stack.cells):
        ours, theirs = torch.arange(16).view(4, 4), [0, 1, 3, 2]  # ifog: torch keeps i, f, g, o
        for k, row in enumerate(theirs):
            x, h = (getattr(true, f"weight_{part}_l{layer}")[4 * row : 4 * row + 4] for part in ("ih", "hh"))
            biases = [getattr(true, f"bias_{part}_l{layer}")[4 * row : 4 * row + 4] for part in ("ih", "hh")]
            cell.ifog.weight.data[ours[k]] = torch.cat((h, x), dim=1)
            cell.ifog.bias.data[ours[k]] = sum(biases)
    xs = torch.randn(6, 2, 3).double()
    ys, ((h, c), _) = stack(xs)
    true_ys, (true_h, true_c) = true(xs)
    torch.testing.assert_close(ys, true_ys)
    torch.testing.assert_close(h, true_h[0])
    torch.testing.assert_close(c, true_c[0])


def test_state_carries_over_and_a_lookup_is_its_rows():
    stack, table, ids = Stack(LSTM, 3, 4, depth=2).double(), torch.randn(7, 3).double(), torch.randint(0, 7, (6, 2))
    ys, states = stack(Lookup(table, ids))
    first, between = stack(table[ids[:2]])
    second, last = stack(table[ids[2:]], between)
    torch.testing.assert_close(torch.cat((first, second)), ys)
    torch.testing.assert_close(last, states)


def test_dropout_lies_between_layers_and_may_be_the_same_at_every_step():
    xs = torch.zeros(8, 2, 3)
    for same in (False, True):
        stack = Stack(RNN, 3, 64, depth=2, drop=0.5, same_mask=same)
        dropped = stack.dropped(torch.ones(8, 2, 64))
        assert set(dropped.unique().tolist()) == {0.0, 2.0}
        assert bool((dropped == dropped[0]).all()) == same
    stack.eval()
    assert torch.equal(stack(xs)[0], stack(xs)[0])


def test_a_learnt_first_state_learns():
    stack = Stack(LSTM, 3, 4, both=True, learn_start=True)
    stack(torch.randn(5, 2, 3))[0].sum().backward()
    assert [tuple(start.shape) for start in stack.starts] == [(2, 4), (2, 4)]
    assert all(start.grad.abs().sum() > 0 for start in stack.starts)


@pytest.mark.parametrize("ahead", [0, 1, 3])
@pytest.mark.parametrize("chunk", [1, 2])
def test_pushing_piece_by_piece_equals_reading_at_once_bit_for_bit(chunk, ahead):
    xs = torch.randn(7, 2, 3)
    for run in (None, scan):
        both = Lookahead(GRU(3, 4), LSTM(3, 5), chunk, ahead)
        both.scan = run or both.scan
        ys, last = both(xs)
        state, pieces = None, []
        for t in range(0, 7, chunk):
            piece, state = both.push(xs[t : t + chunk + ahead], state)
            pieces.append(piece)
        assert torch.equal(torch.cat(pieces), ys)
        assert torch.equal(last[0], state[0])


def test_look_ahead_sees_so_far_and_no_further():
    both, xs = Lookahead(GRU(3, 4), GRU(3, 4), 1, 2), torch.randn(6, 1, 3)
    ys, _ = both(xs)
    for t, changes in ((3, True), (4, False)):  # y_1 sees x_1 … x_3
        other = xs.clone()
        other[t] += 1
        assert torch.equal(both(other)[0][1], ys[1]) != changes


def test_all_ahead_is_the_whole_backward_scan():
    both, xs = Lookahead(GRU(3, 4), GRU(3, 4), 6, 0), torch.randn(6, 2, 3)
    torch.testing.assert_close(both(xs)[0][:, :, 4:], scan(both.back, xs, reverse=True)[0])
