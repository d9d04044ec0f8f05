"""What single sections say, against the same thing worked out another way."""

import json
import re

import pytest
import torch
from sklearn.metrics import mean_absolute_error, precision_recall_fscore_support, r2_score, root_mean_squared_error
from torch import nn
from torch.nn import functional as F

from legato import reports
from legato.data.loader import loader
from legato.distributed import World
from legato.reports import compare, confusion, layers, learning, worst
from legato.reports.first_batch import batch
from legato.reports.showing import said, with_target
from legato.reports.trained import Trained
from legato.run import Run
from legato.values import Boxes, Image, LabelMap, Scores, Text


def trained(found):
    return Trained(found.run, found.net, found.evaluations)


def judged(found, split="test"):
    """(targets, outputs) of all examples of a split, each on its own."""
    examples = found.task.examples(split)
    inputs, targets = found.task.batch(examples, range(len(examples)), None)
    with torch.no_grad():
        return targets, found.task.outputs(found.net, inputs, None)[0]


def cells(html):
    """The rows of the only table in some HTML."""
    rows = re.findall(r"<tr>(.*?)</tr>", html.partition("<tbody>")[2])
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]


def test_quality_by_class_equals_scikit_learn():
    true, predicted = torch.randint(4, (2, 200), generator=torch.Generator().manual_seed(0))
    predicted[predicted == 2] = 1  # one class is never said
    matrix = torch.bincount(true * 4 + predicted, minlength=16).view(4, 4)
    rows = cells(confusion.classes(matrix, list("abcd")))
    expected = zip(*precision_recall_fscore_support(true, predicted, labels=range(4), zero_division=0))
    for row, values in zip(rows, expected, strict=True):
        assert [float(v) for v in row[1:]] == pytest.approx(values, abs=6e-4)


def test_quality_by_label_equals_scikit_learn(made):
    found = made("marks")
    targets, outputs = judged(found)
    for row, true, probability in zip(cells(confusion.labels(trained(found))), targets.T, outputs.T):
        known = ~true.isnan()
        p, r, f, n = precision_recall_fscore_support(true[known], probability[known] > 0.5, labels=[1], zero_division=0)
        assert [float(v) for v in row[1:]] == pytest.approx([p[0], r[0], f[0], n[0]], abs=6e-4)


def test_errors_by_target_equal_scikit_learn(made):
    found = made("levels")
    targets, outputs = judged(found)
    for row, true, predicted in zip(cells(confusion.targets(trained(found))), targets.T, outputs.T):
        y, p = true[~true.isnan()], predicted[~true.isnan()]
        expected = [root_mean_squared_error(y, p), mean_absolute_error(y, p)]
        if y.unique().numel() > 1:
            expected.append(r2_score(y, p))
        assert [float(v) for v in row[1 : 1 + len(expected)]] == pytest.approx(expected, rel=2e-3)


def test_N1_the_gallery_shows_the_errors_the_least_probable_truth_first(made, monkeypatch):
    found = made("squares")
    targets, probabilities = judged(found)
    confidence, predicted = probabilities.max(1)
    own = probabilities.gather(1, targets[:, None]).squeeze(1)
    order = [i for i in own.argsort().tolist()[:10] if predicted[i] != targets[i]]
    names = found.task.names
    shown = []
    monkeypatch.setattr(worst.picture, "sheet", lambda tiles, title: shown.extend(tiles))
    worst.section(trained(found))
    assert [caption.split("\n")[0] for _, caption in shown] == [
        f"{names[targets[i]]} → {names[predicted[i]]}" for i in order
    ]
    assert [caption.split("\n")[1] for _, caption in shown] == [f"{100 * confidence[i]:.0f} %" for i in order]
    examples = found.task.examples("test")
    assert [image.source for image, _ in shown] == [examples[i][0].source for i in order]


@pytest.mark.parametrize(
    ("shown", "errors", "text"),
    [
        (0, 0, "No errors on test: the least certain"),
        (1, 1, "The one error on test"),
        (82, 82, "All 82 errors on test"),
        (60, 1082, "The worst 60 of 1,082 errors on test"),
    ],
)
def test_the_gallery_says_how_many_there_are(shown, errors, text):
    assert worst.heading(shown, errors, "test") == text


def test_many_classes_are_told_from_the_worst():
    matrix = torch.eye(60, dtype=torch.int64) * 10
    matrix[59, :30] = 1
    html = confusion.classes(matrix, [f"class {k}" for k in range(60)])
    assert cells(html)[0][0] == "class 59"
    assert "40 more" in html


def test_the_first_batch_is_the_one_the_network_was_trained_on(made):
    found = made("squares")
    [first] = next(loader(found.task, "train", found.run.recipe(), World(), 0))
    indices, inputs, targets = batch(trained(found), 5)
    assert indices == first.indices[:5]
    assert torch.equal(inputs, first.inputs[:5])
    assert torch.equal(targets, first.targets[:5])


