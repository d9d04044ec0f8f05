"""A trained network and all that is known of it: what every section of a report is made from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from legato.device import Device
from legato.layers.modes import evaluating
from legato.recipe import Recipe
from legato.run import Run
from legato.task import Split, Task
from legato.training import Evaluation


@dataclass(frozen=True)
class Trained:
    """A run, its network, and how good it was on which split."""

    run: Run
    net: nn.Module
    evaluations: Mapping[str, Evaluation]

    @cached_property
    def task(self) -> Task[Any, Any, Any]:
        return self.run.task()

    @cached_property
    def recipe(self) -> Recipe:
        return self.run.recipe()

    @cached_property
    def device(self) -> Device:
        """The run's, but where the network is now."""
        where = next((str(p.device) for p in self.net.parameters()), "cpu")
        return replace(self.run.device(), name=where)

    @cached_property
    def metrics(self) -> list[dict[str, float]]:
        return self.run.metrics()

    @property
    def split(self) -> Split | None:
        """The split that says most of what has been evaluated."""
        order: tuple[Split, ...] = ("test", "valid", "train")
        return next((split for split in order if split in self.evaluations), None)

    @property
    def evaluation(self) -> Evaluation | None:
        return self.evaluations[self.split] if self.split else None

    @property
    def tally(self) -> dict[str, Tensor]:
        """The sums of the evaluation, on the CPU."""
        return {name: t.cpu() for name, t in self.evaluation.tally.items()} if self.evaluation else {}

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.net.parameters())

    def names(self, count: int) -> list[str]:
        """Of classes, labels or targets; their numbers where the task has learnt no names."""
        known = self.task.names or getattr(getattr(self.task, "learnt", None), "names", ())
        return list(known) if len(known) == count else [str(k) for k in range(count)]

    def outputs(self, split: Split, indices: Sequence[int]) -> tuple[Any, Any, Any]:
        """Inputs, targets and what the network says of these examples, on the CPU."""
        inputs, targets = self.task.batch(self.task.examples(split), indices, None)
        with torch.inference_mode(), evaluating(self.net), self.device.autocast():
            outputs, _ = self.task.outputs(self.net, self.device.move(inputs), None)
        return inputs, targets, Device("cpu").move(outputs)


def tensors(nest: Any) -> Iterator[Tensor]:
    """All tensors of a nest of tuples, lists and dicts, in order."""
    if isinstance(nest, Tensor):
        yield nest
    elif isinstance(nest, Mapping):
        for part in nest.values():
            yield from tensors(part)
    elif isinstance(nest, list | tuple):
        for part in nest:
            yield from tensors(part)
