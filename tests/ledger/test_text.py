"""Ledger rows on text: language models, tagging, sentences, translation, truncated backpropagation."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from legato.data.loader import loader, order
from legato.decoding import Sampling
from legato.device import Device
from legato.distributed import World
from legato.layers.attention import DotAttention
from legato.metrics import language
from legato.metrics.language import bracket_balance
from legato.networks.charrnn import CharRNN, onehot
from legato.networks.sentence import SentenceRNN
from legato.networks.seq2seq import AttentiveDecoder, Encoder, Seq2Seq
from legato.networks.tagger import Tagger
from legato.recipe import Recipe
from legato.recurrent.cells import GRU, RNN
from legato.recurrent.scan import scan
from legato.recurrent.stack import Stack
from legato.run import Run
from legato.task import Decoding
from legato.tasks.classify_text import ClassifyText
from legato.tasks.language import Language
from legato.tasks.tag import Tag
from legato.tasks.translate import Translate
from legato.training import evaluate, fit
from legato.values import Text

CPU = Device("cpu", "fp32", 1)


def trained(task, folder: Path, **choices) -> nn.Module:
    recipe = replace(task.recipe(), workers=0, precision="fp32", **choices)
    return fit(task, recipe, Run.begin(folder, task, recipe, CPU), CPU)


# R3, R13, R14: what recurrent networks are put together to


def test_R3_one_to_many_many_to_one_and_both_kinds_of_many_to_many():
    torch.manual_seed(0)
    ids, mask = torch.randint(9, (5, 2)), torch.ones(5, 2, dtype=torch.bool)
    writer = CharRNN(onehot(9), Stack(GRU, 9, 4), 9)
    one, states = writer(ids[:1])  # one to many: what is drawn is fed back
    for _ in range(3):
        one, states = writer(one.argmax(-1), states)
    assert one.shape == (1, 2, 9)
    many_to_one = SentenceRNN(nn.Embedding(9, 3), Stack(GRU, 3, 4), 7, 0.0)
    assert many_to_one(ids, mask).shape == (2, 7)
    at_once = Tagger(nn.Embedding(9, 3), None, Stack(GRU, 3, 4), 7, 0.0)
    assert at_once(ids, torch.zeros(1, 10, dtype=torch.long), mask).shape == (5, 2, 7)
    decoder = AttentiveDecoder(nn.Embedding(8, 3), GRU, DotAttention(4, 4), 4, 4, 0.0)
    first_all_then_all = Seq2Seq(Encoder(nn.Embedding(9, 3), Stack(GRU, 3, 4), 0.0), decoder)
    assert first_all_then_all(ids, mask, torch.zeros(6, 2, dtype=torch.long))[0].shape == (6, 2, 8)


# L1: the smallest language model


@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    """`hello` again and again: five characters in, the next one out."""
    folder = tmp_path_factory.mktemp("hello")
    (folder / "hello.txt").write_text("hello" * 40)
    task = Language(str(folder / "hello.txt"), unseen="refuse", cell="rnn", width=8, depth=1, window=5).adapt()
    return task, trained(task, folder / "run", epochs=12, batch_size=4, lr=3e-2)


def test_L1_the_vocabulary_of_hello_is_h_e_l_o_and_its_inputs_are_one_hot(hello):
    task, net = hello
    assert task.known.names == ("h", "e", "l", "o")
    assert net.embed.weight[torch.tensor(task.known.vocabulary.encode("hell"))].tolist() == [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 1, 0],
    ]


def test_L1_hello_is_learnt_and_fed_back_writes_itself(hello):
    task, net = hello
    assert "".join(task.stream(net, [Text("h")], Sampling(length=9, temperature=0))) == "ellohello"


# L2, E10: the log of the lecture, 107.601633 → 23.238596 → 10.733449


def test_E10_the_lectures_log_is_25_ln_V_for_74_characters():
    assert 25 * math.log(74) == pytest.approx(107.601633, abs=1e-5)
    p = torch.full((25, 1, 74), 1 / 74, dtype=torch.double)
    found = language.scores(language.tally(p, torch.zeros(25, 1, dtype=torch.long), torch.ones(74, dtype=torch.long)))
    assert found["smooth_loss"] == pytest.approx(107.601633, abs=1e-5)
    for logged, nats, bits in ((107.601633, 4.304, 6.21), (23.238596, 0.930, 1.34), (10.733449, 0.429, 0.62)):
        assert logged / 25 == pytest.approx(nats, abs=5e-4)
        assert logged / 25 / math.log(2) == pytest.approx(bits, abs=5e-3)


def test_L2_a_fresh_network_knows_nothing_and_says_so_in_the_lectures_units(real_data):
    """Portuguese questions: the log begins near 25 · ln V, whatever V is."""
    task = Language(str(real_data / "text" / "portuguese_questions"), width=16, depth=1).adapt()
    torch.manual_seed(0)
    found = evaluate(task, task.build(), "valid", Recipe(workers=0), CPU).scores
    assert found["smooth_loss"] == pytest.approx(25 * math.log(len(task.known.names)), rel=0.02)


# L3, L4, L5, L6: samples


def test_L3_specimens_through_a_training_grow_more_like_the_text(tmp_path):
    text = "to be, or not to be: that is the question. " * 15
    (tmp_path / "a.txt").write_text(text)
    task = Language(str(tmp_path / "a.txt"), width=32, depth=1, window=10, cell="gru").adapt()
    shared = []
    for epochs in (1, 30):
        net = trained(task, tmp_path / str(epochs), epochs=epochs, batch_size=8, lr=2e-2)
        specimen = task.specimen(net, 60)
        shared.append(sum(specimen[i : i + 4] in text for i in range(57)) / 57)
    assert shared[0] < 0.3
    assert shared[1] > 0.7


def test_L5_brackets_of_code_are_balanced_or_not():
    assert bracket_balance("if (x[0]) { f(x); }") == 1
    assert bracket_balance("if (x[0] { f(x); }") == pytest.approx(6 / 7)


@pytest.mark.parametrize("text", ["algebra_latex", "war_and_peace"])
def test_L4_L6_the_long_texts_are_read_and_their_first_guess_costs_ln_V(real_data, text):
    task = Language(str(real_data / "text" / text), width=8, depth=1).adapt()
    torch.manual_seed(0)
    net = task.build()
    [[batch], *_] = [next(iter(loader(task, "train", Recipe(batch_size=16, workers=0), World())))]
    loss = float(task.loss(net, batch.inputs, batch.targets, None).values["next"].detach())
    assert loss == pytest.approx(math.log(len(task.known.names)), rel=0.05)
    assert len(order(task, "train", Recipe(batch_size=16), 0)) > 1000


# E12: truncated backpropagation, in chunks and sliding


def gradient_of(task: Language, net: CharRNN) -> list[torch.Tensor]:
    """The gradient of each step of a pass, for weights that stay."""
    found, carry = [], None
    for [batch] in loader(task, "train", Recipe(batch_size=1, workers=0), World()):
        step = task.loss(net, batch.inputs, batch.targets, carry)
        carry = tuple(tuple(s.detach() for s in state) for state in step.carry) if step.carry is not None else None
        found.append(torch.autograd.grad(step.values["next"], net.stack.cells[0].h.weight)[0])
    return found


@pytest.mark.parametrize(("stride", "windows"), [(1, "sliding"), (2, "chunks")])
def test_E12_sliding_windows_of_two_are_11_then_11_12_then_12_13(tmp_path, stride, windows):
    """Sliding: the loss of step t goes back through copies t − 1 and t of W alone. Chunks: two steps, then a cut."""
    (tmp_path / "a.txt").write_text("They light the fire George lights")
    task = Language(str(tmp_path / "a.txt"), cell="rnn", width=6, depth=1, window=2, stride=stride, dropout=0.0).adapt()
    torch.manual_seed(0)
    net = task.build()
    first = order(task, "train", Recipe(batch_size=1), 0)[0][0] // task.window
    ids = task.examples("train").ids[first:]
    xs, cell = net.embed.weight[ids[:9]], net.stack.cells[0]
    expected = []
    for t in range(0, 6) if windows == "sliding" else range(1, 7, 2):
        begin, copies = max(0, t - 1), []
        state, loss = cell.start(xs[:1]), 0.0
        for s in range(t + 1):
            if s < begin:
                state = tuple(h.detach() for h in cell(xs[s : s + 1], state))
                continue
            W = cell.h.weight.detach().clone().requires_grad_()  # this step's own copy of W
            copies.append(W)
            h = torch.tanh(F.linear(torch.cat((state[0], xs[s : s + 1]), -1), W, cell.h.bias))
            state = (h,)
            new = s == t if windows == "sliding" else True
            loss = loss + F.cross_entropy(net.out(h), ids[s + 1 : s + 2]) * new
        loss = loss / (1 if windows == "sliding" else 2)
        expected.append(sum(torch.autograd.grad(loss, copies)))
        assert len(copies) == min(2, t + 1)
    for ours, theirs in zip(gradient_of(task, net), expected):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


# R16: they light the fire


GRAMMAR = [
    ("They light the fire", "Subject Verb Article Object"),
    ("They see the light fire", "Subject Verb Article Adjective Object"),
    ("George", "Subject"),
    ("They see George", "Subject Verb Object"),
    ("George light the fire", "Subject Verb Article Object"),
    ("They light the light fire", "Subject Verb Article Adjective Object"),
]


def grammar(folder: Path, runs_on: bool) -> Path:
    """The lecture's sentences; or three at a time without a mark between them, so that one must also forget."""
    rows = []
    for i in range(120):
        chosen = [GRAMMAR[(7 * i + 5 * j + i // 6) % 6] for j in range(3 if runs_on else 1)]
        words, tags = (" ".join(part).split() for part in zip(*chosen))
        rows.append({"words": words, "tags": tags})
    for split in ("train", "valid", "test"):
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def accuracy(data: Path, folder: Path, **choices) -> tuple[float, Tag, nn.Module]:
    task = Tag(str(data), spelling="none", embed=12, width=16, dropout=0.0, **choices).adapt()
    net = trained(task, folder, epochs=10, batch_size=8, lr=2e-2)
    return evaluate(task, net, "test", Recipe(workers=0), CPU).scores["accuracy"], task, net


@pytest.mark.parametrize(
    "choices", [{"reads": "dnn"}, {"reads": "forward", "cell": "rnn"}, {"reads": "forward", "cell": "gru"}]
)
def test_R16_a_dnn_cannot_tell_the_verb_from_the_adjective_a_recurrent_network_can(tmp_path, choices):
    right, task, net = accuracy(grammar(tmp_path, runs_on=False), tmp_path / "run", **choices)
    inputs = task.encode_inputs([("They", "light", "the", "fire"), ("They", "see", "the", "light", "fire")])
    with torch.no_grad():
        one, two = (a["tags"] for a in task.predict(task.outputs(net, inputs, None)[0], inputs, Decoding()))
    both_right = (one[1], two[3]) == ("Verb", "Adjective")
    assert both_right == (choices["reads"] != "dnn")
    assert (right == 1.0) == (choices["reads"] != "dnn")


def test_R16_a_gru_stops_remembering_when_george_begins_a_new_sentence(tmp_path):
    """`They light the fire George light the fire`: after the object, George is a subject; after `see`, an object."""
    right, task, net = accuracy(grammar(tmp_path, runs_on=True), tmp_path / "run", reads="forward", cell="gru")
    assert right > 0.97
    for text, tag in (("They light the fire George", "Subject"), ("They light the fire They see George", "Object")):
        inputs = task.encode_inputs([tuple(text.split())])
        with torch.no_grad():
            [answer] = task.predict(task.outputs(net, inputs, None)[0], inputs, Decoding())
        assert answer["tags"][-1] == tag


# R13, R14, R15


def test_R13_R14_depth_and_direction_are_layers_of_cells():
    """Each further layer sees h alone: W^l is n × 2n (lectures); both ways it sees 2n."""
    stack = Stack(RNN, 5, 4, depth=3)
    assert [tuple(cell.h.weight.shape) for cell in stack.cells] == [(4, 9), (4, 8), (4, 8)]
    both = Stack(RNN, 5, 4, depth=2, both=True)
    assert [tuple(cell.h.weight.shape) for cell in both.cells] == [(4, 9), (4, 9), (4, 12), (4, 12)]
    xs = torch.randn(6, 2, 5)
    forth, back = scan(both.cells[0], xs)[0], scan(both.cells[1], xs, reverse=True)[0]
    above = torch.cat((forth, back), -1)
    expected = torch.cat((scan(both.cells[2], above)[0], scan(both.cells[3], above, reverse=True)[0]), -1)
    torch.testing.assert_close(both(xs)[0], expected, atol=1e-5, rtol=1e-5)


def test_R15_the_further_ahead_one_looks_the_better_one_tags(tmp_path):
    """A word is tagged by the word two places later: with less look-ahead that is guesswork."""
    g = torch.Generator().manual_seed(0)
    rows = []
    for _ in range(150):
        words = [f"w{i}" for i in torch.randint(4, (8,), generator=g).tolist()]
        rows.append({"words": words, "tags": [*words[2:], "end", "end"]})
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = [accuracy(tmp_path, tmp_path / f"run{a}", reads="ahead", ahead=a)[0] for a in (0, 2)]
    assert found[0] < 0.6
    assert found[1] > 0.95


# M5: classification of sentences, translation


def test_M5_real_questions_and_reviews_are_classified_better_than_by_chance(real_data, tmp_path):
    task = ClassifyText(str(real_data / "trec_questions"), network="bag", embed=32).adapt()
    net = trained(task, tmp_path / "run", epochs=3, lr=1e-2)
    assert evaluate(task, net, "test", Recipe(workers=0), CPU).scores["accuracy"] > 0.65  # the commonest class has 0.28


def test_M5_real_sentences_come_back_from_their_pieces(real_data):
    task = Translate(str(real_data / "multi30k"), source="de", target="en", vocabulary=2000).adapt()
    writes = task.known.writes
    for _, sentence in task.examples("test")[:50]:
        assert writes.decode(writes.encode(sentence)) == " ".join(sentence.split())
