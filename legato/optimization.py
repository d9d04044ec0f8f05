"""From a recipe to an optimiser, and what else happens to weights at a step."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from legato.errors import LegatoError, UsageError, nearest
from legato.recipe import Recipe, scales


def optimizer_of(net: nn.Module, recipe: Recipe) -> Optimizer:
    """The recipe's optimiser over what is not frozen; decay only on what has more than one axis (weights)."""
    groups = groups_of(net, recipe)
    if not groups:
        raise LegatoError("every stage is frozen: nothing to train; leave the last one out of --freeze")
    optim, lr, beta = torch.optim, recipe.lr, recipe.momentum
    match recipe.optimizer:
        case "sgd":
            return optim.SGD(groups, lr, beta, fused=True)
        case "nesterov":
            return optim.SGD(groups, lr, beta, nesterov=True, fused=True)
        case "adam":
            return optim.Adam(groups, lr, (beta, 0.999), fused=True)
        case "adamw":
            return optim.AdamW(groups, lr, (beta, 0.999), fused=True)
        case "rmsprop":
            return optim.RMSprop(groups, lr, momentum=beta)
        case "adagrad":
            return optim.Adagrad(groups, lr)


def groups_of(net: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters that are alike in their share of the rate and in their decay; none that are frozen."""
    alike: dict[tuple[float, bool], list[nn.Parameter]] = {}
    shares = shares_of(net, recipe.lr_scale)
    for name, p in net.named_parameters():
        if p.requires_grad:
            alike.setdefault((shares[name], p.dim() > 1), []).append(p)
    return [
        {"params": params, "share": share, "weight_decay": recipe.weight_decay if decays else 0.0}
        for (share, decays), params in alike.items()
    ]


def shares_of(net: nn.Module, spec: str) -> dict[str, float]:
    """The share of the rate that each parameter learns with: discriminative fine-tuning (Howard & Ruder 2018, 3.2).

    `trunk` is the stage of that name, or all stages but the last that has weights; later words override earlier ones.
    Raises UsageError naming the nearest stage.
    """
    stages = [name for name, stage in net.named_children() if any(True for _ in stage.parameters())]
    shares = dict.fromkeys((name for name, _ in net.named_parameters()), 1.0)
    inside = {name for name, stage in net.named_modules() if name and any(True for _ in stage.parameters())}
    for stage, share in scales(spec).items():
        chosen = stages[:-1] if stage == "trunk" and stage not in inside else [stage]
        if not inside.issuperset(chosen):
            raise UsageError(
                f"--lr-scale {stage}: no stage of that name with weights{nearest(stage, ['trunk', *stages])}"
            )
        heads = tuple(f"{name}." for name in chosen)
        shares |= {name: share for name in shares if name.startswith(heads)}
    return shares


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """The rate of a step, each group its share of it."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["share"]


def train_mode(net: nn.Module) -> None:
    """Training mode, but for stages in which nothing is trained: a frozen batch norm keeps its statistics."""
    net.train()
    for part in net.modules():
        own = list(part.parameters())
        if own and not any(p.requires_grad for p in own):
            part.eval()


@torch.no_grad()
def average(ema: Mapping[str, Tensor], net: nn.Module, decay: float, step: int) -> None:
    """w̄ ← d w̄ + (1 − d) w, with a smaller d in the first steps, so that the initial weights are soon forgotten."""
    if decay:
        rate = 1 - min(decay, step / (step + 10))
        weights = net.state_dict()
        floats = [name for name, now in weights.items() if now.is_floating_point()]
        torch._foreach_lerp_([ema[n] for n in floats], [weights[n] for n in floats], rate)
        for name in weights.keys() - set(floats):
            ema[name].copy_(weights[name])
