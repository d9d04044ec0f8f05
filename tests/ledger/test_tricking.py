"""Row V6: a cat that a network takes for a toaster, and what stands against it."""

import json

import pytest
import torch

import legato
from legato.cli import main
from legato.networks import registry
from legato.perturb import LInf
from legato.synthesis.adversarial import Aim, fgsm, iterative, pgd
from legato.synthesis.adversarial_pictures import trick
from legato.synthesis.adversarial_plan import Plan, Victim
from legato.tasks.classify import Classify


def test_V6_the_cat_becomes_a_toaster_within_four_levels_as_bytes(real_data) -> None:
    weights = real_data / "pretrained/squeezenet1_1/squeezenet1_1_fp16.npz"
    ready = legato.load("squeezenet", "cpu", start_from=str(weights))
    assert isinstance(ready.task, Classify)
    plan, aim = Plan("pgd", LInf(4 / 255), steps=10), Aim(torch.tensor([ready.task.names.index("toaster")]), True)
    cat = ready.task.read_input(str(real_data / "pictures/content/cat.jpg"))
    done = trick(Victim(ready.task, ready.network, ready.device), cat, aim, plan, plan.attack)
    before, after = ready.answer([cat, done.after], legato.Decoding(1))
    assert before["class"] == "Egyptian cat"
    assert after["class"] == "toaster"
    assert after["probability"] >= 0.98
    assert float(done.change.abs().max()) == 4 / 255


@pytest.mark.slow
def test_V6_the_cat_becomes_a_toaster_of_98_percent_within_four_levels(real_data, tmp_path, capsys):
    weights = real_data / "pretrained/squeezenet1_1/squeezenet1_1_fp16.npz"
    cat, target = real_data / "pictures/content/cat.jpg", ["--target", "toaster", "--epsilon", "4/255", "--steps", "20"]
    arguments = ["squeezenet", str(cat), "--start-from", str(weights), *target, "--confidence", "0.98"]
    assert main(["attack", *arguments, "--save", str(tmp_path), "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["before"]["class"] == "Egyptian cat"
    assert found["after"]["class"] == "toaster"
    assert found["after"]["probability"] >= 0.98  # of the PNG, read back
    assert found["linf"] <= 4 / 255
    assert 0 < found["smallest_epsilon"] <= 4 / 255
    assert (tmp_path / "cat-toaster.png").exists()
    assert (tmp_path / "cat-toaster-card.png").exists()


@pytest.mark.slow
def test_V6_an_undefended_lenet_falls_to_pgd_on_every_digit(real_data, tmp_path, capsys):
    run = str(tmp_path / "lenet5")
    train = ["train", "classify", str(real_data / "mnist"), "--network", "lenet5", "--epochs", "3", "--to", run]
    assert main([*train, "--device", "cpu", "--quiet"]) == 0
    attack = ["attack", run, "--curve", "--points", "1", "--epsilon", "0.3", "--steps", "40", "--count", "1000"]
    assert main([*attack, "--save", str(tmp_path), "--device", "cpu", "--json"]) == 0
    accuracy = json.loads(capsys.readouterr().out)["accuracy"]
    assert accuracy[0] > 0.98
    assert accuracy[1] <= 0.01


def test_V6_one_step_many_steps_and_random_starts_raise_the_loss_in_this_order() -> None:
    torch.manual_seed(0)
    net = registry.build("lenet5", 10, 1, 28).eval()
    x, y = torch.rand(8, 1, 28, 28), torch.arange(8)
    loss = lambda x: torch.nn.functional.cross_entropy(net(x), y).item()
    aim, ball = Aim(y), LInf(0.1)
    one, many, random = fgsm(net, x, aim, ball), iterative(net, x, aim, ball, 40), pgd(net, x, aim, ball, 40, 2)
    assert loss(x) < loss(one) <= loss(many) * (1 + 1e-3)
    assert loss(random) == pytest.approx(loss(many), rel=0.05)


def test_V6_the_network_for_adversarial_training_is_the_papers() -> None:
    net = registry.build("madry", 10, 1, 28)
    wide = [m.out_channels for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    dense = [m.out_features for m in net.modules() if isinstance(m, torch.nn.Linear)]
    assert (wide, dense) == ([32, 64], [1024, 10])
    conv = 32 * (25 + 1) + 64 * (25 * 32 + 1)
    assert sum(p.numel() for p in net.parameters()) == conv + 1024 * (49 * 64 + 1) + 10 * (1024 + 1)
