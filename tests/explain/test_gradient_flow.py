"""Gradients back through time, in a network that has read a text."""

import pytest
import torch
from torch.autograd.functional import jacobian

from legato.explain.cells import gates, track
from legato.explain.flow import back_norms, kept, reach
from legato.recurrent.cells import GRU, LSTM, RNN


def read(kind, reverse=False, steps=9):
    torch.manual_seed(0)
    return track("", kind(3, 4).double(), torch.randn(steps, 1, 3).double(), reverse=reverse)


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
@pytest.mark.parametrize("reverse", [False, True])
def test_norms_are_those_of_products_of_jacobians_where_the_text_was_read(kind, reverse):
    """∂(h, c)_T/∂(h, c)_{T−k} of the whole state by the chain rule; ∂c_T/∂c_{T−k} is its block, and the way by h.

    h_t = o_t tanh(c_t), so that ∂h_t/∂c_t = diag(o_t (1 − tanh² c_t)).
    """
    one, end, steps, n = read(kind, reverse), 7, 4, 4
    in_order = (lambda s: s.flip(0)) if reverse else (lambda s: s)
    turned, xs = [in_order(s) for s in one.before], in_order(one.xs)

    def step(t):
        def f(joined):
            return torch.cat(one.cell(xs[t], joined.split(n, dim=-1)), dim=-1)

        return jacobian(f, torch.cat([s[t] for s in turned], dim=-1))[0, :, 0]

    expected, product = [], torch.eye(n * len(turned)).double()
    for k in range(steps + 1):
        block = product[-n:, -n:]
        if kind is LSTM:
            o, c = in_order(gates(one)["o"])[end - k, 0], in_order(one.after[1])[end - k, 0]
            block = block + product[-n:, :n] @ torch.diag(o * (1 - torch.tanh(c) ** 2))
        expected.append(torch.linalg.matrix_norm(block, 2))
        product = product @ step(end - k)
    found = back_norms(one, [end], steps, which=len(turned) - 1)
    torch.testing.assert_close(found[0], torch.stack(expected))


def test_what_is_kept_is_the_product_of_forget_gates():
    one = read(LSTM)
    f = gates(one)["f"]
    found = kept(f, [5, 8], 3)
    assert found.shape == (2, 4, 4)
    torch.testing.assert_close(found[0, 0], torch.ones(4).double())
    torch.testing.assert_close(found[0, 3], f[5, 0] * f[4, 0] * f[3, 0])
    torch.testing.assert_close(found[1, 2], f[8, 0] * f[7, 0])


def test_reach_in_words():
    assert reach(torch.tensor([1.0, 0.5, 0.009, 0.0])) == "is below 1.0 % after 2 steps"
    assert reach(torch.tensor([1.0, 1.5])) == "is still 1.5 after 1 steps"
