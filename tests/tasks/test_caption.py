"""Pictures described: formats, learning, BLEU, and where the captioner looks."""

import json
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import torch
from torch import nn

from legato.data import captions
from legato.data.vocabulary import END
from legato.device import Device
from legato.errors import DataError
from legato.explain.subject import Subject, lookup
from legato.explain.word_maps import word_maps
from legato.metrics import captioning
from legato.run import Run
from legato.task import Decoding
from legato.tasks.caption import Caption, words
from legato.training import evaluate, fit

CPU = Device("cpu", "fp32", 1)
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
SIDES = {"small": 16, "large": 44}


def drawn(colour: str, size: str, rng: np.random.Generator) -> PIL.Image.Image:
    pixels, side = rng.integers(90, 130, (64, 64, 3)).astype(np.uint8), SIDES[size]
    x, y = rng.integers(0, 64 - side, 2)
    pixels[y : y + side, x : x + side] = COLOURS[colour]
    return PIL.Image.fromarray(pixels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small or large square of one of three colours; two captions a picture."""
    root, rng = tmp_path_factory.mktemp("captions"), np.random.default_rng(0)
    (root / "Images").mkdir()
    lines = ["image,caption"]
    for i in range(96):
        colour, size = list(COLOURS)[i % 3], list(SIDES)[i // 3 % 2]
        drawn(colour, size, rng).save(root / "Images" / f"{i}.png")
        lines += [f"{i}.png,A {size} {colour} square .", f'{i}.png,"Look, a {size} square that is {colour} ."']
    (root / "captions.txt").write_text("\n".join(lines) + "\n")
    for split, part in (("train", range(72)), ("dev", range(72, 84)), ("test", range(84, 96))):
        (root / f"a.{split}Images.txt").write_text("".join(f"{i}.png\n" for i in part))
    return root


@pytest.fixture(scope="module")
def task(folder):
    return Caption(
        str(folder), trunk="[conv16-relu-pool]*2-fc", size=32, width=48, embed=24, at_least=1, dropout=0.0, beam=1
    ).adapt()


@pytest.fixture(scope="module")
def trained(task, tmp_path_factory):
    recipe = replace(task.recipe(), epochs=12, batch_size=24, lr=8e-3, precision="fp32")
    run = Run.begin(tmp_path_factory.mktemp("run") / "run", task, recipe, CPU)
    torch.manual_seed(0)
    return fit(task, recipe, run, CPU).eval()


def test_the_files_are_read_and_the_lists_make_the_splits(folder):
    found = captions.read(folder)
    assert {split: len(part) for split, part in found.splits.items()} == {"train": 72, "valid": 12, "test": 12}
    assert found.splits["train"][0] == ("0.png", ("A small red square .", "Look, a small square that is red ."))


def test_the_authors_own_file_is_read_too(folder, tmp_path):
    (tmp_path / "Flicker8k_Dataset").symlink_to(folder / "Images")
    (tmp_path / "Flickr8k.token.txt").write_text(
        "".join(f"{i}.png#{k}\tPicture {i} .\n" for i in range(20) for k in (0, 1))
    )
    found = captions.read(tmp_path)
    assert sum(map(len, found.splits.values())) == 20
    assert found.splits["train"][0][1] == (f"Picture {found.splits['train'][0][0].partition('.')[0]} .",) * 2
    assert "hash" in found.policy


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("image,caption\n0.png,\n", r"captions.txt:2: 0.png has an empty caption"),
        ("image,caption\n0.png\n", r"captions.txt:2: 1 column"),
        ("image,caption\n0.png,a\nnone.png,b\n", r"1 of 2 pictures are not in .*none.png"),
        ("image,caption\n", "no captions in it"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(folder, tmp_path, table, told):
    (tmp_path / "Images").symlink_to(folder / "Images")
    (tmp_path / "captions.txt").write_text(table)
    with pytest.raises(DataError, match=told):
        captions.read(tmp_path)


def test_bleu_adds_up_over_batches_and_is_sacrebleus():
    from sacrebleu.metrics.bleu import BLEU

    said = ["a red square on the left .", "on the right , a blue square .", "a dog"]
    true = [
        ["a red square on the right ."],
        ["a blue square on the right .", "on the right a square ."],
        ["a cat", "a dog"],
    ]
    parts = [captioning.tally(said[:1], true[:1]), captioning.tally(said[1:], true[1:])]
    found = captioning.scores({k: parts[0][k] + parts[1][k] for k in parts[0]})
    streams = [[refs[k] if k < len(refs) else None for refs in true] for k in range(2)]
    assert found["bleu"] == pytest.approx(BLEU().corpus_score(said, streams).score)
    assert found["bleu2"] == pytest.approx(BLEU(max_ngram_order=2).corpus_score(said, streams).score)
    assert found["pictures"] == 3


def test_it_learns_to_say_what_there_is(task, trained):
    assert evaluate(task, trained, "test", task.recipe(), CPU).scores["bleu"] > 90
    image, references = task.examples("test")[0]
    inputs = task.encode_inputs([image])
    [answer] = json.loads(json.dumps(task.predict(task.outputs(trained, inputs, None)[0], inputs, Decoding())))
    assert answer["caption"] in [one.lower() for one in references]
    assert len(answer["attention"]) == len(answer["words"])
    assert sum(answer["attention"][0]) == pytest.approx(1, abs=0.01)


def test_the_maps_show_where_the_decoder_looks(task):
    net = task.build().eval()

    class Planted(nn.Module):
        """A map whose first channel is 4 at row 2, column 5."""

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            map = torch.zeros(1, net.trunk.channels[-1], 8, 8)
            map[0, 0, 2, 5] = 4.0
            return [map]

    attention = net.decoder.attention
    with torch.no_grad():
        for weight in (attention.W.weight, attention.U.weight, attention.U.bias):
            weight.zero_()
        attention.U.weight[:, 0] = 1.0  # e = Σ v tanh(first channel)
        attention.v.weight.fill_(0.1)
    planted = Planted()
    planted.channels = net.trunk.channels
    net.trunk, net.even = planted, nn.Identity()
    maps = word_maps(net, torch.zeros(1, 3, 32, 32), task.encode_targets([("a small",)], torch.zeros(0)).given)
    e = 0.1 * 48 * np.tanh(4.0)
    assert maps.shape == (3, 8, 8)
    assert maps[:, 2, 5].tolist() == pytest.approx([np.exp(e) / (np.exp(e) + 63)] * 3, rel=1e-4)
    assert torch.allclose(maps.sum((1, 2)), torch.ones(3))


def test_a_word_or_a_sentence_is_scored(task, trained):
    image, _ = task.examples("test")[0]
    x = task.encode_inputs([image])
    caption = task.predict(task.outputs(trained, x, None)[0], x, Decoding())[0]["caption"]
    ids = task.known.writes.numbered(words(caption))
    with torch.no_grad():
        logits, _ = trained(x, torch.tensor([task.known.writes.numbers["<s>"], *ids])[:, None])
        p = logits[:-1, 0].log_softmax(-1)[range(len(ids)), ids]  # ln p of each word, the end left out
        score = lambda what: float(task.score(trained, x, what))
        assert score("") == pytest.approx(float(p.sum()), abs=1e-4)
        assert score(caption) == pytest.approx(float(p.sum()), abs=1e-4)
        square = task.claim({"caption": caption}, "square")
        assert score(square) == pytest.approx(float(p[words(caption).index(" square")]), abs=1e-4)
        assert score("that is look is") < float(p.sum()) - 3
    assert task.claim({"caption": caption}, "") == caption
    assert task.claim({"caption": caption}, "a blue one") == "a blue one"


def test_where_it_looked_and_where_a_word_comes_from_are_drawn(task, trained):
    image, _ = task.examples("test")[0]
    subject = Subject(task, trained, CPU, image)
    [shown] = lookup("word-maps").show(subject)
    assert shown.lines[-1].startswith(END)
    assert len(shown.lines) == len(subject.answer["words"]) + 1
    [shown] = lookup("gradcam").show(replace(subject, what="square"))
    assert "conv2" in shown.lines[0]
    assert "probability" in lookup("occlusion").fits(task, trained)


@pytest.mark.parametrize("attention", ["none", "dot"])
def test_other_ways_to_look_train_too(task, attention):
    chosen = replace(task, attention=attention, cell="gru")
    net = chosen.build()
    inputs, targets = chosen.batch(chosen.examples("train"), range(6), None)
    values = chosen.loss(net.train(), inputs, targets, None).values
    torch.stack(list(values.values())).sum().backward()
    assert all(p.grad is not None for p in net.decoder.parameters())
    assert len(chosen.outputs(net.eval(), inputs, None)[0].written) == 6