def test_sizes_of_a_layer_by_hand():
    a = torch.tensor([[0.0, -3.0, 1.0], [0.0, 0.0, 2.0]])
    measured = layers.measured([a])
    assert measured[layers.MEAN] == 1.0
    assert measured[layers.SPREAD] == pytest.approx(a.numpy().std())
    assert measured[layers.ZEROS] == pytest.approx(3 / 6)
    assert measured[layers.DEAD] == pytest.approx(1 / 3)


def test_gradients_by_stage_equal_those_of_a_backward_pass(made):
    found = made("squares")
    net = found.run.network()
    _, x, y = batch(trained(found), 8)
    names = layers.stages(net, {name for name, _ in net.named_modules()})
    assert names == ["conv1", "norm1", "relu1", "flat", "dropout", "classify"]
    measured = dict(zip(names, layers.gradient_norms(net, F.cross_entropy(net(x), y), names)))
    F.cross_entropy(net(x), y).backward()
    conv = torch.cat([net.conv1.weight.grad.flatten(), net.conv1.bias.grad])
    assert measured["conv1"] == pytest.approx(float(conv.norm()), rel=1e-5)
    assert measured["relu1"] != measured["relu1"]  # nothing is learnt there


def test_stages_of_networks_that_are_wrapped_or_never_called_are_opened():
    inner = nn.Sequential(*(nn.Linear(2, 2) for _ in range(5)))
    wrapped = nn.Sequential(nn.Identity(), inner)
    parts = [f"1.{k}" for k in range(5)]
    assert layers.stages(wrapped, {"0", "1", *parts}) == ["0", *parts]
    assert layers.stages(wrapped, set(parts)) == parts  # what only holds others is not heard of
    assert layers.stages(nn.Linear(2, 2), set()) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "dog"),
        (7, "7"),
        (torch.tensor(0), "cat"),
        (torch.tensor([1.0, torch.nan, 1.0]), "cat, owl"),
        (torch.tensor([0.0, 0.0, 0.0]), "none"),
        (torch.tensor([0.3, 0.7, 0.0]), "dog 0.70, cat 0.30"),
        (torch.tensor([2.5, -1.0, 0.0]), "2.50, -1.00, 0.00"),
        ({"class": "cat", "probability": 0.25}, "class cat, probability 0.25"),
        (Text("a word"), "a word"),
        (Scores(("x", "y"), torch.tensor([0.2, 0.8])), "y 0.80, x 0.20"),
        (["a", "b"], "a, b"),
        (None, "None"),
        (object(), ""),
    ],
)
def test_targets_and_predictions_in_words(value, text):
    assert said(value, ("cat", "dog", "owl")) == text


def test_targets_that_one_draws_are_drawn():
    image = Image(torch.full((1, 40, 60), 200, dtype=torch.uint8))
    labels = torch.zeros(40, 60, dtype=torch.uint8)
    labels[10:30, 10:30] = 1
    box = Boxes(torch.tensor([[5.0, 5, 30, 30]]), torch.tensor([0]), torch.ones(1), ("cat",))
    for target in (LabelMap(labels, ("sky", "tree")), box):
        drawn = with_target(image, target)
        assert drawn.pixels.shape[0] == 3
        assert drawn.pixels.unique().numel() > 1
    assert with_target(image, 3) is None
    assert with_target(Text("a word"), box) is None


def test_learning_curves_find_the_best_epoch():
    metrics = [
        {"epoch": k, "train/class": 1 / k, "valid/f1": v, "valid/log_loss": 1.0}
        for k, v in ((1, 0.2), (2, 0.8), (3, 0.5))
    ]
    assert learning.score(metrics) == ("f1", ([1, 2, 3], [0.2, 0.8, 0.5]), (2, 0.8))
    assert learning.losses(metrics) == {
        "train class": ([1, 2, 3], [1, 1 / 2, 1 / 3]),
        "valid log loss": ([1, 2, 3], [1.0, 1.0, 1.0]),
    }
    assert learning.score([{"epoch": 1, "train/class": 1.0}]) is None


# runs beside one another
def test_a_run_on_a_line(made):
    found = made("squares")
    metrics = found.run.metrics()
    clock = [json.loads(line) for line in (found.run.folder / "timing.jsonl").read_text().splitlines()]
    assert reports.summary(found.run) == {
        "name": "squares & <co>",
        "task": "squares",
        "network": "",
        "epochs": 2,
        "score": "accuracy",
        "best": max(line["valid/accuracy"] for line in metrics),
        "loss": metrics[-1]["train/class"],
        "minutes": sum(line["seconds"] for line in clock) / 60,
        "parameters": 483,
    }


def test_a_run_that_has_only_begun_on_a_line(made, tmp_path):
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "run.json").write_text((made("squares").run.folder / "run.json").read_text())
    summary = reports.summary(Run(begun))
    assert (summary["epochs"], summary["best"], summary["loss"], summary["parameters"]) == (0, None, None, None)
    assert "begun" in reports.html_summary(Run(begun))


def test_runs_in_one_picture_and_in_a_notebook(made):
    runs = [made("squares").run, made("levels").run]
    assert compare.curves(runs).size[0] > 1000
    block = reports.html_summary(runs[0])
    assert "squares &amp; &lt;co&gt;" in block
    assert "<co>" not in block
    assert "accuracy on test" in block
