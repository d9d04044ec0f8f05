"""A trained network and all that is known of it: what every section of a report is made from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from legato.values import Image, Scores, Text


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
        known = self.task.names
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


def image_in(value: Any) -> Image | Tensor | None:
    """The picture an example's input is or holds."""
    if isinstance(value, Image) or (isinstance(value, Tensor) and value.dim() == 3 and len(value) in (1, 3)):
        return value
    parts: Iterable[Any] = value if isinstance(value, tuple) else ()
    return next((found for part in parts if (found := image_in(part)) is not None), None)


def said(value: Any, names: Sequence[str]) -> str:
    """A target or a prediction in a few words: its class, its labels, its numbers, its text."""
    match value:
        case Text():
            return value.text
        case bool() | float():
            return f"{value:.3g}"
        case int():
            return names[value] if 0 <= value < len(names) else str(value)
        case Scores() | Tensor() | dict() | list() | tuple():
            return several(value, names)
    return str(value)


def several(value: Any, names: Sequence[str]) -> str:
    """The first few of many things said."""
    match value:
        case Scores():
            return ", ".join(f"{name} {v:.2f}" for name, v in value.top(2))
        case dict():
            return ", ".join(f"{k} {said(v, ())}" for k, v in list(value.items())[:3])
        case Tensor() if value.dim() == 1 and len(value) == len(names):
            return labels_or_numbers(value, names)
        case Tensor() if value.dim() == 0:
            return said(value.item(), names)
        case Tensor():
            return several(value.flatten()[:4].tolist(), names)
    return ", ".join(said(v, names) for v in value[:4])


def labels_or_numbers(value: Tensor, names: Sequence[str]) -> str:
    """The names of the labels that are set, the shares of mixed classes, or numbers that are neither."""
    known = value[~value.isnan()] if value.is_floating_point() else value
    if bool(((known == 0) | (known == 1)).all()):
        return ", ".join(name for name, v in zip(names, value.tolist()) if v == 1) or "none"
    if float(known.min()) >= 0 and abs(float(known.sum()) - 1) < 1e-3:
        return several(Scores(tuple(names), value), names)
    return ", ".join(f"{v:.2f}" for v in value[:4].tolist())
