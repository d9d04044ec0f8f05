"""Translation: a language of numbers learnt, searched, looked into."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from legato.data.loader import order
from legato.decoding import Beam
from legato.device import Device
from legato.errors import DataError
from legato.recipe import Recipe
from legato.recurrent.scan import mask_of
from legato.run import Run
from legato.task import Decoding
from legato.tasks.searching import search
from legato.tasks.translate import Translate
from legato.training import evaluate, fit
from legato.values import Text

CPU = Device("cpu", "fp32", 1)
WORDS = {
    "ein": "one",
    "zwei": "two",
    "drei": "three",
    "rot": "red",
    "blau": "blue",
    "hund": "dog",
    "katze": "cat",
    "und": "and",
}


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Word by word: sentences of five words, as BLEU counts four in a row."""
    german = list(WORDS)
    nouns = german[5:7]
    each = [f"{a} {b} {c} und {d}" for a in german[:3] for b in german[3:5] for c in nouns for d in nouns]
    for split, rows in (("train", each * 5), ("valid", each[:1]), ("test", each)):
        (tmp_path / f"{split}.de").write_text("\n".join(rows))
        (tmp_path / f"{split}.en").write_text("\n".join(" ".join(WORDS[w] for w in row.split()) for row in rows))
    return tmp_path


def small(folder: Path, **choices) -> Translate:
    defaults = {"vocabulary": 60, "width": 24, "embed": 16, "dropout": 0.0, "beam": 2}
    return Translate(str(folder), source="de", target="en", **defaults | choices).adapt()


@pytest.mark.parametrize("choices", [{}, {"attention": "additive", "feeding": True}])
def test_a_small_language_is_learnt(pairs, tmp_path, choices):
    task = small(pairs, **choices)
    recipe = replace(task.recipe(), epochs=18, batch_size=12, lr=2e-2, workers=0)
    run = Run.begin(tmp_path / "run", task, recipe, CPU)
    net = fit(task, recipe, run, CPU)
    assert evaluate(task, net, "test", recipe, CPU).scores["bleu"] > 80
    assert Run(run.folder).task() == task
    inputs = task.encode_inputs([task.read_input("zwei rot katze und hund")])
    with torch.no_grad():
        [answer] = task.predict(task.outputs(net, inputs, None)[0], inputs, Decoding())
    assert answer["translation"].startswith("two red ")
    assert task.line(answer) == answer["translation"]
    assert len(answer["attention"]) == len(answer["written"])
    assert all(len(row) == len(answer["read"]) and abs(sum(row) - 1) < 1e-2 for row in answer["attention"])
    json.dumps(answer)


@pytest.mark.parametrize("attention", ["none", "dot", "additive"])
@pytest.mark.parametrize("feeding", [False, True])
def test_the_score_of_a_translation_is_its_probability(pairs, attention, feeding):
    """Beam search steps through the decoder; teacher forcing on what it found must give the same log probability."""
    torch.manual_seed(1)
    task = small(pairs, attention=attention, feeding=feeding)
    net = task.build().eval()
    inputs = task.encode_inputs([Text("ein rot hund"), Text("zwei")])
    mask = mask_of(inputs.lengths, len(inputs.ids))
    writes = task.known.writes
    with torch.no_grad():
        found = search(net.decoder, net.encoder(inputs.ids, mask), writes, Beam(beam=3, longest=6, length_penalty=0.0))
        for row, hypothesis in enumerate(found):
            begin, end = writes.numbers["<s>"], writes.numbers["</s>"]
            ended = len(hypothesis.ids) < 6
            wanted = torch.tensor([*hypothesis.ids, *([end] if ended else [])])
            given = torch.tensor([begin, *hypothesis.ids])[: len(wanted), None]
            length = int(inputs.lengths[row])
            logits, _ = net(inputs.ids[:length, row : row + 1], mask[:length, row : row + 1], given)
            log_p = logits[:, 0].log_softmax(-1).gather(1, wanted[:, None]).sum()
            assert hypothesis.score == pytest.approx(float(log_p), rel=1e-4)


def test_batches_hold_like_lengths_and_lose_nothing(pairs):
    task = small(pairs)
    groups = order(task, "train", Recipe(batch_size=8), 0)
    assert sorted(i for group in groups for i in group) == list(range(len(task.examples("train"))))
    assert order(task, "train", Recipe(batch_size=8), 1) != groups


def test_targets_are_shifted_by_one_and_padded(pairs):
    task = small(pairs)
    inputs = task.encode_inputs([Text("ein rot hund"), Text("ein")])
    given, wanted, sentences = task.encode_targets(["one red dog", "one"], inputs)
    assert sentences == ("one red dog", "one")
    assert torch.equal(given[1:, 0], wanted[:-1, 0])
    assert task.known.writes.names[int(given[0, 0])] == "<s>"
    assert task.known.writes.names[int(wanted[-1, 0])] == "</s>"
    assert (wanted[:, 1] == -1).any()
    with pytest.raises(DataError, match="an empty sentence"):
        task.read_input("")
