"""How large activations and gradients are from layer to layer, on one batch: whether anything dies or explodes."""

from collections.abc import Set
from math import nan
from typing import Any

import torch
from torch import Tensor, nn

from legato import picture
from legato.layers.modes import evaluating
from legato.reports.first_batch import batch
from legato.reports.page import Figure, Section
from legato.reports.trained import Trained, tensors
from legato.watch import watch

NUMBERS = 500_000  # of inputs
FEWEST, MOST = 4, 40  # stages shown
MEAN, SPREAD, ZEROS, DEAD, GRADIENT = "mean |a|", "sd of a", "share of zeros", "units never active", "‖∂L/∂W‖"


def section(trained: Trained) -> Section:
    indices, inputs, targets = batch(trained, examples(trained))
    everything = [name for name, _ in trained.net.named_modules() if name]
    with evaluating(trained.net), torch.enable_grad(), watch(trained.net, *everything) as seen:
        move, task = trained.device.move, trained.task
        with trained.device.autocast():
            step = task.loss(trained.net, move(inputs), move(targets), None)
        loss = torch.stack([value.float() for value in step.values.values()]).sum()
    heard = {name for name, outputs in seen.items() if any(True for _ in tensors(outputs))}
    names = stages(trained.net, heard)[:MOST]
    columns = {key: [measured(seen[name])[key] for name in names] for key in (MEAN, SPREAD, ZEROS, DEAD)}
    columns = {key: values for key, values in columns.items() if key not in (ZEROS, DEAD) or any(v > 0 for v in values)}
    columns[GRADIENT] = gradient_norms(trained.net, loss, names)
    drawn = picture.profile(names, columns, "Layer by layer, on one batch", log=[GRADIENT])
    note = (
        f"{len(indices)} training examples through the network as trained, no dropout: sizes of what comes out of each "
        "stage, and of the gradient of its weights. A unit is never active if it is zero for all of them."
    )
    return Section("Layers", [Figure("layers", drawn, note)])


def examples(trained: Trained) -> int:
    """As many as are looked at in little time and memory."""
    _, inputs, _ = batch(trained, 1)
    return max(4, min(32, NUMBERS // max(1, sum(t.numel() for t in tensors(inputs)))))


def stages(net: nn.Module, heard: Set[str]) -> list[str]:
    """The parts of a network that were heard of, in order: its own, and the parts of those that only hold others.

    Where there are fewer than four, the largest is opened until there is nothing more to open.
    """
    names = opened(net, "", heard)
    while 0 < len(names) < FEWEST:
        inside = {name: opened(net.get_submodule(name), name, heard) for name in names}
        largest = max(inside, key=lambda name: len(inside[name]))
        if len(inside[largest]) < 2:
            break
        names = [part for name in names for part in (inside[name] if name == largest else [name])]
    return names


def opened(module: nn.Module, name: str, heard: Set[str]) -> list[str]:
    """The names of a module's parts; for a part that was never called itself, those of its parts."""
    found = []
    for child, part in module.named_children():
        path = f"{name}.{child}".removeprefix(".")
        found += [path] if path in heard else opened(part, path, heard)
    return found


def gradient_norms(net: nn.Module, loss: Tensor, names: list[str]) -> list[float]:
    """Of the loss with respect to all parameters of a stage; NaN where nothing is learnt. Nothing is kept in net."""
    trained = {name: p for name, p in net.named_parameters() if p.requires_grad}
    found = dict(zip(trained, torch.autograd.grad(loss, list(trained.values()), allow_unused=True)))
    known = {name: g for name, g in found.items() if g is not None}
    return [norm([g for name, g in known.items() if name.startswith(f"{stage}.")]) for stage in names]


def norm(gradients: list[Tensor]) -> float:
    return float(torch.stack([g.double().square().sum() for g in gradients]).sum().sqrt()) if gradients else nan


def measured(outputs: list[Any]) -> dict[str, float]:
    """Over all calls of a stage: mean |a|, standard deviation, share of zeros, share of channels that are only zero."""
    parts = [t.detach().float() for t in tensors(outputs)]
    a = torch.cat([t.flatten() for t in parts])
    silent = torch.stack([(t == 0).transpose(0, 1).flatten(1).all(1).float().mean() for t in parts if t.dim() > 1])
    return {
        MEAN: float(a.abs().mean()),
        SPREAD: float(a.std(correction=0)),
        ZEROS: float((a == 0).float().mean()),
        DEAD: float(silent.mean()) if len(silent) else nan,
    }
