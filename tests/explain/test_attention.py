"""Where a translator looked."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from legato.device import Device
from legato.explain.attention import attention, attentive, by_words, show_attention
from legato.explain.subject import Subject
from legato.recurrent.scan import mask_of
from legato.tasks.translate import Translate
from legato.values import Text

CPU = Device("cpu", "fp32", 1)


@pytest.fixture
def task(tmp_path):
    for split in ("train", "valid"):
        (tmp_path / f"{split}.de").write_text("ein roter hund\nzwei hunde\ndrei blaue hunde\n" * 4)
        (tmp_path / f"{split}.en").write_text("one red dog\ntwo dogs\nthree blue dogs\n" * 4)
    choices = {"vocabulary": 40, "width": 12, "embed": 8, "beam": 2, "attention": "additive"}
    return Translate(str(tmp_path), source="de", target="en", **choices).adapt()


def built(task):
    torch.manual_seed(0)
    return task.build().eval()


@pytest.mark.parametrize("feeding", [False, True])
def test_rows_sum_to_one_and_are_bahdanaus_formula(task, feeding):
    """α_i = softmax_j(vᵀ tanh(W s + U h_j)), in NumPy; s the decoder's state, before (feeding) or after the step."""
    task = replace(task, feeding=feeding)
    net = built(task)
    inputs = task.encode_inputs([Text("ein roter hund"), Text("zwei hunde")])
    mask = mask_of(inputs.lengths, len(inputs.ids))
    given = task.encode_targets(["one red dog", "two dogs"], inputs).given
    found = attention(net, inputs.ids, mask, given)
    torch.testing.assert_close(found.sum(-1), torch.ones(found.shape[:2]))
    assert (found[:, 1, int(inputs.lengths[1]) :] == 0).all()  # padding is not looked at
    with torch.no_grad():
        memory = net.encoder(inputs.ids, mask)
        looks, h = net.decoder.attention, memory.words[:, 0].numpy()
        W, U, v = looks.W.weight.numpy(), looks.U, looks.v.weight.numpy()
        state = net.decoder.start(memory)
        if not feeding:  # the first state with which it looks is the one after the first step
            state = net.decoder.cell(net.decoder.embed(given[0]), state)
    s = state[0][0].numpy()
    e = np.tanh(W @ s + h @ U.weight.detach().numpy().T + U.bias.detach().numpy()) @ v[0]
    e = e[: int(inputs.lengths[0])]
    np.testing.assert_allclose(found[0, 0, : len(e)], np.exp(e) / np.exp(e).sum(), atol=1e-5)


def test_what_is_shown_is_what_the_networks_forward_returned(task, monkeypatch):
    net = built(task)
    seen = {}
    module = sys.modules["legato.explain.attention"]  # the name in the package is the function's
    monkeypatch.setattr(module, "attention_matrix", lambda weights, *rest: seen.update(w=weights))
    shown = show_attention(Subject(task, net, CPU, Text("ein roter hund"), what="one red dog"))[0]
    inputs = task.encode_inputs([Text("ein roter hund")])
    with torch.no_grad():
        _, forward = net(
            inputs.ids, mask_of(inputs.lengths, len(inputs.ids)), task.encode_targets(["one red dog"], inputs).given
        )
    torch.testing.assert_close(seen["w"].sum(1), torch.ones(len(seen["w"])))
    reads, writes = task.known.reads, task.known.writes
    pieces = [writes.names[i] for i in task.encode_targets(["one red dog"], inputs).wanted[:, 0]]
    expected = by_words(forward[:, 0], pieces, [reads.names[i] for i in inputs.ids[:, 0]])
    torch.testing.assert_close(seen["w"], expected.weights)
    assert expected.written == ("one", "red", "dog", "</s>")
    assert expected.read == ("ein", "roter", "hund", "</s>")
    assert shown.lines[0] == "ein roter hund → one red dog"


def test_pieces_of_one_word_are_put_together():
    weights = torch.tensor([[0.5, 0.2, 0.2, 0.1], [0.3, 0.3, 0.3, 0.1], [0.0, 0.0, 0.0, 1.0]])
    found = by_words(weights, [" two", "s", "."], [" zw", "ei", " hunde", "</s>"])
    assert found.written == ("twos", ".")
    assert found.read == ("zwei", "hunde", "</s>")
    torch.testing.assert_close(found.weights, torch.tensor([[0.65, 0.25, 0.1], [0.0, 0.0, 1.0]]))
    summed = by_words(weights, [" two", "s", "."], [" zw", "ei", " hunde", "</s>"], mean=False)
    torch.testing.assert_close(summed.weights[0], 2 * found.weights[0])


def test_the_score_of_a_translation_is_the_log_probability_of_its_pieces(task):
    net, sources = built(task), ["ein roter hund", "ein roter hund"]
    inputs = task.encode_inputs([Text(source) for source in sources])
    targets = task.encode_targets(["one red dog"], inputs)
    with torch.no_grad():
        found = task.score(net, inputs, "one red dog")
        logits, _ = net(inputs.ids[:, :1], mask_of(inputs.lengths[:1], len(inputs.ids)), targets.given)
    p = logits[:, 0].double().softmax(-1)[torch.arange(len(logits)), targets.wanted[:, 0]]
    torch.testing.assert_close(found.double(), p.log().sum().expand(2), atol=1e-4, rtol=0)


def test_who_does_not_look_is_told_so(task):
    assert attentive(task, built(task)) == ""
    assert "--attention none" in attentive(task, built(replace(task, attention="none")))
    assert "no attention" in attentive(task, nn.Linear(1, 1))
