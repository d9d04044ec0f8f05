"""LEDGER rows R1-R16, R18 and the errata E2, E5, E6, E11, E12, where the recurrent floor answers for them."""

import numpy as np
import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.recurrent.cells import CELLS, GRU, LSTM, MUT1, MUT2, MUT3, RNN, CudnnGRU, Jordan, PeepholeLSTM, RungeKutta
from legato.recurrent.fast import scan as fast_scan
from legato.recurrent.gradient_flow import jacobian_norms, set_singular_value
from legato.recurrent.lookahead import Lookahead
from legato.recurrent.scan import forced, scan
from legato.recurrent.stack import Stack
from legato.recurrent.truncated import truncated, windows

SCANS = pytest.mark.parametrize("run", [scan, fast_scan], ids=["reference", "fast"])


class LecturesRNN:  # CS231n's snippet, as printed
    def step(self, x):
        self.h = np.tanh(np.dot(self.W_hh, self.h) + np.dot(self.W_xh, x))
        return np.dot(self.W_hy, self.h)


@SCANS
def test_R1_equals_the_lectures_numpy_snippet(run):
    cell, head = RNN(3, 5).double(), nn.Linear(5, 2, bias=False).double()
    nn.init.zeros_(cell.h.bias)
    lecture, W = LecturesRNN(), cell.h.weight.detach().numpy()
    lecture.W_hh, lecture.W_xh, lecture.W_hy, lecture.h = W[:, :5], W[:, 5:], head.weight.detach().numpy(), np.zeros(5)
    xs = torch.randn(6, 1, 3).double()
    ys = head(run(cell, xs)[0])
    for t in range(6):
        np.testing.assert_allclose(ys[t, 0].detach(), lecture.step(xs[t, 0].numpy()), rtol=0, atol=1e-6)


@SCANS
def test_R2_a_runge_kutta_cell_solves_an_equation_to_fourth_order(run):
    errors = []
    for steps in (10, 20):  # h' = 1 - tanh(h)², h(0) = 0: sinh(2h) + 2h = 4t

        class Solver(RungeKutta):
            dt = 1 / steps

            def f(self, h, x):
                return 1 - torch.tanh(h) ** 2

        h = run(Solver(1, 1).double(), torch.zeros(steps, 1, 1).double())[0][-1].item()
        errors.append(abs(np.sinh(2 * h) + 2 * h - 4))
    assert errors[1] < 1e-6
    assert 12 < errors[0] / errors[1] < 20  # half the step, a sixteenth of the error


def test_R2_a_solver_learns_a_differential_equation():
    torch.manual_seed(0)
    t = torch.linspace(0, 3, 31)[:, None, None]
    true = torch.cat((torch.cos(t), -torch.sin(t)), dim=-1)  # x' = y, y' = -x
    cell, x = CELLS["euler"](1, 2), torch.zeros(30, 1, 1)
    rule = torch.optim.Adam(cell.parameters(), lr=0.1)
    for _ in range(60):
        loss = (fast_scan(cell, x, (true[0],))[0] - true[1:]).square().mean()
        rule.zero_grad()
        loss.backward()
        rule.step()
    assert loss < 0.02


def test_R3_five_layouts():
    cell, x, xs = GRU(3, 4), torch.randn(2, 3), torch.randn(5, 2, 3)
    one_to_one = cell(x, cell.start(x))[0]
    assert one_to_one.shape == (2, 4)
    one_to_many = fast_scan(cell, torch.cat((x[None], torch.zeros(4, 2, 3))))[0]
    assert one_to_many.shape == (5, 2, 4)
    many_to_one = fast_scan(cell, xs)[1][0]
    assert many_to_one.shape == (2, 4)
    many_to_many = fast_scan(cell, xs)[0]
    assert many_to_many.shape == (5, 2, 4)
    code = fast_scan(cell, xs)[1]  # and the second kind: read all, then write
    written = fast_scan(cell, torch.zeros(7, 2, 3), code)[0]
    assert written.shape == (7, 2, 4)


