"""Tags of words: learnt, streamed, kept in a run."""

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
from legato.task import Decoding
from legato.tasks.tag import Tag
from legato.training import evaluate, fit

CPU = Device("cpu", "fp32", 1)
SENTENCES = [
    ("They light the fire", "S V A O"),
    ("They see the light", "S V A O"),
    ("We see fire", "S V O"),
    ("We light the light", "S V A O"),
    ("They fire the cook", "S V A O"),
    ("We cook", "S V"),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = [{"words": w.split(), "tags": t.split()} for w, t in SENTENCES * 4]
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def small(file: Path, **choices) -> Tag:
    return Tag(str(file), **{"width": 12, "embed": 10, "dropout": 0.1} | choices).adapt()


@pytest.mark.parametrize("choices", [{"reads": "both"}, {"reads": "ahead"}, {"spelling": "none", "cell": "gru"}])
def test_words_get_the_tag_they_have_in_their_sentence(file, tmp_path, choices):
    task = small(file, **choices)
    recipe = replace(task.recipe(), epochs=25, batch_size=6, lr=2e-2, workers=0)
    run = Run.begin(tmp_path / "run", task, recipe, CPU)
    fit(task, recipe, run, CPU)
    found = evaluate(task, run.network(), "test", recipe, CPU, keep_worst=2).scores
    assert found["accuracy"] > 0.95
    assert found["words"] == 4 * sum(len(w.split()) for w, _ in SENTENCES)
    assert Run(run.folder).task() == task


@pytest.mark.parametrize(
    "choices",
    [{"reads": "both"}, {"reads": "forward"}, {"reads": "dnn"}]
    + [{"reads": "ahead", "ahead": a, "chunk": c} for a, c in ((0, 1), (2, 1), (1, 3))],
)
def test_a_stream_says_what_predict_says(file, choices):
    torch.manual_seed(0)
    task = small(file, **choices)
    net = task.build().eval()
    words = task.read_input("They light the fire , see ?")
    inputs = task.encode_inputs([words])
    with torch.no_grad():
        [at_once] = task.predict(task.outputs(net, inputs, None)[0], inputs, Decoding())
    streamed = list(task.stream(net, [words], Decoding()))
    assert [s["word"] for s in streamed] == list(words)
    assert [s["tag"] for s in streamed] == at_once["tags"]
    assert [s["probability"] for s in streamed] == pytest.approx(at_once["probabilities"], abs=2e-5)
    json.dumps([at_once, streamed])


def test_reading_ahead_gets_sentences_of_one_length_and_loses_none(file):
    task = small(file, reads="ahead")
    examples = task.examples("train")
    for epoch in range(2):
        groups = order(task, "train", Recipe(batch_size=4), epoch)
        assert sorted(i for group in groups for i in group) == list(range(len(examples)))
        assert all(len({len(examples[i][0]) for i in group}) == 1 and len(group) <= 4 for group in groups)
    assert order(task, "train", Recipe(batch_size=4), 0) != groups


def test_hidden_words_keep_their_tags(file):
    task = small(file)
    examples = task.examples("train")
    words, tags = task.augment(*examples[0], Draws((0,), [0]))
    assert tags == examples[0][1]
    assert len(words) == len(tags)


def test_unknown_words_are_counted_by_themselves(file, tmp_path):
    task = small(file)
    inputs = task.encode_inputs([("They", "zap", "fire")])
    targets = task.encode_targets([("S", "V", "O")], inputs)
    assert targets.unknown.T.tolist() == [[False, True, False]]
    with pytest.raises(DataError, match="no training sentence has the tag 'Q'"):
        task.encode_targets([("Q",)], task.encode_inputs([("They",)]))


def test_only_one_layer_may_read_ahead(file):
    with pytest.raises(UsageError, match="--depth"):
        small(file, reads="ahead", depth=2)
