"""How large activations and gradients are from layer to layer, on one batch: whether anything dies or explodes."""

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

EXAMPLES, FEWEST, MOST = 32, 4, 40  # in the batch; stages below which they are opened, and that are shown
MEAN, SPREAD, ZEROS, DEAD, GRADIENT = "mean |a|", "sd of a", "share of zeros", "units never active", "‖∂L/∂W‖"


def section(trained: Trained) -> Section | None:
    names = stages(trained.net)[:MOST]
    indices, inputs, targets = batch(trained, EXAMPLES)
    with evaluating(trained.net), torch.enable_grad(), watch(trained.net, *names) as seen:
        move, task = trained.device.move, trained.task
        with trained.device.autocast():
            step = task.loss(trained.net, move(inputs), move(targets), None)
        loss = torch.stack([value.float() for value in step.values.values()]).sum()
        gradients = gradient_norms(trained.net, loss, names)
    names = [name for name in names if any(True for _ in tensors(seen[name]))]
    columns = {key: [measured(seen[name])[key] for name in names] for key in (MEAN, SPREAD, ZEROS, DEAD)}
    columns = {key: values for key, values in columns.items() if key not in (ZEROS, DEAD) or any(v > 0 for v in values)}
    columns[GRADIENT] = [gradients[name] for name in names]
    drawn = picture.profile(names, columns, "Layer by layer, on one batch", log=[GRADIENT])
    note = (
        f"{len(indices)} training examples through the network as trained, no dropout: sizes of what comes out of each "
        "stage, and of the gradient of its weights. A unit is never active if it is zero for all of them."
    )
    return Section("Layers", [Figure("layers", drawn, note)])


def stages(net: nn.Module) -> list[str]:
    """The names of its parts in order; those of its parts' parts where there are fewer than four."""
    names = [name for name, _ in net.named_children()]
    while 0 < len(names) < FEWEST:
        opened = [f"{n}.{inner}" for n in names for inner, _ in net.get_submodule(n).named_children()]
        if not opened:
            break
        names = [m for n in names for m in ([o for o in opened if o.startswith(f"{n}.")] or [n])]
    return names


def gradient_norms(net: nn.Module, loss: Tensor, names: list[str]) -> dict[str, float]:
    """Of the loss with respect to all parameters of a stage; NaN where nothing is learnt. Nothing is kept in net."""
    trained = {name: p for name, p in net.named_parameters() if p.requires_grad}
    found = dict(zip(trained, torch.autograd.grad(loss, list(trained.values()), allow_unused=True)))
    return {
        stage: norm([g for name, g in found.items() if g is not None and name.startswith(f"{stage}.")])
        for stage in names
    }


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