@SCANS
def test_R4_one_matrix_is_shared_by_all_steps(run):
    """The gradient of the shared W is the sum of the gradients of a W for each step."""
    cell, xs = RNN(3, 4).double(), torch.randn(5, 2, 3).double()
    (shared,) = torch.autograd.grad(run(cell, xs)[0].sin().sum(), [cell.h.weight])
    copies = [cell.h.weight.detach().clone().requires_grad_() for _ in xs]
    h, total = torch.zeros(2, 4).double(), 0
    for x, W in zip(xs, copies):
        h = torch.tanh(torch.cat((h, x), dim=1) @ W.t() + cell.h.bias)
        total = total + h.sin().sum()
    torch.testing.assert_close(shared, sum(torch.autograd.grad(total, copies)))


def uses(cell, xs, t):
    """∂L_t/∂W by the step at which W was used: the lecture's G_1k, seen from the loss at t."""
    copies = [cell.h.weight.detach().clone().requires_grad_() for _ in range(t + 1)]
    h = torch.zeros(xs.shape[1], 4).double()
    for x, W in zip(xs, copies):
        h = torch.tanh(torch.cat((h, x), dim=1) @ W.t() + cell.h.bias)
    return torch.autograd.grad(h.sin().sum(), copies)


@SCANS
def test_R5_E12_sliding_windows_of_two_are_those_of_the_picture(run):
    cell, xs = RNN(3, 4).double(), torch.randn(4, 2, 3).double()
    assert [list(range(w.start + 1, w.stop + 1)) for w in windows(4, 2, sliding=True)] == [[1], [1, 2], [2, 3], [3, 4]]
    for t, (_, hs) in enumerate(truncated(cell, xs, 2, sliding=True, scan=run)):
        (found,) = torch.autograd.grad(hs.sin().sum(), [cell.h.weight])
        torch.testing.assert_close(found, sum(uses(cell, xs, t)[-2:]))


@SCANS
def test_R5_E12_chunked_windows_are_each_seen_once(run):
    cell, xs = RNN(3, 4).double(), torch.randn(4, 2, 3).double()
    for (window, hs), ends in zip(truncated(cell, xs, 2, scan=run), ((0, 1), (2, 3))):
        (found,) = torch.autograd.grad(hs.sin().sum(), [cell.h.weight])
        torch.testing.assert_close(found, sum(g for t in ends for g in uses(cell, xs, t)[window.start :]))


def test_R5_the_whole_of_backpropagation_through_time_is_all_uses():
    cell, xs = RNN(3, 4).double(), torch.randn(4, 2, 3).double()
    (found,) = torch.autograd.grad(fast_scan(cell, xs)[0][-1].sin().sum(), [cell.h.weight])
    torch.testing.assert_close(found, sum(uses(cell, xs, 3)))  # G11 + G12 + G13 + G14


def test_R6_gradients_vanish_below_one_and_explode_above():
    torch.manual_seed(0)
    cell, xs = CELLS["relurnn"](3, 16).double(), torch.zeros(30, 1, 3).double()
    cell.h.weight.data[:, :16] = torch.linalg.qr(torch.randn(16, 16).double())[0]
    cell.h.bias.data.fill_(0)
    open_ = (torch.ones(1, 16).double(),)
    cell.h.weight.data[:, :16] = torch.eye(16)  # every unit stays on, so the Jacobian is W_hh itself
    for value in (0.9, 1.0, 1.1):
        set_singular_value(cell, value)
        norms = jacobian_norms(cell, xs, open_)
        torch.testing.assert_close(norms, value ** torch.arange(29, -1, -1).double())


