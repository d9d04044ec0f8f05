"""The weights of a layer as pictures of what it looks for (Krizhevsky et al. 2012, figure 3)."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from legato import picture
from legato.errors import UsageError
from legato.explain.subject import AnyTask, Shown, Subject, method
from legato.layers.locally_connected import LocallyConnected2d
from legato.values import Image
from legato.watch import watch

MOST = 256  # filters of a first layer shown
SHOWN = 16  # filters and channels of a deeper one


class Filters(NamedTuple):
    """The weights of a layer: its name, and (o, i, h, w)."""

    name: str
    weights: Float[Tensor, "o i h w"]


def filters(net: nn.Module, stage: str = "", shape: tuple[int, ...] = ()) -> Filters:
    """The weights of the first layer in `stage` that has filters; of the network's first layer if it is empty.

    Rows of a dense layer that sees a whole picture of this shape (c, h, w) are filters too; of any other, 1×1 ones.
    Raises UsageError for a stage that does not exist, or has no filters.
    """
    with watch(net, stage):  # complains of a name that does not exist
        part = net.get_submodule(stage)
    for name, module in part.named_modules():
        weights = getattr(module, "weight", None)
        if isinstance(module, nn.Conv2d | nn.Linear) and isinstance(weights, Tensor):
            return Filters(".".join(p for p in (stage, name) if p), as_filters(weights.detach(), shape))
        if isinstance(module, LocallyConnected2d):
            raise UsageError(f"{name}: every place has filters of its own; activations show what they find")
    raise UsageError(f"{stage or 'the network'} has no convolution and no dense layer, and so no filters")


def as_filters(weights: Tensor, shape: tuple[int, ...]) -> Float[Tensor, "o i h w"]:
    if weights.dim() == 4:
        return weights
    whole = len(shape) == 3 and shape[0] * shape[1] * shape[2] == weights.shape[1]
    return weights.unflatten(1, shape if whole else (-1, 1, 1))


def fits(task: AnyTask, net: nn.Module) -> str:
    """Objects where nothing convolves, and nothing sees a whole picture."""
    if Image not in task.takes:
        return f"{task.name} takes no pictures, and its layers have no filters"
    there = any(isinstance(module, nn.Conv2d | nn.Linear) for module in net.modules())
    return "" if there else "the network has no convolution and no dense layer"


@method("filters", fits=fits, needs_input=False)
def show_filters(subject: Subject) -> list[Shown]:
    """The filters of a layer (--stage; the first one without), in colour where it sees colours."""
    name, weights = filters(subject.net, subject.stage, shape_of(subject.task))
    o, i, h, w = weights.shape
    line = (f"{name}: {o} filters of {i} × {h} × {w}",)
    if subject.channel >= o:
        raise UsageError(f"--channel {subject.channel}: {name} has {o} filters, 0 to {o - 1}")
    if subject.channel >= 0:
        return [Shown(of_one(weights[subject.channel], f"{name}: filter {subject.channel}"), lines=line)]
    if h * w == 1:
        title = f"{name}: {o} filters of {i} × 1 × 1"
        return [
            Shown(picture.heat(weights[..., 0, 0], None, title, "weight", True, "input channel", "filter"), lines=line)
        ]
    if i in (1, 3):
        return [Shown(of_pictures(subject.task, name, weights), lines=line)]
    return [Shown(of_many(name, weights), lines=line)]


def shape_of(task: AnyTask) -> tuple[int, ...]:
    try:
        return task.input_shape
    except UsageError:  # pictures of any size: no layer sees a whole one
        return ()


def of_pictures(task: AnyTask, name: str, weights: Float[Tensor, "o i h w"]) -> picture.Picture:
    """Filters that look at the picture itself; one for each class is a template, and has the class's name."""
    o, i, h, w = weights.shape
    title = f"{name}: {o} filters of {h} × {w}" + (" in colour" if i == 3 else "")
    if o == len(task.names) and h > 7:
        bright = weights / (2 * weights.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)) + 0.5
        return picture.sheet(list(zip(bright[:MOST].cpu(), task.names)), title=f"{name}: a template for each class")
    return picture.filters(weights[:MOST], title + (f", the first {MOST}" if o > MOST else ""))


def of_one(filter: Float[Tensor, "i h w"], title: str) -> picture.Picture:
    """All channels of one filter."""
    if len(filter) == 3:
        return picture.filters(filter[None], title)
    return picture.mosaic(filter, title, "weight", signed=True, y="input channel", clip=1.0)


def of_many(name: str, weights: Float[Tensor, "o i h w"]) -> picture.Picture:
    """The filters with the largest weights, each in the channels that all of them look at most."""
    o, i, h, w = weights.shape
    size = weights.square().sum(dim=(2, 3))
    rows = size.sum(dim=1).topk(min(SHOWN, o)).indices.sort().values
    columns = size[rows].sum(dim=0).topk(min(SHOWN, i)).indices.sort().values
    tiles = weights[rows][:, columns].flatten(0, 1)
    title = f"{name}: {len(rows)} of {o} filters in {len(columns)} of {i} channels, {h} × {w}, those of largest weights"
    if len(rows) == o and len(columns) == i:
        title = f"{name}: {o} filters in {i} channels, {h} × {w}"
    return picture.mosaic(
        tiles, title, "weight", True, len(columns), list(map(str, rows.tolist())), list(map(str, columns.tolist())),
        "input channel", "filter",
    )  # fmt: skip
