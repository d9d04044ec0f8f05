"""Which training pictures pulled an error there, against all pairs, for a classifier whose weights are a formula."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from legato.device import Device
from legato.errors import DataError
from legato.explain.errors import nearest_of, show_errors
from legato.explain.subject import METHODS, Subject
from legato.layers.stages import stages
from legato.tasks.classify import Classify
from legato.tasks.regress import Regress


@pytest.fixture(scope="module")
def subject() -> Subject:
    """Digits, told apart by the nearest class mean: the logit of k is μₖᵀx − |μₖ|² / 2."""
    task = Classify("digits", network="linear", augmentation="none").adapt()
    x, t = task.batch(task.examples("train"), range(len(task.examples("train"))), None)
    means = torch.stack([x[t == k].flatten(1).mean(0) for k in range(10)])
    layer = nn.Linear(means.shape[1], 10)
    layer.weight, layer.bias = nn.Parameter(means), nn.Parameter(-means.square().sum(1) / 2)
    return Subject(task, stages(flat=nn.Flatten(), fc=layer).eval(), Device(), None)


def test_each_error_beside_its_nearest_of_both_classes(subject: Subject) -> None:
    task = subject.task
    train, valid = (task.batch(task.examples(s), range(len(task.examples(s))), None) for s in ("train", "valid"))
    rows, queries = (x.flatten(1) / x.flatten(1).norm(dim=1, keepdim=True) for x in (train[0], valid[0]))
    with torch.no_grad():
        chances = subject.net(valid[0]).softmax(1)
    said = chances.argmax(1)
    loss = -chances.gather(1, valid[1][:, None]).squeeze(1).log()
    order = [i for i in loss.argsort(descending=True).tolist() if said[i] != valid[1][i]][:5]
    assert order
    expected = []
    for i in order:
        expected.append(f"{task.names[valid[1][i]]}, taken for {task.names[said[i]]}")
        for k in (valid[1][i], said[i]):
            similar = (rows @ queries[i]).masked_fill(train[1] != k, -1)
            expected += [f"{task.names[k]} {v:.4f}" for v in similar.topk(3).values.tolist()]
    [shown] = show_errors(subject)
    for line, text in zip(shown.lines, expected, strict=True):
        assert text in line
    assert shown.picture.width > 7 * 168


def test_where_nothing_is_wrong_there_is_nothing_to_explain(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legato.explain.errors.worst", lambda *_: [])
    with pytest.raises(DataError, match="no validation example is wrong"):
        show_errors(subject)


def test_a_class_without_examples_has_no_neighbours() -> None:
    rows = torch.eye(3)
    best = nearest_of(rows[:2], ["a", "z"], [([0, 1, 2], rows, ["a", "b", "a"])], 3)
    assert best is not None
    assert best.of(0) == [(1.0, 0), (0.0, 2)]
    assert best.of(1) == []


def test_fits_classifiers_alone(subject: Subject) -> None:
    fits = METHODS["errors"].fits
    assert not fits(subject.task, subject.net)
    assert "does not give one class" in fits(Regress("digits"), subject.net)
    assert "no data set" in fits(replace(subject.task, data=""), subject.net)
