"""Accuracy under attack on a threshold whose answer is known, transfer between two of them, one change for all."""

from itertools import chain

import pytest
import torch

from legato.device import Device
from legato.draws import generator
from legato.perturb import LInf
from legato.synthesis.adversarial_plan import Plan, Victim
from legato.synthesis.adversarial_robustness import batches, robustness, some, transfer, universal_change
from legato.tasks.classify import Classify
from tests.synthesis.test_adversarial_pictures import victim


def test_the_curve_over_epsilon_is_the_share_further_than_that_from_the_threshold():
    one, rng = victim(0.5), generator("curve")
    level = 0.2 + 0.6 * torch.rand(200, generator=rng)
    x, y = level.view(-1, 1, 1, 1).expand(-1, 1, 8, 8).contiguous(), (level > 0.5).long()
    y[:20] = 1 - y[:20]  # wrong from the beginning
    epsilons = [0.0, 0.05, 0.1, 0.2]
    seen = []
    found = robustness(
        one.logits, [(x[:150], y[:150]), (x[150:], y[150:])], Plan("pgd", LInf(0.2)), epsilons, seen.append
    )
    far = (level[20:] - 0.5).abs()
    assert found.accuracy == pytest.approx([float((far > e).float().sum()) / 200 for e in epsilons], abs=0.005)
    assert (found.n, seen) == (200, [150, 50])


@pytest.fixture(scope="module")
def digits() -> Victim:
    """A linear classifier of digits, by least squares."""
    task = Classify("digits", network="linear", augmentation="none").adapt()
    net = task.build().eval()
    x, y = task.batch(task.examples("train"), range(1000), None)
    weight, bias = (p for p in net.parameters())
    seen = torch.cat([net[0](x).flatten(1), torch.ones(1000, 1)], 1)
    solved = torch.linalg.lstsq(
        torch.cat([seen, 3 * torch.eye(seen.shape[1])]),
        torch.cat([10 * torch.nn.functional.one_hot(y, 10).float(), torch.zeros(seen.shape[1], 10)]),
    ).solution
    with torch.no_grad():
        weight.copy_(solved[:-1].T)
        bias.copy_(solved[-1])
    return Victim(task, net, Device("cpu", "fp32", 1))


def test_examples_are_drawn_by_the_seed_and_never_twice(digits):
    first, again, other = (list(chain(*some(digits, "test", 50, seed))) for seed in (0, 0, 1))
    assert first == again != other
    assert len(set(first)) == 50
    assert len(list(chain(*some(digits, "test", 10**6, 0)))) == len(digits.task.examples("test"))


def test_robustness_of_a_run_falls_from_its_accuracy(digits):
    groups = some(digits, "test", 100, 0)
    found = robustness(digits.logits, batches(digits, "test", groups), Plan("pgd", LInf(0.2), 10), [0.0, 0.1, 0.2])
    [(x, y)] = batches(digits, "test", groups)
    assert found.accuracy[0] == pytest.approx(float((digits.says(x) == y).float().mean()))
    assert found.accuracy[0] > 0.8
    assert found.accuracy == sorted(found.accuracy, reverse=True)
    assert found.accuracy[2] < 0.2


def test_what_turns_a_network_turns_its_copy_and_not_one_that_looks_elsewhere(digits):
    groups, plan = some(digits, "test", 100, 0), Plan("pgd", LInf(0.15), 10)
    same = transfer(digits, digits, "test", groups, plan)
    assert same.turned == same.other > 0.5 * same.n
    blind = Victim(digits.task, torch.nn.Sequential(Remembers(digits, groups)), digits.device)
    assert transfer(digits, blind, "test", groups, plan) == (same.n, same.turned, 0)


class Remembers(torch.nn.Module):
    """Right about every picture near one it has seen: no small change turns it."""

    def __init__(self, digits: Victim, groups: list[list[int]]) -> None:
        super().__init__()
        [(self.x, self.y)] = batches(digits, "test", groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        nearest = torch.cdist(x.flatten(1), self.x.flatten(1)).argmin(1)
        return 10 * torch.nn.functional.one_hot(self.y[nearest], 10).float()


def test_one_change_for_all_turns_others_than_those_it_was_learnt_from(digits):
    plan = Plan("universal", LInf(0.25), steps=5)
    away = universal_change(digits, plan, None, learn=200, count=100, split="test")
    assert float(away.change.abs().max()) <= 0.25 + 1e-6
    assert away.turned > 0.5
    towards = universal_change(digits, plan, 3, learn=200, count=100, split="test")
    assert towards.turned > 0.5
    assert towards.n < 100  # the threes themselves do not count
