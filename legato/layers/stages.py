"""A network is a row of named stages. Tapping one, stopping at one, hanging a head on one: all by its name."""

from collections import OrderedDict
from collections.abc import Collection, Mapping

from jaxtyping import Float
from torch import Tensor, nn

from legato.errors import UsageError, nearest


def stages(**named: nn.Module) -> nn.Sequential:
    """An nn.Sequential whose stages carry the names they have in the paper."""
    return nn.Sequential(OrderedDict(named))


def walk(net: nn.Sequential, x: Tensor, taps: Collection[str]) -> dict[str, Tensor]:
    """Go through the stages and bring back what comes out of each one named in `taps`, in the network's order.

    Stops after the last of them. Raises UsageError naming the nearest stage if there is none of that name.
    """
    named = dict(net.named_children())
    for name in taps:
        if name not in named:
            raise UsageError(f"no stage called {name!r}{nearest(name, named)}")
    left, seen = set(taps), {}
    for name, stage in named.items():
        if not left:
            break
        x = stage(x)
        if name in left:
            left.remove(name)
            seen[name] = x
    return seen


class Sided(nn.Module):
    """A network with side heads hung on some of its stages: x → (logits, side logits, …), in training and out of it."""

    def __init__(self, trunk: nn.Sequential, sides: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.trunk, self.sides = trunk, nn.ModuleDict(sides)
        self.last = [name for name, _ in trunk.named_children()][-1]

    def forward(self, x: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b k"], ...]:
        seen = walk(self.trunk, x, [*self.sides, self.last])
        return seen[self.last], *(head(seen[name]) for name, head in self.sides.items())
