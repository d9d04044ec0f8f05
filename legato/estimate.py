"""What a training will cost, before it begins: one step is done and timed, nothing of it is kept."""

import time
from typing import Any

import torch

from legato.data.loader import order
from legato.device import GIB, Device, free_memory, use
from legato.draws import Draws
from legato.optimization import train_mode
from legato.recipe import Recipe
from legato.task import Task

SLOTS = {"sgd": 1, "nesterov": 1, "rmsprop": 2, "adagrad": 1}  # tensors an optimiser keeps for each weight; else 2


def estimate(task: Task[Any, Any, Any], recipe: Recipe, device: Device) -> str:
    """A line: about how long, how much memory, how much disk."""
    use(device)
    net = device.place(task.build())
    groups = order(task, "train", recipe, 0)
    examples, indices = task.examples("train"), groups[0][:: recipe.accumulate]
    began = time.monotonic()
    inputs, targets = task.batch(examples, indices, Draws((0, "estimate"), indices))
    read = time.monotonic() - began
    seconds = min(step(task, net, inputs, targets, device) for _ in range(2)) * recipe.accumulate
    total = (seconds + (0 if recipe.workers else read)) * len(groups) * recipe.epochs
    weights = sum(p.numel() for p in net.parameters()) * 4
    kept = weights * (2 + SLOTS.get(recipe.optimizer, 2) + bool(recipe.ema))
    line = f"about {duration(total)} for {len(groups) * recipe.epochs:,} steps"
    line += f", {weights / 1e6:.1f} MB of weights, {kept / GIB:.2f} GiB of disk"
    return line + (f" — more than the {free_memory() / GIB:.1f} GiB free" if kept > free_memory() else "")


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
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
