"""A trained network, or several, whose answers another learns: distillation.

Hinton, Vinyals & Dean 2015, "Distilling the knowledge in a neural network", arXiv:1503.02531. Both see each picture as
it was varied (Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent", arXiv:2106.05237).
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.errors import UsageError
from legato.layers.fused import fused
from legato.networks import registry
from legato.run import Run
from legato.tasks.pictures import PictureTask

TEMPERATURE = 4.0  # what probabilities of wrong classes are raised by, for they tell what looks alike


class Teacher(NamedTuple):
    """A run's task and its network, to be asked."""

    task: PictureTask
    net: nn.Module

    def logits(self, inputs: Float[Tensor, "b c s s"]) -> Float[Tensor, "b k"]:
        """Of pictures of any size: it sees them at its own."""
        size, outputs = self.task.known.size, registry.lookup(self.task.network)
        if inputs.shape[-1] != size:
            inputs = F.interpolate(inputs, size=(size, size), mode="bilinear", antialias=True)
        return outputs.read(self.net(inputs)).float()


def folders(spec: str) -> list[str]:
    """Of `--teacher RUN,RUN`."""
    return [part.strip() for part in spec.split(",") if part.strip()]


def check(spec: str, names: tuple[str, ...], channels: int) -> list[str]:
    """What to say of these teachers. Raises UsageError for one that cannot teach these classes."""
    said = []
    for folder in folders(spec):
        task = Run(folder).task()
        if not isinstance(task, PictureTask) or task.name != "classify" or task.names != names:
            raise UsageError(f"--teacher {folder}: it tells other things apart; name a run on the same classes")
        if task.known.channels != channels:
            raise UsageError(f"--teacher {folder}: it sees {task.known.channels} channels, and here are {channels}")
        said.append(f"taught by {folder}: {task.network}")
    return said


@lru_cache(maxsize=4)
def teachers(spec: str, device: torch.device) -> list[Teacher]:
    """Their tasks and networks, read once a process."""
    found = []
    for run in map(Run, folders(spec)):
        task = run.task()
        assert isinstance(task, PictureTask)  # checked
        net = run.network().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        found.append(Teacher(task, fused(net).eval()))
    return found


@torch.no_grad()
def answers(spec: str, inputs: Float[Tensor, "b c s s"]) -> Float[Tensor, "b k"]:
    """The mean of the teachers' softened probabilities, softmax(z / T)."""
    each = [(teacher.logits(inputs) / TEMPERATURE).softmax(1) for teacher in teachers(spec, inputs.device)]
    return torch.stack(each).mean(0)


def distillation(logits: Float[Tensor, "b k"], answers: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    """−T² Σ p ln softmax(z / T), the mean over the batch: T² makes its gradients as large as labels' (section 2)."""
    return TEMPERATURE**2 * F.cross_entropy(logits / TEMPERATURE, answers)
