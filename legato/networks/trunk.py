"""A classifier's convolutional part as a trunk: maps of the strides asked for, for whatever is to be hung on them."""

from collections.abc import Sequence
from math import log2
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.errors import UsageError, nearest
from legato.layers.normalize import with_normalization
from legato.layers.stages import Sided, walk
from legato.layers.tracing import Trace, on_meta, tracing
from legato.networks.registry import Entry, for_size, lookup


class Tap(NamedTuple):
    """Where a map is taken: the last stage of its stride. Position j of it stands at pixel (j + ½) stride + offset."""

    stage: str
    channels: int
    stride: int
    offset: float


class Trunk(nn.Module):
    """Pictures (b, c, h, w) in [0, 1] → a map for each tap, fine to coarse: (b, channels, ≈h/stride, ≈w/stride)."""

    def __init__(self, stages: nn.Sequential, taps: Sequence[Tap]) -> None:
        super().__init__()
        self.stages, self.taps = stages, tuple(taps)

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(tap.stride for tap in self.taps)

    @property
    def offsets(self) -> tuple[float, ...]:
        return tuple(tap.offset for tap in self.taps)

    @property
    def channels(self) -> tuple[int, ...]:
        return tuple(tap.channels for tap in self.taps)

    def forward(self, pixels: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _c _h _w"]]:
        return list(walk(self.stages, pixels, [tap.stage for tap in self.taps]).values())


def trunk(name: str, strides: Sequence[int], channels: int, mean: Sequence[float], sd: Sequence[float]) -> Trunk:
    """The registered network of this name up to its map of the last of these strides, behind a stage `normalize`.

    Raises UsageError if it has no map of such a stride.
    """
    entry = lookup(name)
    found = {tap.stride: tap for tap in taps(entry, channels)}
    for stride in strides:
        if stride not in found:
            raise UsageError(f"{name} has no map of stride {stride}; it has {', '.join(map(str, found)) or 'none'}")
    chosen = [found[stride] for stride in sorted(strides)]
    stages = plain(for_size(entry, 2, channels, SIDE))
    last = [n for n, _ in stages.named_children()].index(chosen[-1].stage)
    return Trunk(with_normalization(stages[: last + 1], mean, sd), chosen)  # type: ignore[arg-type]


SIDE = 256  # pixels of the picture that is sent through to see the strides


def taps(entry: Entry, channels: int) -> list[Tap]:
    """Of each stride the last stage that has weights and does not belong to the classifier, fine to coarse."""
    with torch.device("meta"):
        net, other = (plain(for_size(entry, classes, channels, SIDE)) for classes in (2, 3))
    head = head_of(net, other)
    found: dict[int, Tap] = {}
    with tracing(net) as trace:
        x = trace.picture((channels, SIDE, SIDE))
        for name, stage in net.named_children():
            x = on_meta(stage, x)
            stride, offset = position(trace, x)
            if name == head or stride < max(found, default=1):
                break
            if any(True for _ in stage.parameters()):
                found[stride] = Tap(name, x.shape[1], stride, offset)
    return list(found.values())


def plain(net: nn.Module) -> nn.Sequential:
    """The stages, without side heads."""
    if isinstance(net, Sided):
        return net.trunk
    if not isinstance(net, nn.Sequential):
        raise UsageError(f"{type(net).__name__} is no row of stages: nothing can be tapped")
    return net


def head_of(net: nn.Sequential, other: nn.Sequential) -> str:
    """The first stage whose weights depend on the number of classes."""
    sizes = {name: p.shape for name, p in other.named_parameters()}
    return next((n.partition(".")[0] for n, p in net.named_parameters() if sizes[n] != p.shape), "")


def position(trace: Trace, x: Tensor) -> tuple[int, float]:
    """Stride and offset of a map; stride 0 of what is none."""
    reaches = trace.reaches(x)
    if x.dim() != 4 or reaches is None or reaches[0] != reaches[1]:
        return 0, 0.0
    reach = reaches[0]
    stride, rest = divmod(reach.advance, reach.period)
    if rest or stride < 1 or not log2(stride).is_integer():
        return 0, 0.0
    first, last = reach.at(0)
    return stride, (first + last + 1) / 2 - stride / 2


def freeze(stages: nn.Module, chosen: str) -> None:
    """Let the weights of these stages be. Raises UsageError naming the nearest one."""
    named = {name: stage for name, stage in stages.named_children() if any(True for _ in stage.parameters())}
    wanted = list(named) if chosen == "trunk" else [name.strip() for name in chosen.split(",") if name.strip()]
    for name in wanted:
        if name not in named:
            raise UsageError(f"--freeze {name}: no stage of the trunk with weights{nearest(name, [*named, 'trunk'])}")
        named[name].requires_grad_(False)
