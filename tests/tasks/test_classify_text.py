"""Classes of sentences: learnt, told, kept in a run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from legato.data.loader import order
from legato.device import Device
from legato.draws import Draws
from legato.errors import DataError, UsageError
from legato.recipe import Recipe
from legato.run import Run
from legato.task import Decoding, Task
from legato.tasks.classify_text import ClassifyText, words
from legato.training import evaluate, fit
from legato.values import Text

CPU = Device("cpu", "fp32", 1)
GOOD, BAD = ["fine", "great", "lovely"], ["awful", "poor", "sad"]


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """`fine , not awful` or `awful , not fine`: the same words, so that their order must count."""
    rows = []
    for i in range(240):
        good, pair = i % 2, (GOOD[i % 3], BAD[i // 3 % 3])
        first, second = pair if good else pair[::-1]
        text = f"{first} , not {second} : {i}"
        rows.append({"text": text, "label": "good" if good else "bad"})
    (tmp_path / "reviews.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "reviews.jsonl"


def small(file: Path, **choices) -> ClassifyText:
    return ClassifyText(str(file), **{"embed": 16, "width": 12, "dropout": 0.2} | choices).adapt()


@pytest.mark.parametrize(("network", "learns"), [("cnn", True), ("rnn", True), ("bag", False)])
def test_who_sees_the_order_of_words_knows_what_is_meant(reviews, tmp_path, network, learns):
    task = small(reviews, network=network)
    recipe = replace(task.recipe(), epochs=10, batch_size=20, lr=2e-2, workers=0, weight_decay=0.0)
    run = Run.begin(tmp_path / "run", task, recipe, CPU)
    fit(task, recipe, run, CPU)
    found = evaluate(task, run.network(), "test", recipe, CPU, keep_worst=3)
    assert (found.scores["accuracy"] > 0.9) == learns
    assert Run(run.folder).task() == task
    [answer] = task.predict(torch.tensor([[0.2, 0.8]]), task.encode_inputs([Text("x")]), Decoding())
    assert answer == {"class": "good", "probability": 0.8, "top": [["good", 0.8], ["bad", 0.2]]}


def test_training_batches_hide_words_by_address_and_others_do_not(reviews):
    task = small(reviews)
    examples = task.examples("train")
    indices = order(task, "train", Recipe(batch_size=20), 0)[0]
    plain = task.batch(examples, indices, None)
    one, two = (task.batch(examples, indices, Draws((0, "augment", e), indices)) for e in (0, 0))
    other = task.batch(examples, indices, Draws((0, "augment", 1), indices))
    assert torch.equal(one[0].ids, two[0].ids)
    assert not torch.equal(one[0].ids, other[0].ids)
    unknown = task.known.vocabulary.unknown
    assert 0.03 < float((one[0].ids == unknown).sum() / plain[0].lengths.sum()) < 0.2
    assert torch.equal(plain[0].lengths, one[0].lengths)
    assert torch.equal(Task.batch(task, examples, indices, None)[0].ids, plain[0].ids)


def test_words_are_lower_case_and_punctuation_stands_alone():
    assert words("It's GOOD, isn't it?!") == ["it's", "good", ",", "isn't", "it", "?", "!"]


def test_a_sentence_or_a_file_is_read(reviews, tmp_path):
    task = small(reviews)
    (tmp_path / "a.txt").write_text("a fine film\n")
    assert task.read_input(str(tmp_path / "a.txt")) == Text("a fine film", str(tmp_path / "a.txt"))
    assert task.read_input("a fine film").text == "a fine film"
    with pytest.raises(DataError, match="an empty sentence"):
        task.read_input(" ")


def test_words_never_seen_and_no_words_at_all_are_answered(reviews):
    for network in ("cnn", "rnn", "bag"):
        task = small(reviews, network=network)
        net = task.build().eval()
        p, _ = task.outputs(net, task.encode_inputs([Text("日本 zzz"), Text("…"), Text("a"), Text("x " * 50)]), None)
        torch.testing.assert_close(p.sum(-1), torch.ones(4))


def test_evidence_is_the_probability_of_a_class(reviews):
    task, p = small(reviews), torch.tensor([[0.3, 0.7]])
    assert task.evidence(p, "bad").tolist() == p[:, 0].tolist()
    assert task.evidence(p, "").tolist() == p[:, 1].tolist()
    with pytest.raises(UsageError, match="did you mean good"):
        task.evidence(p, "godd")