def test_R7_E2_the_printed_clipping_uses_the_squared_norm():
    gradient, threshold = torch.tensor([3.0, 4.0]), 1.0
    printed = gradient * threshold / (gradient * gradient).sum()  # grad_norm = np.sum(grad * grad)
    assert printed.norm() == pytest.approx(threshold / 5)  # threshold / ‖g‖, not the threshold
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = gradient.clone()
    nn.utils.clip_grad_norm_([parameter], threshold)
    assert parameter.grad.norm() == pytest.approx(threshold, rel=1e-5)


def test_R8_the_gradient_from_memory_to_memory_is_the_forget_gate():
    cell, x = LSTM(3, 4).double(), torch.randn(1, 3).double()
    h, c = torch.randn(1, 4).double(), torch.randn(1, 4).double().requires_grad_()
    new = cell(x, (h, c))[1]
    jacobian = torch.stack([torch.autograd.grad(new[0, k], c, retain_graph=True)[0][0] for k in range(4)])
    assert torch.equal(jacobian, torch.diag(torch.sigmoid(cell.ifog(h, x)[1][0])))


def test_R8_the_matrix_is_4n_by_2n():
    assert LSTM(6, 6).ifog.weight.shape == (24, 12)


def test_E11_three_gates_are_squashed_to_the_unit_interval_and_one_by_tanh():
    cell = LSTM(1, 1).double()
    nn.init.zeros_(cell.ifog.weight)
    for bias, c in (([99, 99, 99, -99], -1.0), ([99, 99, 99, 99], 1.0), ([-99, 99, 99, -99], 0.0)):
        cell.ifog.bias.data = torch.tensor(bias).double()
        assert cell(torch.zeros(1, 1).double(), cell.start(torch.zeros(1, 1).double()))[1].item() == pytest.approx(c)


def test_R9_peepholes_are_diagonal():
    cell = PeepholeLSTM(3, 4).double()
    cell.V.data.normal_()
    x, h, c = torch.randn(1, 3).double(), torch.randn(1, 4).double(), torch.randn(1, 4).double()
    jacobian = torch.autograd.functional.jacobian(lambda c: torch.cat(cell(x, (h, c))), c)[:, :, 0]
    assert all(torch.equal(j, torch.diag(torch.diag(j))) for j in jacobian)


def test_R10_all_of_greffs_variants_are_here():
    assert {"nig", "nfg", "nog", "niaf", "noaf", "np", "cifg", "fgr"} <= set(CELLS)


def torch_gru(cell, inputs, width):
    """nn.GRU with a cell's weights: reset, update, new; its second bias 0 but for the one the cell has."""
    true = nn.GRU(inputs, width).double()
    W, b = cell.rz.weight.data, cell.rz.bias.data
    new_x = cell.x.weight.data if isinstance(cell, CudnnGRU) else cell.h.weight.data[:, width:]
    true.weight_ih_l0.data, true.weight_hh_l0.data = (
        torch.cat((W[:, width:], new_x)),
        torch.cat((W[:, :width], cell.h.weight.data[:, :width])),
    )
    if isinstance(cell, CudnnGRU):
        true.bias_ih_l0.data = torch.cat((b, cell.x.bias.data))
        true.bias_hh_l0.data = torch.cat((torch.zeros_like(b), cell.h.bias.data))
    else:
        true.bias_ih_l0.data, true.bias_hh_l0.data = torch.cat((b, cell.h.bias.data)), torch.zeros(3 * width).double()
    return true


@SCANS
def test_R11_E5_torchs_gru_is_not_the_lectures_but_cudnn_gru_is_torchs(run):
    xs = torch.randn(5, 2, 3).double()
    cell = CudnnGRU(3, 4).double()
    torch.testing.assert_close(run(cell, xs)[0], torch_gru(cell, 3, 4)(xs)[0])
    cell = GRU(3, 4).double()
    assert (run(cell, xs)[0] - torch_gru(cell, 3, 4)(xs)[0]).abs().max() > 1e-3


