"""LEDGER rows V7, R4, R6 and R8, where looks into trained recurrent networks answer for them."""

import pytest
import torch

from legato.explain import gates, saturation, search_cells
from legato.explain.cell_search import PROPERTIES
from legato.explain.cells import activity, track
from legato.explain.flow import back_norms, kept
from legato.picture import unrolled as graph
from legato.picture.style import BLUE, VERMILLION
from legato.picture.text import COLOURS, coloured_text
from legato.recurrent.cells import LSTM, ReluRNN
from legato.recurrent.gradient_flow import set_singular_value
from tests.explain.test_cells import TEXT, planted


def read():
    units = tuple(dict.fromkeys(TEXT))
    return track("", planted(units), torch.eye(len(units))[[units.index(c) for c in TEXT]][:, None])


def test_V7_a_cell_that_knows_quotations_is_found_and_scored():
    held = activity(read())[:, 0]
    best = search_cells(held, torch.tensor(PROPERTIES["quotes"](TEXT)))[0]
    assert (best.cell, best.f1) == (3, 1.0)


def test_V7_characters_are_coloured_by_a_cell():
    """In the picture all of a quotation is orange, and what follows it blue."""
    begin = TEXT.index("yes")
    part = slice(begin, begin + 8)  # yes" to
    drawn = coloured_text(tuple(TEXT[part]), activity(read())[part, 0, 3])
    counts = {colour: count for count, colour in drawn.getcolors(1 << 20)}
    blue, _, orange = COLOURS
    assert counts[orange] > 3 * 400  # letters are 18 × 41 pixels
    assert counts[blue] > 2 * 400


def test_V7_saturation_is_the_papers_two_shares():
    """The forget gate of the planted cell is open but at quotes, where it is shut; its input gate is the reverse."""
    found = gates(read())
    quotes = TEXT.count('"') / len(TEXT)
    for gate, (expect_shut, expect_open) in {"f": (quotes, 1 - quotes), "i": (1 - quotes, quotes)}.items():
        shut, opened = saturation(found[gate])
        torch.testing.assert_close(shut[3], torch.tensor(expect_shut))
        torch.testing.assert_close(opened[3], torch.tensor(expect_open))


def test_R6_R8_the_straight_way_through_an_lstms_memory_is_its_forget_gate_exactly():
    """∂c_t/∂c_{t−1} with h_{t−1} held still, by autograd, is diag(f), and f is what the recorded gates say."""
    torch.manual_seed(0)
    one = track("", LSTM(3, 4).double(), torch.randn(6, 1, 3).double())
    f = gates(one)["f"]
    for t in range(6):
        h, c = (s[t].clone().requires_grad_() for s in one.before)
        _, after = one.cell(one.xs[t], (h, c))
        rows = [torch.autograd.grad(after[0, k], c, retain_graph=True)[0][0] for k in range(4)]
        torch.testing.assert_close(torch.stack(rows), torch.diag(f[t, 0]), rtol=0, atol=1e-14)
    torch.testing.assert_close(kept(f, [5], 5)[0, 5], f[1:, 0].prod(0))


def test_R6_gradients_vanish_below_one_and_explode_above_along_a_text():
    torch.manual_seed(0)
    for value in (0.9, 1.1):
        cell = ReluRNN(3, 8).double()
        cell.h.weight.data[:, :8], cell.h.bias.data = torch.eye(8), torch.ones(8).double()  # every unit stays on
        set_singular_value(cell, value)
        cell.h.weight.data[:, 8:] *= 0.1
        one = track("", cell, torch.randn(40, 1, 3).double())
        torch.testing.assert_close(back_norms(one, [35], 30)[0], value ** torch.arange(31).double())


def test_R4_the_unrolled_graph_has_one_line_from_each_matrix_to_every_step(monkeypatch):
    """Many to many and many to one: as many uses of W, ways up, and answers as the lecture's two graphs have."""
    arrows = []
    monkeypatch.setattr(
        graph, "arrow", lambda axes, begin, end, colour, *rest, **more: arrows.append((begin, end, colour))
    )
    for answers, ways in ((["a", "b", "c"], 1), (["b"], 1), (["b"], 2)):
        arrows.clear()
        graph.unrolled_graph(["x", "y", "z"], [["W: 4 × 6"] * ways], answers)
        uses = [end for _, end, colour in arrows if colour == VERMILLION]
        assert sorted(uses) == [(t, row) for t in range(3) for row in range(1, ways + 1)]
        top = ways + 1
        said = [(begin, end[0]) for begin, end, colour in arrows if end[1] == top]
        if len(answers) == 3:
            assert said == [((0, 1), 0), ((1, 1), 1), ((2, 1), 2)]
        else:  # the last state of each way: of the way back, the first word's
            assert said == [((2, 1), 2), ((0, 2), pytest.approx(1.7))][:ways]
        times = [(begin[0], end[0]) for begin, end, colour in arrows if begin[1] == end[1] and colour == BLUE]
        assert times == [(0, 1), (1, 2)] + [(1, 0), (2, 1)] * (ways - 1)
