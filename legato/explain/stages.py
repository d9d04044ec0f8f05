"""Which stages of a network make maps of the picture, and which of them is the last before the answer."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.errors import UsageError
from legato.explain.subject import AnyTask, pictures
from legato.layers.convolutional import ELEMENTWISE
from legato.layers.dropout import DROPOUTS, LectureDropout
from legato.layers.locally_connected import LocallyConnected2d
from legato.layers.normalize import Normalize
from legato.networks.lenet_1998 import PartlyConnected, Squash
from legato.watch import watch

CONVOLUTIONS = (nn.Conv2d, LocallyConnected2d, PartlyConnected)
FOLLOWING = (*ELEMENTWISE, nn.BatchNorm2d, nn.Identity, Squash)  # what belongs to the convolution before it
SAME = (*DROPOUTS, LectureDropout, nn.Identity, Normalize)  # nothing that one could not see in the stage before
Map = Float[Tensor, "b c h w"]


def outputs(net: nn.Module, run: Callable[[], Any]) -> dict[str, Any]:
    """What came out of every stage, the last time it was called, in the network's order; `run` makes it run once."""
    names = [name for name, _ in net.named_modules() if name]
    with watch(net, *names) as seen, torch.no_grad():
        run()
    return {name: found[-1] for name, found in seen.items() if found}


def maps(net: nn.Module, run: Callable[[], Any]) -> dict[str, Map]:
    """Of those the ones that are maps: (b, c, h, w) with more than one place."""
    return {name: found for name, found in outputs(net, run).items() if is_map(found)}


def is_map(found: Any) -> bool:
    return isinstance(found, Tensor) and found.dim() == 4 and found.shape[2] * found.shape[3] > 1


def last_map(net: nn.Module, run: Callable[[], Any]) -> str:
    """The stage behind the last convolution that looks at more than one place, and whose output still has places.

    Raises UsageError where there is none.
    """
    return next(last_maps(net, run))


def last_maps(net: nn.Module, run: Callable[[], Any]) -> Iterator[str]:
    """That stage, and those before it in case the answer does not depend on it.

    Stages are named as wide as they go: `fire9` rather than the convolution in it, but not a trunk in which maps shrink
    and grow again. Rectifiers and normalisations that follow belong to it.
    """
    found = maps(net, run)
    there = list(candidates(net, found))
    if not there:
        raise UsageError("the network makes no map of places before it answers; occlusion and saliency need none")
    yield from (with_followers(net, name, found) for name in there)


def candidates(module: nn.Module, found: dict[str, Map], path: str = "") -> Iterator[str]:
    """Stages that hold such a convolution, the last one first, the widest first."""
    for name, part in reversed(list(module.named_children())):
        full = path + name
        if not convolves(part):
            continue
        if full in found and not regrown(full, found):
            yield full
        yield from candidates(part, found, f"{full}.")


def convolves(part: nn.Module) -> bool:
    """Whether a convolution in it sees more than one place."""
    convolutions = (m for m in part.modules() if isinstance(m, CONVOLUTIONS))
    return any(not isinstance(m, nn.Conv2d) or max(m.kernel_size) > 1 for m in convolutions)


def regrown(name: str, found: dict[str, Map]) -> bool:
    """Whether a map inside the stage is coarser than what comes out of it: then it decodes, too."""
    inside = (m.shape[2] * m.shape[3] for part, m in found.items() if part.startswith(f"{name}."))
    return min(inside, default=found[name][0, 0].numel()) < found[name][0, 0].numel()


def with_followers(net: nn.Module, name: str, found: dict[str, Map]) -> str:
    """The last of the stages that only rectify or normalise what this one gives."""
    path, _, own = name.rpartition(".")
    siblings = list(net.get_submodule(path).named_children())
    start = [sibling for sibling, _ in siblings].index(own) + 1
    for sibling, part in siblings[start:]:
        full = f"{path}.{sibling}" if path else sibling
        if not isinstance(part, FOLLOWING) or full not in found:
            break
        name = full
    return name


def outline(net: nn.Module, found: dict[str, Map], least: int = 3) -> list[str]:
    """The stages with maps, as few as give at least `least`: the network's own table, not what its rows are made of."""
    names = list(rows(net, found))
    while len(names) < least and (finer := [part for name in names for part in opened(net, name, found)]) != names:
        names = finer
    return names


def rows(module: nn.Module, found: dict[str, Map], path: str = "") -> Iterator[str]:
    """The widest stages with maps; those in which maps grow again are opened, those that change nothing left out."""
    for name, part in module.named_children():
        full = path + name
        if full in found and not isinstance(part, SAME) and not regrown(full, found):
            yield full
        else:
            yield from rows(part, found, f"{full}.")


def opened(net: nn.Module, name: str, found: dict[str, Map]) -> list[str]:
    """The stages in a stage; itself where there are none."""
    return list(rows(net.get_submodule(name), found, f"{name}.")) or [name]


def with_maps(task: AnyTask, net: nn.Module) -> str:
    """Objects where no picture goes in, or no convolution makes maps of it."""
    return pictures(task, net) or ("" if convolves(net) else "the network makes no maps by convolution")
