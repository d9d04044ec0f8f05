"""Who attacks the pictures a network is trained on, so that it learns to withstand it."""

from typing import NamedTuple

from torch import Tensor

from legato.errors import UsageError
from legato.perturb import LInf, Objective, ascend, share, step_size

STEPS = 7  # of an attack where nothing is said (Mądry et al. 2018, section 5, on CIFAR-10)


WARMING = 0.1  # of a training, in which the ball grows to its full size (Gowal et al. 2018, arXiv:1810.12715, sec. 4)


class Adversary(NamedTuple):
    """Projected gradient ascent from a random start, the inner problem of min over weights of max over the ball.

    Mądry et al. 2018, "Towards deep learning models resistant to adversarial attacks", arXiv:1706.06083, eq. 2.1.
    """

    ball: LInf
    steps: int

    def reaching(self, share: float) -> "Adversary":
        """When this share of the training is done: ε rises in a line, and is then as asked for."""
        return Adversary(LInf(self.ball.epsilon * min(1.0, max(share, 1e-3) / WARMING)), self.steps)

    def __str__(self) -> str:
        return f"{self.ball.epsilon!r}x{self.steps}"

    def attacked(self, objective: Objective, x: Tensor) -> Tensor:
        """The pictures x within the ball that raise the objective; the start is drawn by torch's own generator."""
        start = self.ball.anywhere(x)
        return ascend(objective, start, x, self.ball, step_size(self.ball, self.steps), self.steps)


def adversary(spec: str) -> Adversary:
    """From `8/255` or, with the number of steps, `0.3x40`. Raises UsageError for anything else."""
    epsilon, _, steps = spec.partition("x")
    if steps and not (steps.isdecimal() and int(steps) > 0):
        raise UsageError(f"--adversarial {spec}: {steps!r} is no number of steps; write 8/255 or 0.3x40")
    if not 0 < (reach := share(epsilon)) <= 1:
        raise UsageError(f"--adversarial {spec}: pixels are in [0, 1], so write 8/255 or 0.3x40")
    return Adversary(LInf(reach), int(steps or STEPS))
