"""Which attack on which network, as one says it on the command line."""

from dataclasses import dataclass, replace
from math import inf, log
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from legato.device import Device
from legato.draws import generator
from legato.perturb import Ball
from legato.synthesis.adversarial import Aim, Logits, Pictures, carlini_wagner, fgsm, iterative, pgd, without_gradient
from legato.tasks.classify import Classify

How = Literal["pgd", "fgsm", "iterative", "cw", "universal"]


class Victim(NamedTuple):
    """A trained classifier, as attacks see it: in single precision, whatever it was trained in."""

    task: Classify
    net: nn.Module
    device: Device

    def logits(self, x: Tensor) -> Tensor:
        return self.task.logits(self.net, x)

    def batch(self, split: Literal["train", "valid", "test"], indices: list[int]) -> tuple[Tensor, Tensor]:
        """Pictures and classes of these examples."""
        return self.device.move(self.task.batch(self.task.examples(split), indices, None))

    def says(self, x: Tensor) -> Tensor:
        """(b,) the answers."""
        return without_gradient(self.logits, x).argmax(1)


@dataclass(frozen=True)
class Plan:
    """An attack on single pictures: how, how far, how hard. `confidence` is the probability that is success."""

    how: How
    ball: Ball
    steps: int = 0  # 0: as many as the attack recommends
    restarts: int = 1
    confidence: float = 0.0
    seed: int = 0

    def within(self, epsilon: float) -> "Plan":
        """The same in a ball of another size."""
        return replace(self, ball=type(self.ball)(epsilon))

    def attack(self, logits: Logits, x: Pictures, aim: Aim, enough: float = inf) -> Pictures:
        """The pictures attacked; the random starts are always the same ones. `enough` as in `pgd`."""
        match self.how:
            case "fgsm":
                return fgsm(logits, x, aim, self.ball)
            case "iterative":
                return iterative(logits, x, aim, self.ball, self.steps)
            case "cw":
                return carlini_wagner(logits, x, aim, self.kappa(logits, x), self.steps or 100, searches=6)
        rng = generator(self.seed, "attack")
        return pgd(logits, x, aim, self.ball, self.steps or 40, self.restarts, rng, enough)

    def kappa(self, logits: Logits, x: Pictures) -> float:
        """The margin of logits over each of k − 1 others that makes an answer as probable as wanted in any case."""
        if not self.confidence:
            return 0.0
        with torch.no_grad():
            others = logits(x[:1]).shape[1] - 1
        return log(self.confidence / (1 - self.confidence)) + log(others)
