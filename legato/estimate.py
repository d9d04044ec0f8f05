"""What a training will cost, before it begins: one step is done and timed, nothing of it is kept."""

import shutil
import time
from pathlib import Path
from typing import Any

import torch

from legato.data.loader import order
from legato.device import GIB, Device, peak_memory, use
from legato.draws import Draws
from legato.layers.fused import fused
from legato.optimization import optimizer_of, train_mode
from legato.recipe import Recipe
from legato.task import Task

SLOTS = {"sgd": 1, "nesterov": 1, "rmsprop": 2, "adagrad": 1}  # tensors an optimiser keeps for each weight; else 2
MB = 1e6


def estimate(task: Task[Any, Any, Any], recipe: Recipe, device: Device, folder: Path) -> str:
    """A line: about how long, how much memory, how much disk; and what of these there is not enough of.

    Raises UsageError for stages the recipe names and the network has not, LegatoError where nothing is trained.
    """
    use(device)
    net = fused(device.place(task.build()))
    optimizer_of(net, recipe)
    groups = order(task, "train", recipe, 0)
    steps = min(recipe.steps or len(groups) * recipe.epochs, len(groups) * recipe.epochs)
    examples = task.examples("train")
    [warm, *_, fresh] = [groups[0], *groups[:2]]  # two batches, where there are two
    for indices in (warm, fresh):
        began = time.monotonic()
        batch = task.batch(
            examples, indices[:: recipe.accumulate], Draws((0, "estimate"), indices[:: recipe.accumulate])
        )
        reading = (time.monotonic() - began) * recipe.accumulate
        new = step(task, net, *batch, device) * recipe.accumulate
    again = step(task, net, *batch, device) * recipe.accumulate  # frozen stages remember what they have seen
    first = min(len(groups), steps)
    learning = first * max(new, again) + (steps - first) * again
    if recipe.workers and not getattr(examples, "in_memory", False):  # both at once
        total = max(learning, reading / recipe.workers * steps)
    else:
        total = learning + reading * steps
    weights = sum(p.numel() * p.element_size() for p in net.parameters())
    beside = SLOTS.get(recipe.optimizer, 2) + bool(recipe.ema)  # as large as the weights, kept with them
    memory = held(device) + beside * weights
    disk = (3 + 2 * beside) * weights  # the best weights, and the state: while it is replaced, the old one and the new
    work = f"{steps:,} step{'s' * (steps != 1)}"
    line = f"about {duration(total)} for {work}, {size(memory)} of memory, {size(disk)} of disk"
    free = shutil.disk_usage(next(p for p in (folder, *folder.absolute().parents) if p.exists())).free
    return line + (f"; only {size(free)} of disk are free: --to names another place" if disk > free else "")


def held(device: Device) -> int:
    """Bytes at most so far, where the network is."""
    return torch.cuda.max_memory_allocated(device.name) if device.name.startswith("cuda") else peak_memory()


def size(count: int) -> str:
    """In MB below a gigabyte."""
    return f"{count / GIB:.1f} GiB" if count >= 1000 * MB else f"{max(1.0, count / MB):.0f} MB"


def step(task: Task[Any, Any, Any], net: Any, inputs: Any, targets: Any, device: Device) -> float:
    """Seconds of one forward and backward pass."""
    train_mode(net)
    began = time.monotonic()
    with device.autocast():
        values = task.loss(net, device.move(inputs), device.move(targets), None).values
    torch.stack([v.float() for v in values.values()]).sum().backward()
    net.zero_grad()
    return time.monotonic() - began


def duration(seconds: float) -> str:
    if seconds < 1:
        return "a second"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
