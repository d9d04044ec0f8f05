"""Beginning with somebody's weights: what fits is taken over, what does not is told; stages that stay as they are."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from legato.errors import UsageError, nearest


class Transfer(NamedTuple):
    """What became of each tensor of the network, and what the weights held besides."""

    loaded: list[str]
    fresh: list[str]
    unused: list[str]

    def __str__(self) -> str:
        fresh = f"; new: {', '.join(self.fresh)}" if self.fresh else ""
        unused = f"; not used: {', '.join(self.unused)}" if self.unused else ""
        return f"{len(self.loaded)} tensors taken over{fresh}{unused}"


def copy_fitting(net: nn.Module, weights: Mapping[str, Tensor], where: str) -> Transfer:
    """Copy every tensor whose name and shape fit; a head for other classes stays fresh.

    Raises UsageError if nothing fits.
    """
    own = net.state_dict()
    fits = {k: t for k, t in weights.items() if k in own and own[k].shape == t.shape}
    if not any(k in fits for k, _ in net.named_parameters()):
        raise UsageError(f"--start-from {where}: none of its tensors fits; name with --network what it was made with")
    net.load_state_dict(fits, strict=False)
    fresh = [name for name, _ in net.named_parameters() if name not in fits]
    return Transfer(sorted(fits), fresh, [name for name in weights if name not in fits])


def freeze_stages(net: nn.Module, stages: str) -> None:
    """Let the weights of these stages be: names separated by commas, or `trunk`, all but the last that has weights.

    Raises UsageError naming the nearest stage.
    """
    named = {name: stage for name, stage in net.named_children() if any(True for _ in stage.parameters())}
    chosen = list(named)[:-1] if stages == "trunk" else [s.strip() for s in stages.split(",") if s.strip()]
    for name in chosen:
        if name not in named:
            raise UsageError(f"--freeze {name}: no stage of that name with weights{nearest(name, [*named, 'trunk'])}")
        named[name].requires_grad_(False)
