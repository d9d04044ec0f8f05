"""What a network makes of many inputs: what comes out of one stage, a batch at a time, so that sets may be large."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.data.loader import ahead
from legato.draws import Draws
from legato.errors import DataError, UsageError
from legato.explain.among import Among
from legato.explain.subject import AnyTask, Subject
from legato.layers.modes import evaluating
from legato.layers.stages import Sided
from legato.task import Split
from legato.tasks.localize import Localize
from legato.tasks.pictures import PictureTask
from legato.tasks.pose import Pose
from legato.tasks.segment import Segment
from legato.values import Image
from legato.watch import watch

BATCH, WORKERS = 32, 2
NO_DATA = "no data set stands behind published weights"
PIXELS, THUMB = 16, 48  # sides of pictures that are kept, to be projected and to be shown
LOOKS = (PictureTask, Localize, Pose, Segment)  # tasks whose networks are given pixels (b, c, h, w) and nothing else


class Seen(NamedTuple):
    """A batch that went through the network: what it was, and what came out of the stage."""

    indices: list[int]  # of the gallery
    inputs: Any  # as the network takes them
    found: Float[Tensor, "b *shape"]
    classes: list[str]  # "" where unknown


class Gallery:
    """The inputs to look among, and a stage that looks at them. Broken files are left out, and named in `broken`."""

    def __init__(self, subject: Subject, stage: str, among: Among | None = None) -> None:
        """Raises UsageError for a split of a data set that there is not."""
        self.subject, self.stage = subject, stage
        self.among: Sequence = Among(subject.task) if subject.among == () else subject.among
        if among is not None:
            self.among = among
        if is_split(self.among) and not subject.task.data:
            raise UsageError(f"{NO_DATA}: name a folder of pictures with --in")
        self.broken: list[str] = []

    def __len__(self) -> int:
        return len(self.among)

    def seen(self, chosen: Sequence[int] | None = None) -> Iterator[Seen]:
        """All of it, or these, in order. Raises DataError if nothing can be read."""
        net, some = self.subject.net, 0
        indices = list(range(len(self)) if chosen is None else chosen)
        groups = [indices[i : i + BATCH] for i in range(0, len(indices), BATCH)]
        prepared: Iterator[Any] = ahead(self.encoded, groups, WORKERS)
        progress = self.subject.progress
        progress.start(f"look at {len(indices):,}", len(indices))
        for group, inputs, classes in prepared:
            if group:
                inputs, some = self.subject.device.move(inputs), some + len(group)
                with torch.no_grad(), evaluating(net), watch(net, self.stage) as seen:
                    run(self.subject.task, net, self.stage, inputs)
                yield Seen(group, inputs, seen[self.stage][0].float().cpu(), classes)
            progress.advance(len(group))
        progress.stop()
        if not some:
            raise DataError(self.broken[0] if self.broken else "nothing to look among")

    def encoded(self, group: list[int]) -> Any:
        """(those that can be read, as the network takes them, their classes)."""
        task, among = self.subject.task, self.among
        if is_split(among):
            inputs, targets = task.batch(among.found, group, None)
            return group, inputs, classes(targets, task.names, len(group))
        read = [(i, one) for i in group if (one := self.read(i)) is not None]
        if not read:
            return [], None, []
        inputs = task.encode_inputs([one for _, one in read])
        return [i for i, _ in read], inputs, [folder(one) for _, one in read]

    def read(self, i: int) -> Any:
        try:
            return self.among[i][0]
        except DataError as error:
            self.broken.append(str(error))
            return None

    def shown(self, i: int) -> tuple[Image, str]:
        """An example as it is, and where it comes from."""
        image, caption = self.among[i]
        return image, getattr(image, "source", "") or caption

    def lines(self) -> tuple[str, ...]:
        """What could not be read, to be said."""
        return (f"{len(self.broken)} left out: {self.broken[0]}",) if self.broken else ()


def is_split(among: Sequence) -> TypeGuard[Among]:  # of (input, caption); a checker of types would read one to see
    """Whether it is a part of the run's own data, which makes tensors of many at once."""
    return isinstance(among, Among) and among.where in get_args(Split)


def classes(targets: Any, names: Sequence[str], count: int) -> list[str]:
    """The class of each example by its name, where a target is one of `names`."""
    if isinstance(targets, Tensor) and targets.dim() == 1 and not targets.is_floating_point() and names:
        return [names[k] for k in targets.tolist()]
    return [""] * count


def folder(input: Any) -> str:
    """The folder a file lies in: its class, in many a data set."""
    return Path(input.source).parent.name if getattr(input, "source", "") else ""


def sampled(count: int, most: int) -> list[int]:
    """At most so many of 0, 1, …, in order; the hash of its number decides about each, and no random state."""
    hashes = Draws(("explain", "sampled"), range(count)).uniform("share").numpy()
    return np.sort(np.argsort(hashes, kind="stable")[:most]).tolist()


