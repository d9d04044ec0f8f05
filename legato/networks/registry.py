"""Which networks there are: a name, a builder, and what its paper says of it. To register is to be tested.

A network has no options, only names: a variant worth training is worth a name. Its builder is told what the data
dictates and no more, `(classes, channels)`; where weights belong to pixels, as in `linear`, also the `size`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from legato.errors import UsageError, nearest
from legato.networks.pattern import is_pattern, parse, pattern

Builder = Callable[..., nn.Module]
Builds = TypeVar("Builds", bound=Builder)


def identity(outputs: Any) -> Any:
    """What most networks give is what they say."""
    return outputs


@dataclass(frozen=True)
class Entry:
    """A network and the facts about it. `classes` and `channels` are those it was published with."""

    name: str
    build: Builder  # build(classes, channels), or build(classes, channels, size)
    paper: str
    params: int  # as published, or as counted where the paper does not say; the docstring tells
    size: int  # side of the square picture it was drawn for, pixels; 0: whatever the pictures are
    loss: Callable[[Any, Tensor], Tensor] | None = None  # (outputs, classes as integers) → mean; None: the task's own
    read: Callable[[Any], Tensor] = identity  # outputs → logits (b, classes)

    @property
    def about(self) -> str:
        """The first line of what the builder says of itself."""
        return (self.build.__doc__ or "").partition("\n")[0]

    @property
    def classes(self) -> int:
        return int(signature(self.build).parameters["classes"].default)

    @property
    def channels(self) -> int:
        return int(signature(self.build).parameters["channels"].default)

    @property
    def sized(self) -> bool:
        """Whether it is built for pictures of one size, which the builder is told."""
        return "size" in signature(self.build).parameters


NETWORKS: dict[str, Entry] = {}


def network(
    *,
    paper: str,
    params: int,
    size: int,
    loss: Callable[[Any, Tensor], Tensor] | None = None,
    read: Callable[[Any], Tensor] = identity,
) -> Callable[[Builds], Builds]:
    """Enter a builder under its own name. A network may bring its own loss, and say how to read its outputs."""

    def enter(build: Builds) -> Builds:
        name = build.__name__
        if name in NETWORKS:
            raise UsageError(f"there is a network called {name} already ({NETWORKS[name].paper}); rename yours")
        NETWORKS[name] = Entry(name, build, paper, params, size, loss, read)
        return build

    return enter


def lookup(name: str) -> Entry:
    """The network of this name, or the one this pattern describes: [conv32-relu-pool]*2-fc.

    Raises UsageError with the nearest name, or with the place where the pattern breaks off.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    if is_pattern(name):
        return described(name)
    raise UsageError(f"no network called {name!r}{nearest(name, NETWORKS)}")


def described(spec: str) -> Entry:
    parse(spec)  # complain now rather than when it is built

    def build(classes: int = 10, channels: int = 3, size: int = 32) -> nn.Sequential:
        """The network that this pattern describes."""
        return pattern(spec, classes, channels, size)

    return Entry(spec, build, "lecture 004", 0, 0)


def build(name: str, classes: int, channels: int, size: int) -> nn.Module:
    """A network of this name for pictures (b, channels, size, size) and this many classes, its weights drawn afresh.

    Raises UsageError where it cannot take that size.
    """
    check_size(name, size, channels)
    return for_size(lookup(name), classes, channels, size)


def check_size(name: str, size: int, channels: int = 3) -> None:
    """Raises UsageError, naming the stage that refuses, unless the network takes pictures of size × size pixels."""
    entry, entered = lookup(name), ["", ""]
    with torch.device("meta"):  # shapes without numbers: ResNet-152 costs no more than LeNet
        net, x = for_size(entry, 2, channels, size).eval(), torch.empty(1, channels, size, size)
    for stage, module in net.named_modules():

        def enter(module: nn.Module, inputs: tuple[Tensor, ...], stage: str = stage) -> None:
            entered[:] = stage, needs(module, inputs[0].shape[1:])

        module.register_forward_pre_hook(enter)
    try:
        net(x)
    except RuntimeError as error:
        drawn = f"; it was drawn for {entry.size}×{entry.size}: give --size {entry.size}" if entry.size else ""
        raise UsageError(f"{name} takes no {size}×{size} pictures: {entered[0]} {entered[1]}{drawn}") from error


def for_size(entry: Entry, classes: int, channels: int, size: int) -> nn.Module:
    return entry.build(classes, channels, size) if entry.sized else entry.build(classes, channels)


def needs(module: nn.Module, shape: tuple[int, ...]) -> str:
    """What a stage is given, and what it could use."""
    given = f"is given {'×'.join(map(str, shape))}"
    return f"{given} and has weights for {module.in_features}" if isinstance(module, nn.Linear) else given
