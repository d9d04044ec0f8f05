"""What the questions about a whole picture share: reading it, varying it, and a network chosen by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from legato.data import augment as variations
from legato.data.decode import Fit, fit, read_image, with_channels
from legato.data.detect import read
from legato.data.examples import PLURAL, Kind, PictureSet, fingerprint
from legato.data.image_folder import listed
from legato.data.loaded import Loaded
from legato.draws import Draws
from legato.errors import DataError, UsageError
from legato.layers import with_normalization
from legato.networks import registry, weights
from legato.picture import Picture
from legato.recipe import Recipe
from legato.run import Run
from legato.task import Split, Task, same
from legato.tasks import recommended, remembered
from legato.tasks.transfer import copy_fitting, freeze_stages
from legato.values import Image

SPLITS: tuple[Split, ...] = ("train", "valid", "test")
Own = TypeVar("Own", bound="PictureTask")


@dataclass(frozen=True)
class Learnt:
    """What `adapt` has found in the data. It stands in run.json, so that using a run needs its data no more."""

    format: str
    names: tuple[str, ...]  # of classes, labels or numbers
    channels: int  # of the pictures the network sees
    size: int  # side of the square it sees, pixels
    load: int  # side of the square that random crops are cut from, pixels
    mean: tuple[float, ...]  # a channel, of pixels in [0, 1]
    sd: tuple[float, ...]
    axes: tuple[tuple[float, ...], ...]  # principal colours, where variations ask for them
    counts: tuple[int, ...]  # training examples of each class or label
    examples: tuple[int, ...]  # of train, valid, test
    policy: str  # which split came from where
    fingerprint: str
    set_aside: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class PictureTask(Task[Image, Any, nn.Module]):
    """A picture in, a vector out."""

    network: str = ""
    """A name from `legato list networks`, or a pattern: [conv32-relu-pool]*2-fc. Empty: chosen by the data."""
    size: int = 0
    """Side of the square the network sees, pixels. 0: what the network was drawn for."""
    augmentation: str = "auto"
    """How training pictures vary: flip,shift4,rotate15,cutout8,…; `none` for not at all."""
    start_from: str = ""
    """Weights to begin with: `imagenet`, a file of published weights, or the folder of a run."""
    freeze: str = ""
    """Stages that are not trained: names separated by commas, or `trunk`, all but the last."""
    fit: Fit = "crop"
    """How a picture becomes a square: its middle, stretched, or with borders (pad)."""
    fold: str = ""
    """2/5: validate on the second fifth of the training examples. all: train on every one, validate on none."""
    learnt: Learnt | None = field(default=None, metadata={"flag": False})

    takes: ClassVar[tuple[type, ...]] = (Image,)
    kinds: ClassVar[tuple[Kind, ...]]  # of targets it can learn

    @property
    def known(self) -> Learnt:
        """What has been learnt; an error in the caller if nothing has."""
        assert self.learnt is not None, "adapt() first"
        return self.learnt

    # data
    @classmethod
    def recognises(cls, data: str) -> bool:
        try:
            return picture_set(data, "").kind in cls.kinds
        except DataError:  # another task's, or nobody's: whoever is named last says what is wrong
            return False

    def choose(self, found: PictureSet) -> tuple[str, int]:
        """The network and the size of its pictures, where the user has not said."""
        name = self.network or recommended.network(found, self.start_from, self.freeze)
        size = self.size or registry.lookup(name).size or max(found.splits["train"].size(0)[:2])
        registry.check_size(name, size)
        return name, size

    def adapt(self: Own) -> Own:
        found = picture_set(self.data, self.fold)
        if found.kind not in self.kinds:
            tasks = [kind.name for kind in PictureTask.__subclasses__() if kind.recognises(self.data)]
            raise UsageError(
                f"{self.data}: targets are {PLURAL[found.kind]}, not what `{self.name}` learns; "
                f"name the task that does: {' or '.join(tasks)}"
            )
        name, size = self.choose(found)
        published = self.published(name)
        channels = published.channels if published else found.channels
        augmentation = self.augmentation
        if augmentation == "auto":
            augmentation = recommended.augmentation(found, size, name, self.freeze)
        load = variation(augmentation).load_size(size)
        splits = {split: loaded(self.data, self.fold, split, load, channels, self.fit, found.names) for split in SPLITS}
        mean, sd = (published.mean, published.sd) if published else statistics(splits["train"])
        learnt = Learnt(
            format=found.format,
            names=found.names,
            channels=channels,
            size=size,
            load=load,
            mean=mean,
            sd=sd,
            axes=principal_colours(splits["train"]) if variation(augmentation).colour else (),
            counts=self.counted(splits["train"]),
            examples=tuple(len(s) for s in splits.values()),
            policy=found.policy,
            fingerprint=fingerprint(found),
            set_aside=tuple(p for aside in (found.set_aside, *(s.set_aside for s in splits.values())) for p in aside),
        )
        return replace(self, network=name, size=size, augmentation=augmentation, learnt=learnt)

    def about(self) -> list[str]:
        known = self.known
        train, valid, test = known.examples
        lines = [
            f"{self.data}: {known.format}, {len(known.names)} {PLURAL[picture_set(self.data, self.fold).kind]}, "
            f"{train:,} train, {valid:,} valid, {test:,} test; {known.policy}",
            f"{self.name} by {self.network} at {known.channels} × {known.size} × {known.size}, "
            f"variations: {self.augmentation}",
        ]
        if known.set_aside:
            lines.append(f"{len(known.set_aside)} pictures set aside, the first: {known.set_aside[0][1]}")
        return lines

    @property
    def names(self) -> tuple[str, ...]:
        return self.known.names

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.known.channels, self.known.size, self.known.size

    def counted(self, train: Loaded) -> tuple[int, ...]:
        """Training examples of each name."""
        targets = torch.from_numpy(train.pictures.targets)
        if targets.dim() == 1:
            return tuple(torch.bincount(targets, minlength=len(picture_set(self.data, self.fold).names)).tolist())
        return tuple((targets > 0.5).sum(0).tolist())

    def examples(self, split: Split) -> Loaded:
        return loaded(self.data, self.fold, split, self.known.load, self.known.channels, self.fit, self.known.names)

    def augment(self, input: Image, target: Any, draws: Draws) -> tuple[Image, Any]:
        pixels = self.square(input)
        return Image((self.varied(pixels[None], draws)[0] * 255).round().byte(), input.source), target

    def batch(self, examples: Any, indices: Sequence[int], draws: Draws | None) -> tuple[Any, Any]:
        """All pictures at once, which equals one after another but for the rounding to bytes in between."""
        pixels, targets = examples.pixels(indices), examples.targets(indices)
        if draws is None:
            return variations.middle(pixels, self.known.size), targets
        inputs, alpha = self.varied(pixels, draws), self.variation.mixup
        if not alpha:
            return inputs, targets
        partners, weights = variations.mixup(draws, len(examples), alpha)
        others, their_targets = examples.pixels(partners.tolist()), examples.targets(partners.tolist())
        inputs = variations.mix(inputs, self.varied(others, draws), weights)
        return inputs, variations.mix(self.shares(targets), self.shares(their_targets), weights)

    @property
    def variation(self) -> variations.Augmentation:
        return variation(self.augmentation)

    def varied(self, pixels: Tensor, draws: Draws) -> Float[Tensor, "b c s s"]:
        axes = torch.tensor(self.known.axes) if self.known.axes else None
        return self.variation.apply(pixels, draws, self.known.size, axes)

    def shares(self, targets: Tensor) -> Float[Tensor, "b k"]:
        """Targets that can be mixed: a class is the whole of its own share."""
        return nn.functional.one_hot(targets, len(self.known.names)).float() if targets.dim() == 1 else targets

    # tensors
    def encode_inputs(self, inputs: Sequence[Image]) -> Float[Tensor, "b c s s"]:
        return variations.middle(torch.stack([self.square(image) for image in inputs]), self.known.size)

    def view(self, inputs: Sequence[Image], numbers: Sequence[int], k: int) -> tuple[Tensor, Callable[[Any], Any]]:
        """Varied as in training (Krizhevsky et al. 2012, section 4.1, take ten crops)."""
        if not k:
            return super().view(inputs, numbers, k)
        return self.varied(torch.stack([self.square(image) for image in inputs]), Draws(("view", k), numbers)), same

    def square(self, image: Image) -> UInt8[Tensor, "c l l"]:
        """The picture in the colours and the size that random crops are cut from."""
        return fit(with_channels(image.pixels, self.known.channels), self.known.load, self.fit)

    def encode_targets(self, targets: Sequence[Any], inputs: Any) -> Tensor:
        return torch.stack([torch.as_tensor(t) for t in targets])

    # learning
    def build(self) -> nn.Module:
        known = self.known
        net = registry.build(self.network, len(known.names), known.channels, known.size)
        freeze_stages(net, self.freeze)
        return with_normalization(net, known.mean, known.sd)

    def through(self, net: nn.Module, inputs: Tensor) -> Tensor:
        """net(inputs); where stages are frozen and pictures come again unvaried, each is put through those once."""
        again = self.freeze and self.augmentation in ("none", "flip")
        return remembered.through(net, inputs) if again else net(inputs)

    def published(self, network: str) -> weights.Published | None:
        """The published weights this task begins with, if it does."""
        if not self.start_from or Path(self.start_from, "run.json").is_file():
            return None
        return weights.published(network, self.start_from)

    def initialise(self, net: nn.Module) -> str:
        if not self.start_from:
            return ""
        if (found := self.published(self.network)) is not None:
            return f"{self.start_from}: {copy_fitting(net, found.tensors, self.start_from)}"
        donor = Run(self.start_from)
        tensors = donor.best()
        if donor.task().names != self.names:  # its head answers another question, even where the shapes agree
            head = [name for name, _ in net.named_parameters()][-1].rpartition(".")[0]
            tensors = {name: t for name, t in tensors.items() if not name.startswith(f"{head}.")}
        return f"{self.start_from}: {copy_fitting(net, tensors, self.start_from)}"

    def recipe(self) -> Recipe:
        return recommended.recipe(self.network, self.known.size, self.known.examples[0], self.start_from, self.freeze)

    # use
    def read_input(self, source: str) -> Image:
        return Image(read_image(Path(source), self.known.channels), source)


@lru_cache(maxsize=4)
def picture_set(data: str, fold: str) -> PictureSet:
    """The data set, read once a process."""
    return read(data, fold)


@lru_cache(maxsize=12)
def loaded(data: str, fold: str, split: Split, size: int, channels: int, how: Fit, names: tuple[str, ...]) -> Loaded:
    """A split of it, decoded once a process where memory allows; targets are by `names`, those of the run."""
    return Loaded(under_names(picture_set(data, fold), data, names).splits[split], size, channels, how)


def under_names(found: PictureSet, data: str, names: tuple[str, ...]) -> PictureSet:
    """The set with the numbers of classes that a run has learnt; it need not have all of them.

    Raises DataError for a set that asks another question.
    """
    if found.names == names:
        return found
    if unknown := [name for name in found.names if name not in names]:
        raise DataError(
            f"{data}: has {PLURAL[found.kind]} {listed(unknown)}, and the run knows {listed(names)}; "
            "name data of the same kind"
        )
    if found.kind != "class":
        raise DataError(f"{data}: lacks {listed(n for n in names if n not in found.names)}, which the run has learnt")
    number = np.array([names.index(name) for name in found.names])
    return replace(
        found, names=names, splits={s: replace(p, targets=number[p.targets]) for s, p in found.splits.items()}
    )


@lru_cache
def variation(spec: str) -> variations.Augmentation:
    return variations.parse("" if spec == "none" else spec)


def as_image(drawn: Picture, source: str) -> Image:
    """A drawn picture as a value."""
    return Image(torch.from_numpy(np.array(drawn.convert("RGB"))).permute(2, 0, 1), source)


def statistics(train: Loaded, looked_at: int = 2000) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, pixels in [0, 1], over up to 2,000 pictures from all over."""
    chosen = range(0, len(train), max(1, len(train) // looked_at))
    pixels = train.pixels(chosen).float() / 255
    sd, mean = torch.std_mean(pixels, dim=(0, 2, 3))
    return tuple(mean.tolist()), tuple(sd.clamp(min=1e-3).tolist())


def principal_colours(train: Loaded, looked_at: int = 2000) -> tuple[tuple[float, ...], ...]:
    axes = variations.colour_axes(train.pixels(range(0, len(train), max(1, len(train) // looked_at))))
    return tuple(map(tuple, axes.tolist()))