@SCANS
def test_R12_E6_mut1_and_mut2_add_x_as_it_is(run):
    for kind in (MUT1, MUT2):
        with pytest.raises(UsageError, match="adds x to h"):
            kind(3, 4)
    cell, xs = MUT1(4, 4).double(), torch.randn(5, 2, 4).double()
    for parameter in cell.parameters():
        nn.init.zeros_(parameter)
    h = torch.zeros(2, 4).double()
    for t, x in enumerate(xs):  # nothing is weighed: z = ½, and x still comes through, as tanh(tanh(x))
        h = torch.tanh(torch.tanh(x)) / 2 + h / 2
        torch.testing.assert_close(run(cell, xs)[0][t], h)
    cell, x, h = MUT2(4, 4).double(), xs[0], xs[1]
    nn.init.zeros_(cell.r.weight)
    nn.init.zeros_(cell.r.bias)
    nn.init.zeros_(cell.z.weight)
    nn.init.zeros_(cell.z.bias)
    expected = torch.tanh(cell.h(torch.sigmoid(x) * h, x)) / 2 + h / 2
    torch.testing.assert_close(run(cell, x[None], (h,))[0][0], expected)


def test_R12_mut3_sees_the_squashed_state_in_its_update_gate():
    cell, x, h = MUT3(3, 4).double(), torch.randn(2, 3).double(), torch.full((2, 4), 50.0).double()
    z = torch.sigmoid(cell.z(torch.ones(2, 4).double(), x))
    assert (cell(x, (h,))[0] - h * (1 - z)).abs().max() <= 1


def test_R13_R14_depth_and_both_directions():
    stack = Stack(LSTM, 6, 6, depth=3)
    assert [cell.ifog.weight.shape for cell in stack.cells] == [(24, 12)] * 3
    assert Stack(LSTM, 6, 6, depth=2, both=True)(torch.randn(4, 2, 6))[0].shape == (4, 2, 12)


@SCANS
def test_R15_a_stream_with_limited_look_ahead_equals_its_offline_reading_bit_for_bit(run):
    both, xs = Lookahead(LSTM(3, 4), LSTM(3, 4), 1, 2, run), torch.randn(6, 1, 3)
    state, pieces = None, []
    for t in range(6):
        piece, state = both.push(xs[t : t + 3], state)
        pieces.append(piece)
    assert torch.equal(torch.cat(pieces), both(xs)[0])


def test_R16_a_recurrent_tagger_tells_words_apart_that_a_plain_one_cannot():
    """They light the fire: "light" is a verb here; "the light": a noun. Only what came before decides."""
    torch.manual_seed(0)
    words = {"they": 0, "light": 1, "the": 2, "fire": 3}
    sentences = torch.tensor(
        [[words[w] for w in s.split()] for s in ("they light the fire", "they fire the light")]
    ).t()
    tags = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3]]).t()  # subject, verb, article, object
    embed, cell, head = nn.Embedding(4, 8), GRU(8, 16), nn.Linear(16, 4)
    rule = torch.optim.Adam([*embed.parameters(), *cell.parameters(), *head.parameters()], lr=0.03)
    for _ in range(60):
        loss = nn.functional.cross_entropy(head(fast_scan(cell, embed(sentences))[0]).flatten(0, 1), tags.flatten())
        rule.zero_grad()
        loss.backward()
        rule.step()
    assert torch.equal(head(fast_scan(cell, embed(sentences))[0]).argmax(-1), tags)


def test_R18_a_jordan_cell_is_fed_its_own_output_or_the_true_one():
    cell, xs = Jordan(3, 2).double(), torch.randn(4, 1, 3).double()
    ys, _ = fast_scan(cell, xs)
    told, _ = forced(cell, xs, ys.detach())  # told what it said itself, it says the same
    torch.testing.assert_close(told, ys)
    assert not torch.equal(forced(cell, xs, torch.zeros(4, 1, 2).double())[0], ys)
