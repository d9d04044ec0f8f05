"""Frozen stages are a pure function of the picture: computed once for each picture, and remembered.

A linear classifier on a frozen trunk so learns in seconds what takes minutes when every epoch computes the trunk again.
"""

from hashlib import blake2b
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from legato.layers.dropout import DROPOUTS, LectureDropout
from legato.layers.stages import walk

MOST = 2**30  # bytes of features kept; pictures beyond them are computed each time


class Remembered:
    """The frozen stages a network begins with, up to and including `last`."""

    def __init__(self, net: nn.Sequential, last: str) -> None:
        self.last = last
        self.rest = nn.Sequential(*list(net)[[name for name, _ in net.named_children()].index(last) + 1 :])
        self.features: dict[bytes, Tensor] = {}
        self.version, self.bytes = version(net), 0

    @torch.no_grad()
    def frozen(self, net: nn.Sequential, x: Float[Tensor, "b c h w"]) -> Tensor:
        """What leaves the frozen stages. One picture at a time: its features do not depend on what it comes with."""
        if version(net) != self.version:  # somebody has loaded other weights
            self.features, self.version, self.bytes = {}, version(net), 0
        return torch.cat([self.feature(net, one) for one in x.split(1)])

    def feature(self, net: nn.Sequential, x: Float[Tensor, "1 c h w"]) -> Tensor:
        key = blake2b(x.contiguous().numpy().data, digest_size=16).digest()
        if key in self.features:
            return self.features[key]
        found = walk(net, x, [self.last])[self.last]
        if self.bytes + found.nbytes <= MOST:
            self.features[key] = found
            self.bytes += found.nbytes
        return found


KNOWN: "WeakKeyDictionary[nn.Module, Remembered | None]" = WeakKeyDictionary()


def through(net: nn.Module, x: Float[Tensor, "b c h w"], again: bool | None = None) -> Tensor:
    """net(x), its frozen stages remembered from picture to picture, once it is in training. On a CPU.

    `again`: whether these pictures will come again; None: if the net is in training mode, which a part of one that is
    frozen as a whole never is.
    """
    if not isinstance(net, nn.Sequential) or x.requires_grad or x.device.type != "cpu":
        return net(x)
    if net not in KNOWN:
        if not (net.training if again is None else again):  # pictures that are only looked at do not come again
            return net(x)
        last = last_frozen(net)
        KNOWN[net] = Remembered(net, last) if last else None
    memory = KNOWN[net]
    return memory.rest(memory.frozen(net, x)) if memory else net(x)


def last_frozen(net: nn.Sequential) -> str:
    """The last stage before anything is learnt or drawn; "" where no stage with weights is frozen."""
    last = ""
    for name, stage in net.named_children():
        if not is_pure(stage):
            break
        last = name
    held = [name for name, stage in net.named_children() if any(True for _ in stage.parameters())]
    return last if held and not any(p.requires_grad for p in getattr(net, held[0]).parameters()) else ""


def is_pure(stage: nn.Module) -> bool:
    """Whether it gives the same for the same picture all through a training."""
    if any(p.requires_grad for p in stage.parameters()):
        return False
    counts = lambda m: isinstance(m, _BatchNorm) and not list(m.parameters())  # keeps statistics, which move
    return not any(isinstance(m, (*DROPOUTS, LectureDropout)) or counts(m) for m in stage.modules())


def version(net: nn.Module) -> int:
    """Grows whenever a frozen weight is written."""
    return sum(p._version for p in net.parameters() if not p.requires_grad)
