"""Language models: how a text is read, carried on, scored and continued."""

import json
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from legato.data.loader import loader, order
from legato.decoding import Sampling, probabilities
from legato.device import Device
from legato.distributed import World
from legato.draws import Draws, generator
from legato.errors import DataError, UsageError
from legato.recipe import Recipe
from legato.reports import write
from legato.run import Run
from legato.task import Decoding, Task
from legato.tasks.language import Language
from legato.training import evaluate, fit
from legato.values import Text

CPU = Device("cpu", "fp32", 1)
POEM = "the quick brown fox jumps over the lazy dog. " * 13


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "poem.txt").write_text(POEM)
    return tmp_path / "poem.txt"


def small(file: Path, **choices) -> Language:
    return Language(str(file), **{"width": 12, "depth": 2, "window": 10, "dropout": 0.0} | choices).adapt()


def fitted(task: Language, folder: Path, **choices) -> tuple[Run, torch.nn.Module]:
    recipe = replace(task.recipe(), **{"epochs": 2, "batch_size": 4, "lr": 2e-2, "workers": 0} | choices)
    run = Run.begin(folder, task, recipe, CPU)
    return run, fit(task, recipe, run, CPU)


def test_each_row_of_a_batch_goes_on_where_the_last_batch_ended(file):
    task = small(file)
    examples = task.examples("train")
    groups = order(task, "train", Recipe(batch_size=4), epoch=0)
    assert {len(group) for group in groups} == {4}
    for row in range(4):
        read = torch.cat([examples[group[row]][0] for group in groups])
        foretold = torch.cat([examples[group[row]][1] for group in groups])
        assert torch.equal(read[1:], foretold[:-1])
        assert task.known.vocabulary.decode(read.tolist()) in POEM
    assert len(order(task, "train", Recipe(batch_size=4), epoch=1)) == len(groups)


def test_windows_end_elsewhere_in_another_epoch(file):
    task = small(file)
    assert len({order(task, "train", Recipe(batch_size=4), epoch)[0][0] for epoch in range(8)}) > 1


