"""Cells step by step, their gates by name, and the search for what they track."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from legato.cli import explain
from legato.device import Device
from legato.errors import UsageError
from legato.explain import cell_search
from legato.explain.cell_search import PROPERTIES, best_threshold, search_cells
from legato.explain.cells import activity, chosen, gates, track, tracks_of, unrolled
from legato.networks.tagger import LimitedLookahead, Tagger
from legato.recurrent.cells import CELLS, CIFG, GRU, LSTM, CudnnGRU, PeepholeLSTM
from legato.recurrent.scan import mask_of
from legato.recurrent.stack import Stack
from legato.run import Run
from legato.tasks.language import Language
from legato.training import fit


def sigm(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "fgr", "jordan"])
@pytest.mark.parametrize("both", [False, True])
def test_what_is_recorded_is_what_the_stack_computes(cell, both):
    torch.manual_seed(0)
    stack = Stack(CELLS[cell], 5, 6, depth=2, both=both, drop=0.5, learn_start=True).eval()
    for start in stack.starts:
        torch.nn.init.normal_(start)
    xs, mask = torch.randn(7, 3, 5), mask_of(torch.tensor([7, 4, 1]), 7)
    hs, finals = stack(xs, None, mask)
    tracks = unrolled(stack, xs, None, mask)
    top = torch.cat([one.after[0] for one in tracks[-stack.ways :]], dim=-1)
    torch.testing.assert_close(top, hs, rtol=0, atol=1e-5)
    for one, final in zip(tracks, finals):
        last = 0 if one.reverse else -1
        for known, state in zip(final, one.after):
            torch.testing.assert_close(state[last], known, rtol=0, atol=1e-5)
    assert [one.name for one in tracks] == [f"stack.cells.{i}" for i in range(len(stack.cells))]


@pytest.mark.parametrize("name", CELLS)
def test_every_gate_is_heard_by_its_name_and_lies_between_0_and_1(name):
    kind = CELLS[name]
    cell = kind(4, 4)
    one = track("", cell, torch.randn(6, 2, 4))
    heard = gates(one)
    expected = {
        **{key: set() for key in ("rnn", "relurnn", "jordan", "euler", "rungekutta")},
        **{"gru": {"r", "z"}, "cudnngru": {"r", "z"}, "mut1": {"r", "z"}, "mut2": {"r", "z"}, "mut3": {"r", "z"}},
        **{"nig": {"f", "o"}, "nfg": {"i", "o"}, "nog": {"i", "f"}, "cifg": {"i", "o"}},
    }.get(name, {"i", "f", "o"})
    assert set(heard) == expected
    for gate in heard.values():
        assert gate.shape == (6, 2, 4)
        assert ((gate > 0) & (gate < 1)).all()


def weights(cell, matrix, gate, count):
    """W and b of one of the gates under a matrix, and the state and input they see, as NumPy."""
    linear = getattr(cell, matrix)
    rows = slice(gate * cell.width, (gate + 1) * cell.width)
    return linear.weight[rows].detach().numpy(), linear.bias[rows].detach().numpy()


@pytest.mark.parametrize("reverse", [False, True])
def test_gates_are_those_of_the_formula(reverse):
    """i, f, o = σ(W (h_{t−1}; x_t) + b), r and z alike; with peepholes σ(… + V c), written again in NumPy."""
    torch.manual_seed(1)
    xs = torch.randn(5, 1, 3).double()
    for kind, matrix in ((LSTM, "ifog"), (GRU, "rz"), (CudnnGRU, "rz")):
        cell = kind(3, 4).double()
        one = track("", cell, xs, reverse=reverse)
        found = gates(one)
        for t in range(5):
            before = t + 1 if reverse else t - 1
            h = one.after[0][before, 0].numpy() if 0 <= before < 5 else np.zeros(4)
            for k, gate in enumerate(matrix):
                W, b = weights(cell, matrix, k, len(matrix))
                if gate != "g":
                    expected = sigm(W @ np.concatenate((h, xs[t, 0].numpy())) + b)
                    np.testing.assert_allclose(found[gate][t, 0], expected, atol=1e-12)


def test_peepholes_and_coupled_gates_too():
    torch.manual_seed(1)
    xs = torch.randn(4, 1, 3).double()
    for kind, matrix in ((PeepholeLSTM, "ifog"), (CIFG, "iog")):
        cell = kind(3, 4).double()
        torch.nn.init.normal_(cell.V)
        one = track("", cell, xs)
        found, peeps = gates(one), [gate for gate in matrix if gate != "g"]
        for t in range(4):
            h, c = (s[t, 0].numpy() for s in one.before)
            for k, gate in enumerate(matrix):
                if gate == "g":
                    continue
                W, b = weights(cell, matrix, k, len(matrix))
                memory = one.after[1][t, 0].numpy() if gate == "o" else c  # the output gate sees the new memory
                peep = cell.V[peeps.index(gate)].detach().numpy() * memory
                expected = sigm(W @ np.concatenate((h, xs[t, 0].numpy())) + b + peep)
                np.testing.assert_allclose(found[gate][t, 0], expected, atol=1e-12)


def test_colours_are_tanh_of_the_memory_or_h():
    xs = torch.randn(4, 1, 3)
    lstm, gru = track("", LSTM(3, 2), xs), track("", GRU(3, 2), xs)
    torch.testing.assert_close(activity(lstm), torch.tanh(lstm.after[1]))
    assert torch.equal(activity(gru), gru.after[0])


def test_of_a_reader_with_limited_lookahead_the_way_forward_is_told():
    words, reader = torch.nn.Embedding(9, 4), LimitedLookahead(GRU, 4, 5, chunk=2, ahead=1)
    net, xs = Tagger(words, None, reader, 3, 0.0).eval(), torch.randn(6, 1, 4)
    [one] = tracks_of(net, xs)
    torch.testing.assert_close(one.after[0], reader(xs)[0][..., :5], rtol=0, atol=1e-5)


def test_a_cell_is_chosen_by_its_path():
    tracks = unrolled(Stack(GRU, 3, 2, depth=2, both=True), torch.randn(2, 1, 3))
    assert chosen(tracks, "").name == "stack.cells.2"  # the highest that reads forwards
    assert chosen(tracks, "stack.cells.1").reverse
    with pytest.raises(UsageError, match=r"did you mean stack.cells.3"):
        chosen(tracks, "stack.cell.3")


# the search


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("quotes", 'a "bc" d', "00111000"),
        ("quotes", "“a” b", "11000"),
        ("quotes", 'a "b\n\nc', "0011100"),  # a paragraph's end
        ("brackets", "f(a[1])", "0111110"),
        ("braces", "a{b}c", "01100"),
        ("depth", "a(b{c})d", "01122100"),
        ("depth", ")a(", "001"),
        ("comments", "a/*b*/c//d\ne", "001110001100"),  # known to be one after its second sign; over with its last
        ("line", "ab\nc", "1201"),
        ("word", "ab c-d", "120101"),
        ("indentation", "  a\nb\n\n c", "122200011"),
        ("spaces", "a b\t", "0101"),
        ("newlines", "a\nb", "010"),
        ("digits", "a1b22", "01011"),
        ("capitals", "aBC.", "0110"),
        ("vowels", "Abei", "1011"),
        ("punctuation", "a, b!", "01001"),
    ],
)
def test_properties_are_what_they_are_called(name, text, expected):
    found = "".join(f"{value:.0f}" for value in PROPERTIES[name](text))
    assert found == expected


def planted(units):
    """An LSTM over one-hot characters in which cell 3 is above 0 inside quotes, cell 5 counts a line's characters.

    3: at a quote f = 0, i = 1 and g = tanh(2 − 10 h), which turns the sign; elsewhere f = 1, i = 0. h is tanh(c).
    5: i = 1, g is small, f = 1 but at a line's end, where f = i = 0.
    """
    torch.manual_seed(2)
    n, LARGE = 8, 20.0
    cell = LSTM(len(units), n)
    i, f, o, g = (torch.arange(n) + k * n for k in range(4))
    W, b = cell.ifog.weight.data, cell.ifog.bias.data
    x = n + torch.arange(len(units))  # columns of x
    quote, end = x[units.index('"')], x[units.index("\n")]
    for k in (3, 5):
        for gate in (i, f, o, g):
            W[gate[k]], b[gate[k]] = 0, 0
        b[o[k]] = LARGE
    b[i[3]], W[i[3], quote] = -LARGE, 2 * LARGE
    b[f[3]], W[f[3], quote] = LARGE, -2 * LARGE
    b[g[3]], W[g[3], 3] = 2.0, -10.0
    b[i[5]], W[i[5], end] = LARGE, -2 * LARGE
    b[f[5]], W[f[5], end] = LARGE, -2 * LARGE
    b[g[5]] = 0.01
    return cell


TEXT = 'she said "yes" to "him and her" or\nnot, "it\nis" all the same to her\nand so "on and on" then\n' * 6


def test_the_search_finds_what_was_planted():
    units = tuple(dict.fromkeys(TEXT))
    xs = torch.eye(len(units))[[units.index(c) for c in TEXT]][:, None]
    held = activity(track("", planted(units), xs))[:, 0]
    best = search_cells(held, torch.tensor(PROPERTIES["quotes"](TEXT)))[0]
    assert (best.cell, best.above) == (3, True)
    assert best.f1 == 1.0
    assert best.chance < 0.7
    assert best.correlation > 0.95
    line = search_cells(held, torch.tensor(PROPERTIES["line"](TEXT)))[0]
    assert line.cell == 5
    assert line.correlation > 0.98
    assert np.isnan(line.f1)


def test_a_cell_that_is_low_where_the_property_holds_is_found_too():
    yes = torch.tensor([0.0, 1.0, 1.0, 0.0, 0.0] * 20)
    held = torch.stack([torch.randn(100), 3 - yes], dim=1)
    best = search_cells(held, yes, most=1)[0]
    assert (best.cell, best.above, best.f1) == (1, False, 1.0)
    assert 2 < best.threshold < 3


def test_what_is_told_is_measured_on_text_a_cell_was_not_chosen_on():
    """Of 200 cells of noise the best looks good where it was chosen, and is nothing elsewhere."""
    torch.manual_seed(3)
    held, values = torch.randn(120, 200), torch.randn(120)
    best = search_cells(held, values)[0]
    chosen_on = np.corrcoef(held[:60, best.cell], values[:60])[0, 1]
    assert abs(chosen_on) > 0.3
    assert best.correlation == pytest.approx(np.corrcoef(held[60:, best.cell], values[60:])[0, 1], abs=1e-5)
    assert abs(best.correlation) < 0.3
    yes = (values > 0.5).float()
    match = search_cells(held, yes)[0]
    said = held[60:, match.cell] > match.threshold if match.above else held[60:, match.cell] < match.threshold
    assert match.f1 == pytest.approx(f1_score(yes[60:], said), abs=1e-6)
    assert match.chance == pytest.approx(f1_score(yes[60:], np.ones(60)), abs=1e-6)


def test_the_threshold_is_the_best_of_all():
    torch.manual_seed(4)
    held, yes = torch.randint(0, 12, (40, 3)).float(), torch.rand(40) < 0.3  # with equal values
    scores, at = best_threshold(held, yes)
    for k in range(3):
        tried = [f1_score(yes, held[:, k] > cut, zero_division=0) for cut in np.arange(-0.5, 12)]
        assert float(scores[k]) == pytest.approx(max(tried), abs=1e-6)
        assert f1_score(yes, held[:, k] > at[k]) == pytest.approx(max(tried), abs=1e-6)


def test_what_hardly_occurs_is_not_looked_for():
    rare = torch.zeros(100)
    rare[:3] = 1
    assert search_cells(torch.randn(100, 4), rare) == []
    assert search_cells(torch.randn(100, 4), torch.ones(100)) == []


def test_a_property_that_there_is_not():
    with pytest.raises(UsageError, match="did you mean quotes"):
        cell_search.property_of("quote")


# the command line


def trained(folder, text, **choices):
    (folder / "book.txt").write_text(text)
    task = Language(str(folder / "book.txt"), **{"width": 8, "depth": 1, "window": 20} | choices).adapt()
    recipe = replace(task.recipe(), epochs=1, batch_size=4, lr=1e-2, workers=0)
    run = Run.begin(folder / "run", task, recipe, Device("cpu", "fp32", 1))
    fit(task, recipe, run, Device("cpu", "fp32", 1))
    return folder / "run"


def test_the_text_given_is_read_and_validation_text_where_none_is(tmp_path, capsys, monkeypatch):
    (tmp_path / "book.txt").write_text(TEXT * 4)
    task = Language(str(tmp_path / "book.txt"), width=8, depth=1, window=20).adapt()
    ready = explain.api.Ready(task, task.build().eval(), Device("cpu", "fp32", 1))
    monkeypatch.setattr(explain.api, "load", lambda *_, **__: ready)
    save = ["--save", str(tmp_path / "shown")]
    explain.main(["run", "--how", "cell-search,gates,gradient-flow", "--what", "quotes", *save])
    said = capsys.readouterr().out
    assert f"{len(task.examples('valid').ids)} units read" in said
    assert 'quotes: inside "…"' in said
    assert "stack.cells.0 f: open" in said
    assert "largest singular value of W_hh: ifog" in said
    explain.main(["run", TEXT[:120], "--how", "cell-search", "--what", "line", *save])
    assert "120 units read" in capsys.readouterr().out
    explain.main(["run", 'a "b" c', "--how", "cells", "--channel", "3", *save])
    assert (tmp_path / "shown" / "a_b_c-cells-cell3.png").exists()
    with pytest.raises(UsageError, match="has 8 cells, 0 to 7"):
        explain.main(["run", 'a "b" c', "--how", "cells", "--channel", "8", *save])
    with pytest.raises(UsageError, match="too rare, or everywhere"):
        explain.main(["run", "no quotation", "--how", "cell-search", "--what", "quotes", *save])


@pytest.mark.slow
def test_a_network_that_must_know_quotations_grows_a_cell_for_them(tmp_path):
    """Inside quotes the words are other ones than outside, and spaces are the same: what comes next needs the past."""
    rng = np.random.default_rng(0)
    outside, inside = ("la", "mi", "re"), ("tok", "pek", "kup")
    words = [
        f'"{" ".join(rng.choice(inside, 6))}"' if k % 2 else " ".join(rng.choice(outside, 6)) for k in range(3_000)
    ]
    text = " ".join(words)
    run = trained(tmp_path, text, width=24, window=40)
    task, net = Run(run).task(), Run(run).network()
    ids = task.examples("valid").ids[:4_000]
    held = activity(tracks_of(net, net.embed(ids[:, None]))[0])[:, 0]
    values = torch.tensor(PROPERTIES["quotes"](task.known.vocabulary.decode(ids.tolist())))
    best = search_cells(held, values)[0]
    assert best.f1 > 0.9
    assert best.f1 > best.chance + 0.15