def front(net: nn.Module, stage: str) -> nn.Module:
    """The network as far as the stage, where it is a row of stages: what follows need not be computed.

    Raises UsageError for a stage that does not exist.
    """
    with watch(net, stage):  # says which one is meant
        if not isinstance(net, nn.Sequential) or not stage:
            return net
    names = [name for name, _ in net.named_children()]
    return net[: names.index(stage.partition(".")[0]) + 1]


def run(task: AnyTask, net: nn.Module, stage: str, inputs: Any) -> None:
    """Send inputs as far as the stage, for whoever watches it."""
    if isinstance(task, LOOKS):
        front(net, stage)(inputs if isinstance(inputs, Tensor) else inputs.pixels)
    else:
        task.outputs(net, inputs, None)


def before_head(net: nn.Module) -> str:
    """The stage whose output enters the last one with weights: what a network knows of its input before it answers.

    Raises UsageError for a network that is no row of stages.
    """
    prefix, trunk = ("trunk.", net.trunk) if isinstance(net, Sided) else ("", net)
    rows = list(trunk.named_children()) if isinstance(trunk, nn.Sequential) else []
    weighted = [k for k, (_, stage) in enumerate(rows) if any(True for _ in stage.parameters())]
    before = [name for name, stage in rows[: max(weighted, default=0)] if not isinstance(stage, nn.Dropout)]
    if not before:
        raise UsageError(f"{type(net).__name__} is no row of stages with a head: name one with --stage")
    return prefix + before[-1]


def stage_of(subject: Subject) -> str:
    """The stage the user named, or what enters the head."""
    return subject.stage or before_head(subject.net)


def vectors(found: Float[Tensor, "b ..."], stage: str) -> Float[Tensor, "b n"]:
    """A vector an example: maps (b, c, h, w) are averaged over their places, (b, n) stay as they are."""
    if found.dim() == 4:
        return found.mean((2, 3))
    if found.dim() != 2:
        raise UsageError(f"{stage} gives {'×'.join(map(str, found.shape[1:]))} numbers, no map or vector")
    return found


class Collected(NamedTuple):
    """What is kept of examples that are few: one row each."""

    rows: Float[Tensor, "m n"]  # the vectors that came out of the stage
    pixels: Float[Tensor, "m p"]  # the pictures themselves, PIXELS × PIXELS, as vectors
    pictures: list[Float[Tensor, "c h w"]]  # no larger than THUMB
    classes: list[str]


def collected(gallery: Gallery, chosen: Sequence[int]) -> Collected:
    rows, coarse, small, classes = [], [], [], []
    for seen in gallery.seen(chosen):
        pixels = seen.inputs if isinstance(seen.inputs, Tensor) else seen.inputs.pixels
        rows.append(vectors(seen.found, gallery.stage))
        coarse.append(F.adaptive_avg_pool2d(pixels, PIXELS).flatten(1).cpu())
        small += [reduced(p).cpu() for p in pixels]
        classes += seen.classes
    return Collected(torch.cat(rows), torch.cat(coarse), small, classes)


def reduced(picture: Float[Tensor, "c h w"]) -> Float[Tensor, "c _h _w"]:
    h, w = picture.shape[1:]
    return F.adaptive_avg_pool2d(picture, (min(THUMB, h), min(THUMB, w)))


# --- the nearest, or the largest, of however many


class Largest(NamedTuple):
    """For each of q questions the k largest values so far, largest first, and what belongs to each of them."""

    values: Float[Tensor, "q k"]
    belongs: tuple[Tensor, ...]  # each (q, k): an example's number, a place, …

    def of(self, question: int) -> list[tuple[float, ...]]:
        """(value, what belongs to it …) of one question, without those that were ruled out by −∞."""
        columns = zip(self.values[question].tolist(), *(b[question].tolist() for b in self.belongs))
        return [column for column in columns if column[0] > -float("inf")]


def merged(a: Largest | None, b: Largest, k: int) -> Largest:
    """The k largest of both; of equals those of `a`."""
    values = b.values if a is None else torch.cat([a.values, b.values], dim=1)
    pairs = [(y,) if a is None else (x, y) for x, y in zip((a or b).belongs, b.belongs)]
    order = values.sort(dim=1, descending=True, stable=True).indices[:, :k]
    return Largest(values.gather(1, order), tuple(torch.cat(p, dim=1).gather(1, order) for p in pairs))


def cosine(a: Float[Tensor, "q n"], b: Float[Tensor, "b n"]) -> Float[Tensor, "q b"]:
    """aᵀb / |a| |b| of each with each."""
    return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T


def looks(task: AnyTask, net: nn.Module) -> str:
    """Objects where the network is not given the picture alone."""
    return "" if isinstance(task, LOOKS) else f"the network of {task.name} is not given the picture alone"
