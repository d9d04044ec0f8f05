"""What every task on whole pictures promises, on pictures drawn here."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from legato import api
from legato.device import Device
from legato.draws import Draws
from legato.errors import DataError, UsageError
from legato.record import from_json, to_json
from legato.run import Run
from legato.task import Decoding
from legato.tasks.classify import Classify
from legato.tasks.label import Label
from legato.tasks.reconstruct import Reconstruct
from legato.tasks.regress import Regress
from legato.training import evaluate, fit
from legato.views import looked_at

CPU = Device("cpu", "fp32", 1)
SIDE = 16


def drawn(rng: np.random.Generator, left: bool, bright: float) -> np.ndarray:
    """A bright bar on the left or on the right of noise."""
    picture = rng.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
    picture[:, slice(2, 6) if left else slice(10, 14)] = round(255 * bright)
    return picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """train|test/left|right/*.png"""
    root, rng = tmp_path_factory.mktemp("bars"), np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 10)):
        for name in ("left", "right"):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                PIL.Image.fromarray(drawn(rng, name == "left", 0.9)).save(root / split / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> dict[str, Path]:
    """The same kind of pictures with two labels, and with a number, beside each path."""
    root, rng = tmp_path_factory.mktemp("tables"), np.random.default_rng(1)
    labels, numbers = ["path,left,right"], ["path,brightness"]
    for i in range(60):
        left, bright = i % 3 > 0, 0.3 + 0.7 * rng.random()
        PIL.Image.fromarray(drawn(rng, left, bright)).save(root / f"{i}.png")
        labels.append(f"{i}.png,{int(left)},{int(not left)}")
        numbers.append(f"{i}.png,{bright:.3f}")
    (root / "labels.csv").write_text("\n".join(labels))
    (root / "numbers.csv").write_text("\n".join(numbers))
    return {"labels": root / "labels.csv", "numbers": root / "numbers.csv"}


def small(data: Path, kind: type = Classify, augmentation: str = "flip,shift2", **fields: object):
    network = "[conv8-relu-pool]*2-fc"
    return kind(data=str(data), network=network, size=SIDE, augmentation=augmentation, **fields).adapt()


def test_a_batch_equals_its_examples_one_by_one(folder):
    task = small(folder)
    examples, indices = task.examples("train"), [3, 11, 40]
    address = (0, "augment", 2)
    together, targets = task.batch(examples, indices, Draws(address, indices))
    for row, i in enumerate(indices):
        image, target = task.augment(*examples[i], Draws(address, [i]))
        torch.testing.assert_close(task.encode_inputs([image])[0], together[row], atol=0.5 / 255 + 1e-6, rtol=0)
        assert target == targets[row]
    plain, _ = task.batch(examples, indices, None)
    assert torch.equal(plain, task.encode_inputs([examples[i][0] for i in indices]))


def test_mixup_mixes_pictures_and_targets_by_the_same_share(folder):
    task = small(folder, augmentation="mixup1")
    examples, indices = task.examples("train"), list(range(20))
    mixed, targets = task.batch(examples, indices, Draws((0,), indices))
    plain, classes = task.batch(examples, indices, None)
    torch.testing.assert_close(targets.sum(1), torch.ones(20))
    own = targets.gather(1, classes[:, None]).squeeze(1)
    whole = own > 0.999  # partner of the same class, or all its own
    assert 0 < whole.sum() < 20
    unmixed = (mixed - plain).abs().amax(dim=(1, 2, 3)) < 1e-6
    assert not unmixed[~whole].any()


def test_it_learns_measures_and_predicts_and_the_record_is_the_task(folder, tmp_path):
    task = small(folder, augmentation="shift2")  # a mirror would exchange the classes
    recipe = replace(task.recipe(), epochs=10, optimizer="adamw", lr=1e-2, batch_size=16)
    run = Run.begin(tmp_path / "run", task, recipe, CPU)
    net = fit(task, recipe, run, CPU)
    found = evaluate(task, net, "test", recipe, CPU, keep_worst=3)
    assert found.scores["accuracy"] == 1
    assert len(found.worst) == 3
    assert from_json(Classify, json.loads(json.dumps(to_json(task))), "x") == task == run.task()
    trained = api.Trained(run, "cpu")
    [answer] = trained.predict(folder / "test" / "right" / "3.png")
    assert answer["class"] == "right"
    assert json.loads(json.dumps(answer)) == answer


def test_tallies_of_parts_add_up_to_that_of_the_whole(folder):
    task = small(folder)
    outputs, targets = torch.rand(12, 2).softmax(1), torch.randint(2, (12,))
    whole, a, b = (task.tally(outputs[s], targets[s]) for s in (slice(None), slice(5), slice(5, None)))
    for key in whole:
        torch.testing.assert_close(whole[key], a[key] + b[key], check_dtype=False)


def test_labels_and_numbers_from_tables(tables, tmp_path):
    for kind, data, score in ((Label, tables["labels"], "f1"), (Regress, tables["numbers"], "r2")):
        assert api.detect_task(str(data)) == kind.name
        task = small(data, kind, augmentation="none")
        recipe = replace(task.recipe(), epochs=80, optimizer="adamw", lr=1e-2, batch_size=16)
        run = Run.begin(tmp_path / kind.name, task, recipe, CPU)
        net = fit(task, recipe, run, CPU)
        assert evaluate(task, net, "valid", recipe, CPU).scores[score] > 0.8
        image, _ = task.examples("valid")[0]
        [answer] = api.Trained(run, "cpu").answer([image], Decoding())
        json.dumps(answer)


def test_class_weights_make_every_class_count_alike(folder):
    task = replace(small(folder), class_weights=True)
    task = replace(task, learnt=replace(task.known, counts=(30, 10)))
    weights = task.weights(torch.device("cpu"))
    torch.testing.assert_close(weights * torch.tensor([30.0, 10.0]), torch.tensor([20.0, 20.0]))


def test_frozen_stages_do_not_move_and_the_rest_does(folder, tmp_path):
    task = small(folder, freeze="conv1")
    recipe = replace(task.recipe(), epochs=1, lr=1e-2, weight_decay=0.1)
    run = Run.begin(tmp_path / "run", task, recipe, CPU)
    net = fit(task, recipe, run, CPU)
    torch.manual_seed(0)
    before = fit_nothing(task, recipe, tmp_path)
    for name, p in net.named_parameters():
        assert torch.equal(p, before[name]) == name.startswith("conv1"), name


def fit_nothing(task: Classify, recipe, folder: Path) -> dict[str, torch.Tensor]:
    from legato.draws import seed_from

    seed_from(recipe.seed, "weights")
    return dict(task.build().named_parameters())


def test_starting_from_a_run_takes_what_fits_and_says_what_does_not(folder, tmp_path):
    donor = small(folder)
    recipe = replace(donor.recipe(), epochs=1)
    run = Run.begin(tmp_path / "donor", donor, recipe, CPU)
    fit(donor, recipe, run, CPU)
    task = small(folder, start_from=str(run.folder))
    net = task.build()
    said = task.initialise(net)
    assert "tensors taken over" in said
    best = run.best()
    assert all(torch.equal(t, best[k]) for k, t in net.state_dict().items())
    for names in (("a", "b", "c"), ("a", "b")):  # other classes, even if there are as many
        other = replace(task, learnt=replace(task.known, names=names))
        assert "new: fc1" in other.initialise(other.build())


def test_what_cannot_be_meant_is_refused_by_name(folder, tables):
    with pytest.raises(UsageError, match="did you mean conv1"):
        small(folder, freeze="cnv1").build()
    with pytest.raises(UsageError, match="labels, not what `classify` learns; name the task that does: label"):
        small(tables["labels"])
    with pytest.raises(DataError):
        api.detect_task("no/such/folder")
    with pytest.raises(UsageError, match="did you mean augmentation"):
        api.train(folder, "classify", augmentatoin="flip")


def test_views_are_the_variations_of_training_and_their_outputs_are_averaged(folder: Path) -> None:
    task = Classify(data=str(folder), network="[conv4-relu-pool]-fc", size=SIDE, augmentation="flip,shift3").adapt()
    net = task.build().eval()
    examples, indices = task.examples("train"), [3, 1, 40]
    with torch.no_grad():
        found = looked_at(task, net, CPU, [examples[i][0] for i in indices], indices, 3)
        batches = [task.batch(examples, indices, Draws(("view", k), indices) if k else None)[0] for k in range(3)]
        torch.testing.assert_close(found, torch.stack([task.outputs(net, b, None)[0] for b in batches]).mean(0))
    reconstruct = Reconstruct(data=str(folder)).adapt()
    with pytest.raises(UsageError, match="reconstruct looks at its input in one way only"):
        looked_at(reconstruct, reconstruct.build(), CPU, [examples[0][0]], [0], 2)
