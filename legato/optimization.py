"""From a recipe to an optimiser, and what else happens to weights at a step."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from legato.errors import LegatoError
from legato.recipe import Recipe


def optimizer_of(net: nn.Module, recipe: Recipe) -> Optimizer:
    """The recipe's optimiser over what is not frozen; decay only on what has more than one axis (weights)."""
    trained = [p for p in net.parameters() if p.requires_grad]
    if not trained:
        raise LegatoError("every stage is frozen: nothing to train; leave the last one out of --freeze")
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
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


def set_lr(optimizer: Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


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
        for name, now in net.state_dict().items():
            mean = ema[name]
            mean.lerp_(now, rate) if mean.is_floating_point() else mean.copy_(now)