@pytest.mark.parametrize("window", [7, 10, 57])
def test_every_unit_of_the_validation_text_is_foretold_once(file, window):
    task = small(file, window=window)
    examples = task.examples("valid")
    found = torch.cat([examples[i][1] for group in order(task, "valid", Recipe(), 0) for i in group])
    begins = [i // window for group in order(task, "valid", Recipe(), 0) for i in group]
    assert len(set(begins)) == len(begins)
    assert sorted(found.tolist()) == sorted(examples.ids[1:].tolist())


def test_all_windows_at_once_equal_one_after_another(file):
    task = small(file)
    examples = task.examples("valid")
    group = order(task, "valid", Recipe(), 0)[-1]
    inputs, targets = task.batch(examples, group, None)
    own_inputs, own_targets = Task.batch(task, examples, group, None)
    assert torch.equal(inputs.ids, own_inputs.ids)
    assert torch.equal(inputs.lengths, own_inputs.lengths)
    assert torch.equal(targets, own_targets)


def test_the_score_is_that_of_one_long_reading_of_each_stream(file):
    """State carried over windows: the same as reading a stream at once."""
    task = small(file, window=7)
    torch.manual_seed(0)
    net = task.build().eval()
    ids = task.examples("valid").ids
    streams = (len(ids) - 1) // 7
    length = -(-(len(ids) - 1) // streams)
    nats = 0.0
    for start in range(0, len(ids) - 1, length):
        piece = ids[start : start + length + 1]
        logits = net(piece[:-1, None])[0].detach()
        nats += float(F.cross_entropy(logits[:, 0], piece[1:], reduction="sum"))
    found = evaluate(task, net, "valid", Recipe(batch_size=3, workers=0), CPU).scores
    assert found["nats_per_character"] == pytest.approx(nats / (len(ids) - 1), rel=1e-5)


def test_a_poem_is_learnt_by_heart_and_written(file, tmp_path):
    task = small(file, width=32, depth=1)
    run, net = fitted(task, tmp_path / "run", epochs=20)
    assert run.metrics()[-1]["valid/nats_per_character"] < 0.3
    text = "".join(task.stream(net, [Text("the quick ")], Sampling(length=39, temperature=0)))
    assert text == "brown fox jumps over the lazy dog. the "


def test_the_same_seed_writes_the_same_text_and_another_another(file):
    task = small(file)
    torch.manual_seed(0)
    net = task.build().eval()
    write = lambda seed: "".join(task.stream(net, [Text("the")], Sampling(length=50, seed=seed)))
    assert write(1) == write(1)
    assert write(1) != write(2)
    assert len(write(1)) == 50


def test_a_stream_is_drawn_from_what_outputs_says(file):
    task = small(file)
    torch.manual_seed(0)
    net = task.build().eval()
    how = Sampling(length=5, top_k=3)
    text = "".join(task.stream(net, [Text("the")], how))
    rng = generator("sample", how.seed, 0)
    written = "the"
    with torch.no_grad():
        for _ in range(5):
            p, _ = task.outputs(net, task.encode_inputs([Text(written)]), None)
            p[..., task.known.vocabulary.unknown] = 0  # never written
            one = torch.multinomial(probabilities(p[-1].log(), how), 1, generator=rng)
            written += task.known.names[int(one)]
    assert written == "the" + text


def test_predict_tells_the_likeliest_next_units_and_the_cost_of_the_text(file):
    task = small(file)
    torch.manual_seed(0)
    net = task.build().eval()
    inputs = task.encode_inputs([Text("the fox"), Text("a")])
    with torch.no_grad():
        outputs, _ = task.outputs(net, inputs, None)
        first, second = task.predict(outputs, inputs, Decoding(top=3))
        logits, _ = net(inputs.ids[:7, :1])
    expected = F.cross_entropy(logits[:-1, 0], inputs.ids[1:7, 0])
    assert first["nats"] == pytest.approx(float(expected), rel=1e-5)
    assert second["nats"] is None
    assert [name for name, _ in first["next"]] == [task.known.names[i] for i in logits[-1, 0].topk(3).indices]
    json.dumps([first, second])


@pytest.mark.parametrize("unit", ["char", "byte", "word", "piece"])
def test_every_unit_trains_writes_and_comes_back_from_its_run(tmp_path, unit):
    (tmp_path / "a.txt").write_text("Über den Wölken 🎈 fliegt er.\nUnd sie?\n" * 30)
    task = small(tmp_path / "a.txt", unit=unit, window=6, depth=1, vocabulary=300 if unit == "piece" else 0)
    run, net = fitted(task, tmp_path / "run", epochs=1)
    assert Run(run.folder).task() == task
    again = Run(run.folder).network()
    how = Sampling(length=30)
    written = list(task.stream(net, [Text("Über")], how))
    assert written == list(task.stream(again, [Text("Über")], how))
    assert run.metrics()[-1]["valid/nats_per_character"] < 6


def test_a_character_of_several_bytes_comes_when_it_is_whole(tmp_path):
    (tmp_path / "a.txt").write_text("🎈" * 200)
    task = small(tmp_path / "a.txt", unit="byte", window=8, depth=1, width=24)
    _, net = fitted(task, tmp_path / "run", epochs=15)
    assert list(task.stream(net, [Text("🎈🎈")], Sampling(length=12, temperature=0))) == ["🎈"] * 3


def test_interrupted_training_goes_on_bit_identically_its_state_carried(file, tmp_path, monkeypatch):
    from legato import training

    task = small(file, dropout=0.2)
    whole, _ = fitted(task, tmp_path / "whole")
    steps = iter(range(100))
    real = training.average

    def stop_at_three(*args):
        real(*args)
        if next(steps) == 3:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(training, "average", stop_at_three)
    with pytest.raises(training.Interrupted):
        fitted(task, tmp_path / "parts")
    monkeypatch.undo()
    run = Run(tmp_path / "parts")
    assert any(k.startswith("carry/") for k in load_file(run.folder / "state.safetensors"))
    fit(task, run.recipe(), run, CPU)
    a, b = (load_file(folder / "state.safetensors") for folder in (whole.folder, run.folder))
    assert [k for k in a if not torch.equal(a[k], b[k])] == []


def test_unseen_characters_are_mapped_or_refused_as_chosen(tmp_path):
    (tmp_path / "a.txt").write_text("abc" * 60 + "xyz" * 7)  # the last tenth is new
    mapped = small(tmp_path / "a.txt")
    assert mapped.known.vocabulary.decode(mapped.examples("valid").ids.tolist()) == "�" * 21
    with pytest.raises(DataError, match=r"'x'.*--unseen map"):
        small(tmp_path / "a.txt", unseen="refuse")


def test_a_text_shorter_than_a_window_says_what_to_do(tmp_path):
    (tmp_path / "a.txt").write_text("hello there")
    with pytest.raises(DataError, match=r"9 units to train on are no more than a window of 10; .*--window 4"):
        small(tmp_path / "a.txt")


def test_a_stride_beyond_the_window_is_refused(file):
    with pytest.raises(UsageError, match="--stride 11: must lie between 1 and the window, 10"):
        small(file, stride=11)


def test_mut_cells_get_an_embedding_as_wide_as_their_state(file):
    task = small(file, cell="mut1")
    net = task.build()
    assert net.embed.weight.shape == (len(task.known.names), 12)
    assert net.embed.weight.requires_grad


def test_a_batch_is_the_same_with_and_without_draws(file):
    task = small(file)
    [group, *_] = order(task, "train", Recipe(batch_size=4), 0)
    with_draws = task.batch(task.examples("train"), group, Draws((0,), group))
    assert torch.equal(with_draws[0].ids, task.batch(task.examples("train"), group, None)[0].ids)


def test_a_specimen_is_text(file):
    task = small(file)
    assert len(task.specimen(task.build(), 40)) == 40


def test_loaded_batches_are_time_first(file):
    task = small(file)
    [batch] = next(iter(loader(task, "train", Recipe(batch_size=4, workers=0), World())))
    assert batch.inputs.ids.shape == batch.targets.shape == (10, 4)
    assert torch.equal(batch.inputs.ids[1:], batch.targets[:-1])


def test_a_training_keeps_what_it_wrote_from_the_first_weights_to_the_last(file, tmp_path):
    task = small(file)
    run, net = fitted(task, tmp_path / "run")
    steps = [line["step"] for line in run.metrics()]
    kept = run.specimens()
    assert [line["step"] for line in kept] == [0, *steps]
    assert kept[-1]["text"] == task.specimen(net)
    run.keep_specimen(run.position()._replace(step=steps[-1] + 1), "written just before a crash")
    run.keep_specimen(run.position(), kept[-1]["text"])  # made again after it
    assert run.specimens() == kept
    assert escape(kept[0]["text"]) in write(run, net, {}).read_text()


@pytest.mark.parametrize("choices", [{}, {"top_k": 3}])
def test_what_is_unknown_is_never_written(file, choices):
    task = small(file)
    net = task.build()
    unknown = task.known.vocabulary.unknown
    torch.nn.init.zeros_(net.out.weight)
    with torch.no_grad():
        net.out.bias.zero_()[unknown] = 20.0  # likelier than all others together
    written = "".join(task.stream(net, [Text("the")], Sampling(length=50, **choices)))
    assert len(written) == 50
    assert "�" not in written
    assert net.out.bias[unknown] == 20, "the network itself is left as it is"


def test_a_window_of_nothing_is_refused(file):
    with pytest.raises(UsageError, match="--window 0: must be at least 1"):
        small(file, window=0)


def test_a_file_that_is_not_there_is_no_text(file):
    with pytest.raises(DataError, match=r"nosuch\.txt: not found"):
        small(file).read_input("nosuch.txt")
