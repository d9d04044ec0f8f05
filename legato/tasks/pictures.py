"""What the questions about a whole picture share: reading it, varying it, and a network chosen by name."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.data import augment as variations
from legato.data.decode import fit, read_image, with_channels
from legato.data.detect import read
from legato.data.examples import Kind, PictureSet, fingerprint
from legato.data.loaded import Loaded
from legato.draws import Draws
from legato.errors import UsageError
from legato.networks import registry, weights
from legato.recipe import Recipe
from legato.run import Run
from legato.task import Split, Task
from legato.tasks import recommended
from legato.tasks.transfer import copy_fitting, freeze_stages
from legato.values import Image

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
    counts: tuple[int, ...]  # training examples of each class or label
    examples: tuple[int, ...]  # of train, valid, test
    policy: str  # which split came from where
    fingerprint: str
    set_aside: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class PictureTask(Task[Image, Any, nn.Sequential]):
    """A picture in, a vector out."""

    data: str = ""
    """Folder or file of the data set, or `digits`."""
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
    fold: str = ""
    """2/5: validate on the second fifth of the training examples."""
    learnt: Learnt | None = field(default=None, metadata={"flag": False})

    takes: ClassVar[tuple[type, ...]] = (Image,)
    kind: ClassVar[Kind]  # of target

    @property
    def known(self) -> Learnt:
        """What has been learnt; an error in the caller if nothing has."""
        assert self.learnt is not None, "adapt() first"
        return self.learnt

    # data
    def adapt(self: Own) -> Own:
        found = picture_set(self.data, self.fold)
        if found.kind != self.kind:
            raise UsageError(f"{self.data}: targets are {found.kind}, which is not what `{self.name}` learns")
        name = self.network or recommended.network(found, self.start_from)
        entry = registry.lookup(name)
        published = self.published(name)
        size = self.size or entry.size or max(found.splits["train"].size(0)[:2])
        registry.check_size(name, size)
        channels = published.channels if published else found.channels
        augmentation = recommended.augmentation(found, size) if self.augmentation == "auto" else self.augmentation
        load = variations.parse(augmentation).load_size(size)
        splits = {split: loaded(self.data, self.fold, split, load, channels) for split in ("train", "valid", "test")}
        mean, sd = (published.mean, published.sd) if published else statistics(splits["train"])
        learnt = Learnt(
            format=found.format,
            names=found.names,
            channels=channels,
            size=size,
            load=load,
            mean=mean,
            sd=sd,
            counts=self.counted(splits["train"]),
            examples=tuple(len(s) for s in splits.values()),
            policy=found.policy,
            fingerprint=fingerprint(found),
            set_aside=tuple(pair for s in (found, *splits.values()) for pair in s.set_aside),
        )
        return replace(self, network=name, size=size, augmentation=augmentation, learnt=learnt)

    def counted(self, train: Loaded) -> tuple[int, ...]:
        """Training examples of each name."""
        targets = torch.from_numpy(train.pictures.targets)
        if targets.dim() == 1:
            return tuple(torch.bincount(targets, minlength=len(picture_set(self.data, self.fold).names)).tolist())
        return tuple((targets > 0.5).sum(0).tolist())

    def examples(self, split: Split) -> Loaded:  # type: ignore[override]
        return loaded(self.data, self.fold, split, self.known.load, self.known.channels)

    def augment(self, input: Image, target: Any, draws: Draws) -> tuple[Image, Any]:
        pixels = fit(with_channels(input.pixels, self.known.channels), self.known.load)
        varied = variations.parse(self.augmentation).apply(pixels[None], draws, self.known.size)
        return Image((varied[0] * 255).round().byte(), input.source), target

    def batch(self, examples: Any, indices: Sequence[int], draws: Draws | None) -> tuple[Any, Any]:
        """All pictures at once, which equals one after another but for the rounding to bytes in between."""
        pixels, targets = examples.pixels(indices), examples.targets(indices)
        if draws is None:
            return centre(pixels, self.known.size), targets
        varied = variations.parse(self.augmentation)
        inputs = varied.apply(pixels, draws, self.known.size)
        if not varied.mixup:
            return inputs, targets
        partners, shares = variations.mixup(draws, len(examples), varied.mixup)
        others = varied.apply(examples.pixels(partners.tolist()), draws, self.known.size)
        share = shares.view(-1, 1, 1, 1)
        soft, soft_others = self.soft(targets), self.soft(examples.targets(partners.tolist()))
        return share * inputs + (1 - share) * others, shares[:, None] * soft + (1 - shares[:, None]) * soft_others

    def soft(self, targets: Tensor) -> Float[Tensor, "b k"]:
        """Targets that can be mixed."""
        return nn.functional.one_hot(targets, len(self.known.names)).float() if targets.dim() == 1 else targets

    # tensors
    def encode_inputs(self, inputs: Sequence[Image]) -> Float[Tensor, "b c s s"]:
        pixels = [fit(with_channels(image.pixels, self.known.channels), self.known.load) for image in inputs]
        return centre(torch.stack(pixels), self.known.size)

    def encode_targets(self, targets: Sequence[Any], inputs: Any) -> Tensor:
        return torch.stack([torch.as_tensor(t) for t in targets])

    # learning
    def build(self) -> nn.Sequential:
        known = self.known
        net = registry.build(self.network, len(known.names), known.channels, known.size)
        freeze_stages(net, self.freeze)
        return registry.with_normalization(net, known.mean, known.sd)

    def published(self, network: str) -> weights.Published | None:
        """The published weights this task begins with, if it does."""
        if not self.start_from or Path(self.start_from, "run.json").is_file():
            return None
        return weights.published(network, self.start_from)

    def initialise(self, net: nn.Sequential) -> str:
        if not self.start_from:
            return ""
        if (found := self.published(self.network)) is not None:
            return f"{self.start_from}: {copy_fitting(net, found.tensors, self.start_from)}"
        donor = Run(self.start_from)
        return f"{self.start_from}: {copy_fitting(net, donor.best(), self.start_from)}"

    def recipe(self) -> Recipe:
        return recommended.recipe(self.network, self.known.examples[0], self.start_from, self.freeze)

    # use
    def read_input(self, source: str) -> Image:
        return Image(read_image(Path(source), self.known.channels), source)


@lru_cache(maxsize=4)
def picture_set(data: str, fold: str) -> PictureSet:
    """The data set, read once a process."""
    return read(data, fold)


@lru_cache(maxsize=12)
def loaded(data: str, fold: str, split: Split, size: int, channels: int) -> Loaded:
    """A split of it, decoded once a process where memory allows."""
    return Loaded(picture_set(data, fold).splits[split], size, channels)


def centre(pixels: Tensor, size: int) -> Float[Tensor, "b c s s"]:
    """The middle of pictures of bytes, as numbers in [0, 1]."""
    off = (pixels.shape[-1] - size) // 2
    return pixels[..., off : off + size, off : off + size].float() / 255


def statistics(train: Loaded, looked_at: int = 2000) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, pixels in [0, 1], over up to 2,000 pictures from all over."""
    chosen = range(0, len(train), max(1, len(train) // looked_at))
    pixels = train.pixels(list(chosen)).float() / 255
    sd, mean = torch.std_mean(pixels, dim=(0, 2, 3))
    return tuple(mean.tolist()), tuple(sd.clamp(min=1e-3).tolist())
