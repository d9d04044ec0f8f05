"""Linear layers that follow one another are one linear layer: Vᵀ Wᵀ x = (W V)ᵀ x."""

from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn

from legato.errors import UsageError

Weighted = TypeVar("Weighted", nn.Linear, nn.Conv2d)


def fold_linear(net: nn.Sequential) -> nn.Linear:
    """One layer equal to all of net's `nn.Linear`s; refuses when anything else but an `nn.Identity` stands between."""
    layers: list[nn.Linear] = []
    for name, layer in net.named_children():
        if isinstance(layer, nn.Linear):
            layers.append(layer)
        elif not isinstance(layer, nn.Identity):
            kind = type(layer).__name__
            raise UsageError(f"{name} ({kind}) is no nn.Linear: a non-linearity prevents merging the layers around it")
    if not layers:
        raise UsageError("there is no nn.Linear to fold")
    weight, bias = layers[0].weight, bias_of(layers[0])
    for layer in layers[1:]:
        weight, bias = layer.weight @ weight, layer.weight @ bias + bias_of(layer)
    return linear(weight, bias)


def fold_batch_norm(layer: Weighted, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> Weighted:
    """A copy of `layer` that does what `layer` and then `norm` do in use: γ (W x + b − μ) / σ + β is linear in x."""
    if norm.running_mean is None or norm.running_var is None:
        raise UsageError("a batch norm without running statistics depends on the batch, and cannot be folded")
    scale = (norm.running_var + norm.eps).rsqrt() * (norm.weight if norm.affine else 1)
    shift = (norm.bias if norm.affine else 0) - norm.running_mean * scale
    folded = deepcopy(layer)
    folded.weight = nn.Parameter((layer.weight * scale.view(-1, *[1] * (layer.weight.dim() - 1))).detach())
    folded.bias = nn.Parameter((bias_of(layer) * scale + shift).detach())
    return folded


def bias_of(layer: nn.Linear | nn.Conv2d) -> Tensor:
    return torch.zeros_like(layer.weight.flatten(1)[:, 0]) if layer.bias is None else layer.bias


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """The layer x ↦ W x + b."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
    return layer
