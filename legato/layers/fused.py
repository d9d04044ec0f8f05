"""The same network, read for speed: what follows a convolution becomes one pass over memory.

Normalise, add the shortcut and rectify; rectify and take maxima; and convolutions of 3 × 3 take a quarter of their
multiplications. `fused(net)` has every weight, statistic and name of `net` in common with it, and gives the same
outputs and gradients, up to rounding, by legato.kernels. What is not made for the kernels goes through the layers as
they are, and out of training all but the convolutions does.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from legato.kernels import few, maps, winograd
from legato.layers.residual import Residual
from legato.layers.size import output_size

Net = TypeVar("Net", bound=nn.Module)


class FusedNorm(nn.Module):
    """relu(norm(x) + other): a batch normalisation, with or without what is added to it, and the rectifier or none."""

    def __init__(self, norm: nn.BatchNorm2d, rectify: bool) -> None:
        super().__init__()
        self.norm, self.rectify = norm, rectify

    def forward(
        self, x: Float[Tensor, "b c h w"], other: Float[Tensor, "b c h w"] | None = None
    ) -> Float[Tensor, "b c h w"]:
        norm = self.norm
        if not norm.training or watched(norm) or not maps.fits(x, *(() if other is None else (other,))):
            y = norm(x) if other is None else norm(x) + other
            return F.relu(y) if self.rectify else y
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        assert norm.momentum is not None
        y, mean, variance = maps.NormRelu.apply(x, other, norm.weight, norm.bias, norm.eps, self.rectify)
        with torch.no_grad():
            norm.num_batches_tracked += 1
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(variance, norm.momentum)
        return y


class FastConv(nn.Conv2d):
    """The same convolution with fewer multiplications (kernels.winograd) or between few channels (kernels.few)."""

    @classmethod
    def of(cls, conv: nn.Conv2d) -> "FastConv":
        """It again, with everything it has in common: weights, hooks."""
        fast = cls.__new__(cls)
        fast.__dict__.update(conv.__dict__)
        return fast

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o _h _w"]:
        stride, padding = self.stride[0], int(self.padding[0])
        if winograd.suits(self) and winograd.fits(x, self.weight, padding):
            return winograd.Convolve.apply(x, self.weight, self.bias, padding)
        if few.fits(x, self.weight, stride, padding):
            return few.Convolve.apply(x, self.weight, self.bias, stride, padding)
        return super().forward(x)


class FusedPool(nn.Module):
    """pool(x) or pool(relu(x)), the largest of each window."""

    def __init__(self, pool: nn.MaxPool2d, rectify: bool) -> None:
        super().__init__()
        self.pool, self.rectify = pool, rectify
        self.window = maps.Window(*(one_number(n) for n in (pool.kernel_size, pool.stride, pool.padding)))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c _h _w"]:
        if not x.requires_grad or watched(self.pool) or not maps.fits(x):
            return self.pool(F.relu(x) if self.rectify else x)
        high, wide = (output_size(n, *self.window, ceil=self.pool.ceil_mode) for n in x.shape[2:])
        return maps.MaxPool.apply(x, self.window, self.rectify, high, wide)


class FusedResidual(nn.Module):
    """y = relu(F(x) + S(x)) where the branch F ends in a normalisation, which takes the sum and the rectifier along."""

    def __init__(self, branch: nn.Module, norm: nn.BatchNorm2d, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch, self.tail, self.shortcut = branch, FusedNorm(norm, rectify=True), shortcut

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o _h _w"]:
        return self.tail(self.branch(x), self.shortcut(x))


class FusedRow(nn.Sequential):
    """Stages in a row: who asks for one gets it as it is; who goes through all of them goes by the fused `steps`."""

    def __init__(self, stages: dict[str, nn.Module], steps: list[nn.Module]) -> None:
        super().__init__(OrderedDict(stages))
        self.steps = steps  # a list, so that nothing is counted twice

    def forward(self, x: Any) -> Any:  # a last stage may answer with several tensors
        for step in self.steps:
            x = step(x)
        return x


def fused(net: Net) -> Net:
    """The network again, fused where it can be; itself where nothing can.

    A network with frozen parts stays as it is: what comes out of those is remembered, by the network's identity.
    """
    plain = any(not p.requires_grad or p.device.type != "cpu" for p in net.parameters())
    return net if plain else again(net)  # type: ignore[return-value]


def again(module: nn.Module) -> nn.Module:
    """The module with its parts fused; itself where none is, or where somebody watches it."""
    if watched(module):
        return module
    if type(module) is nn.Conv2d and few.suits(module):
        return FastConv.of(module)
    if isinstance(module, Residual) and (split := without_last(module.branch, normalises)):
        return FusedResidual(again(split[0]), split[1], again(module.shortcut))  # type: ignore[arg-type]
    parts = {name: again(part) for name, part in module.named_children()}
    if is_row(module):
        steps = list(fused_steps(list(parts.values())))
        if not same(steps, parts.values()):
            return FusedRow(parts, steps)
    if same(parts.values(), module.children()):
        return module
    copied = copy(module)
    copied._modules = {**module._modules, **parts}
    return copied


def fused_steps(parts: list[nn.Module]) -> Iterator[nn.Module]:
    """What a row's parts do, one after another, neighbours together."""
    while parts:
        part, *parts = parts
        if parts and normalises(part) and rectifies(parts[0]):
            yield FusedNorm(part, rectify=True)  # type: ignore[arg-type]
            parts = parts[1:]
        elif parts and takes_maxima(parts[0]) and (split := without_last(part, rectifies)):
            yield from (split[0], FusedPool(parts[0], rectify=True))  # type: ignore[arg-type]
            parts = parts[1:]
        elif takes_maxima(part):
            yield FusedPool(part, rectify=False)  # type: ignore[arg-type]
        else:
            yield part


def without_last(part: nn.Module, kind: Callable[[nn.Module], bool]) -> tuple[nn.Module, nn.Module] | None:
    """A row without its last layer, and that layer; None where it is of another kind, or watched."""
    if watched(part):
        return None
    if kind(part):
        return nn.Identity(), part
    if not is_row(part) or not len(part):  # type: ignore[arg-type]
        return None
    *before, (name, last) = part.named_children()
    if (split := without_last(last, kind)) is None:
        return None
    return nn.Sequential(OrderedDict([*before, (name, split[0])])), split[1]


def is_row(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def normalises(layer: nn.Module) -> bool:
    """By the batch, with a scale and a shift, and a running mean of a fixed momentum."""
    if type(layer) is not nn.BatchNorm2d:
        return False
    return layer.affine and layer.track_running_stats and layer.momentum is not None


def rectifies(layer: nn.Module) -> bool:
    return type(layer) is nn.ReLU


def takes_maxima(layer: nn.Module) -> bool:
    """Over square windows of neighbouring pixels."""
    if type(layer) is not nn.MaxPool2d or layer.return_indices or layer.dilation not in (1, (1, 1)):
        return False
    sizes = (layer.kernel_size, layer.stride, layer.padding)
    return all(isinstance(n, int) or n[0] == n[1] for n in sizes) and one_number(layer.kernel_size) <= maps.WIDEST


def one_number(n: int | tuple[int, int]) -> int:
    return n if isinstance(n, int) else n[0]


def same(some: Iterable[nn.Module], others: Iterable[nn.Module]) -> bool:
    return [*map(id, some)] == [*map(id, others)]


def watched(layer: nn.Module) -> bool:
    """Whether somebody wants to see what goes into it or comes out."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks)
