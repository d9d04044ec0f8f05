"""Training on attacked pictures: what is attacked is attacked within its ball, exactly resumed, and withstood."""

import os
import signal
from dataclasses import replace
from itertools import count

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from legato.device import Device
from legato.draws import seed_from
from legato.errors import UsageError
from legato.layers import with_normalization
from legato.perturb import LInf
from legato.run import Run
from legato.synthesis.adversarial import Aim, pgd
from legato.tasks.adversary import STEPS, Adversary, adversary
from legato.tasks.classify import Classify
from legato.training import Interrupted, evaluate, fit

CPU = Device("cpu", "fp32", 1)


@pytest.mark.parametrize(
    ("spec", "found"), [("8/255", Adversary(LInf(8 / 255), STEPS)), ("0.3x40", Adversary(LInf(0.3), 40))]
)
def test_an_adversary_is_named_by_its_reach_and_its_steps(spec, found):
    assert adversary(spec) == found


@pytest.mark.parametrize("spec", ["pgd", "0.3x0", "0.3x-1", "0x7", "8", "0.3xmany"])
def test_what_is_no_adversary_is_refused_before_anything_is_read(spec):
    with pytest.raises(UsageError, match="8/255"):
        Classify("nowhere", adversarial=spec)


@pytest.fixture(scope="module")
def digits() -> Classify:
    return Classify("digits", network="lenet5", augmentation="none", adversarial="0.1x3").adapt()


def test_pictures_are_attacked_within_the_ball_and_the_loss_rises(digits):
    net = digits.build()
    x, y = digits.batch(digits.examples("train"), range(16), None)
    seed_from("noise")
    attacked = digits.attacked(net, x, y)
    assert float((attacked - x).abs().max()) == pytest.approx(0.1, rel=1e-5)
    assert 0 <= float(attacked.min()) <= float(attacked.max()) <= 1
    assert F.cross_entropy(net(attacked), y) > F.cross_entropy(net(x), y)
    seed_from("noise")
    assert torch.equal(digits.attacked(net, x, y), attacked)  # a function of the step's seed


def test_the_network_is_left_as_it_was(digits):
    net = with_normalization(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(4 * 676, 10)),
        (0.5,),
        (0.5,),
    ).train()
    net[2].eval()  # a frozen stage
    before = {name: t.clone() for name, t in net.state_dict().items()}
    x, y = digits.batch(digits.examples("train"), range(4), None)
    digits.attacked(net, x, y)
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    assert [m.training for m in net.children()] == [True, True, False, True, True, True]
    assert all(p.grad is None for p in net.parameters())


def test_interrupted_and_resumed_equals_undisturbed(digits, tmp_path, monkeypatch):
    recipe = replace(digits.recipe(), epochs=1, batch_size=256, precision="fp32")
    straight = fit(digits, recipe, Run.begin(tmp_path / "straight", digits, recipe, CPU), CPU)
    run, steps, real = Run.begin(tmp_path / "parts", digits, recipe, CPU), count(1), torch.optim.AdamW.step

    def step_then_ctrl_c(self, closure=None):
        if next(steps) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, closure)

    monkeypatch.setattr(torch.optim.AdamW, "step", step_then_ctrl_c)
    with pytest.raises(Interrupted):
        fit(digits, recipe, run, CPU)
    assert run.position().step == 3
    monkeypatch.undo()
    resumed = fit(digits, recipe, Run(run.folder), CPU)
    assert Run(run.folder).position().step > 3
    for name, tensor in straight.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_it_withstands_what_a_plain_training_does_not(tmp_path):
    accuracy = {}
    for name, spec in (("plain", ""), ("robust", "0.15x2")):
        task = Classify("digits", network="mlp", augmentation="none", adversarial=spec).adapt()
        recipe = replace(task.recipe(), epochs=4, batch_size=64, lr=2e-3, precision="fp32")
        net = fit(task, recipe, Run.begin(tmp_path / name, task, recipe, CPU), CPU).eval()
        x, y = task.batch(task.examples("test"), range(170), None)
        found = pgd(net, x, Aim(y), LInf(0.15), steps=10)
        accuracy[name] = float((net(found).argmax(1) == y).float().mean())
    assert accuracy["robust"] > accuracy["plain"] + 0.2


def test_the_ball_grows_in_a_line_over_the_first_tenth_of_the_steps():
    task = Classify("digits", network="mlp", augmentation="none", adversarial="0.3x5")
    reach = lambda share: adversary(task.during(share).adversarial)
    assert [reach(s).ball.epsilon for s in (0.05, 0.1, 1.0)] == pytest.approx([0.15, 0.3, 0.3])
    assert 0 < reach(0.0).ball.epsilon < 0.01
    assert reach(0.05).steps == 5
    plain = replace(task, adversarial="")
    assert plain.during(0.05) is plain


def test_validation_is_of_attacked_pictures_and_chooses_by_them(tmp_path):
    task = Classify("digits", network="mlp", augmentation="none", adversarial="0.2x5").adapt()
    recipe = replace(task.recipe(), epochs=2, batch_size=64, lr=2e-3, precision="fp32")
    run = Run.begin(tmp_path / "run", task, recipe, CPU)
    net = fit(task, recipe, run, CPU)
    scores = [line["valid/attacked_accuracy"] for line in run.metrics()]
    plain = evaluate(task, net, "valid", recipe, CPU).scores["accuracy"]
    assert max(scores) < plain - 0.05  # the same pictures, undisturbed
    x, y = task.batch(task.examples("valid"), range(len(task.examples("valid"))), None)
    found = pgd(net.eval(), x, Aim(y), LInf(0.2), steps=5)
    assert scores[-1] == pytest.approx(float((net(found).argmax(1) == y).float().mean()), abs=0.03)
