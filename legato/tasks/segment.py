"""What is each pixel?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from legato.data import augment as variations
from legato.data import masks
from legato.data.decode import read_image, resize, with_channels
from legato.data.mask_statistics import statistics
from legato.draws import Draws
from legato.errors import UsageError, nearest
from legato.layers.normalize import Normalize, with_normalization
from legato.layers.stages import stages
from legato.metrics import segmentation
from legato.networks import weights
from legato.networks.deconvnet import deconvnet, deconvnet_small
from legato.networks.fcn import fcn
from legato.networks.fcn_torchvision import fcn_resnet50_torchvision
from legato.networks.fpn import fpn
from legato.networks.scene_parsing import multiscale, recurrent
from legato.picture import overlays
from legato.recipe import Recipe
from legato.task import Decoding, Split, Step, Tally, Task
from legato.tasks import trunks
from legato.tasks.frames import Framed, framed, stood_up
from legato.tasks.telling import told
from legato.tasks.tiles import tiled
from legato.tasks.transfer import copy_fitting
from legato.values import VOID, Image, LabelMap
from legato.values.labelmap import from_json
from legato.values.turning import lying, turned

ON_A_TRUNK: dict[str, Callable[[nn.Sequential, int, int], nn.Module]] = {
    **{name: partial(fcn, name) for name in ("fcn8s", "fcn16s", "fcn32s")},
    "fpn": fpn,
}
WHOLE: dict[str, Callable[[int, int], nn.Module]] = {
    "deconvnet": deconvnet,
    "deconvnet_small": deconvnet_small,
    "multiscale": multiscale,
    "recurrent": recurrent,
    "fcn_resnet50_torchvision": fcn_resnet50_torchvision,
}
OF_A_FILE = ("fcn_resnet50_torchvision",)  # published whole, not as a trunk
LARGEST_WINDOW = 320  # pixels; larger training pictures are cropped


@dataclass(frozen=True)
class Learnt:
    """What `adapt` has found in the data."""

    format: str
    names: tuple[str, ...]  # of classes, in the order of their indices
    channels: int
    size: int  # side of the square windows that training cuts out, pixels
    mean: tuple[float, ...]  # a channel, of pixels in [0, 1]
    sd: tuple[float, ...]
    counts: tuple[int, ...]  # pixels of each class, in up to 500 training pictures
    examples: tuple[int, ...]  # of train, valid, test
    policy: str
    fingerprint: str
    set_aside: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Segment(Task[Image, LabelMap, nn.Sequential]):
    """A class for every pixel of pictures of any size."""

    data: str = ""
    """Folder with pictures and masks, or COCO's outlines."""
    network: str = "fcn8s"
    """fcn8s, fcn16s, fcn32s or fpn on --trunk; without: deconvnet, deconvnet_small, multiscale, recurrent, and
    fcn_resnet50_torchvision for its file."""
    trunk: str = "squeezenet"
    """A classifier from `legato list networks`; its stages are tapped, its last layer is not used."""
    size: int = 0
    """Side of the square windows cut out for training, pixels. 0: the short side of the pictures, at most 320."""
    augmentation: str = "flip,scale40"
    """How training windows, cut out anywhere, vary: flip, updown, rotate, scale, light; `none` for not at all."""
    start_from: str = ""
    """Weights to begin with: `imagenet`, a file of published weights for the trunk, or the folder of a run."""
    class_weights: bool = False
    """Weigh each class by median frequency / its frequency (Eigen & Fergus 2015, section 6.3.2)."""
    dice: float = 0.0
    """How much 1 − Dice, the overlap of each class, counts beside cross-entropy: for what is rare or thin."""
    fold: str = ""
    """2/5: validate on the second fifth of the training examples. all: train on every one, validate on none."""
    learnt: Learnt | None = field(default=None, metadata={"flag": False})

    name: ClassVar[str] = "segment"
    takes: ClassVar[tuple[type, ...]] = (Image,)
    kind: ClassVar[str] = "masks"

    @property
    def known(self) -> Learnt:
        """What has been learnt; an error in the caller if nothing has."""
        assert self.learnt is not None, "adapt() first"
        return self.learnt

    # data
    @classmethod
    def recognises(cls, data: str) -> bool:
        return masks.recognises(Path(data))

    def adapt(self) -> "Segment":
        if self.network not in (networks := {**ON_A_TRUNK, **WHOLE}):
            raise UsageError(f"segment has no network {self.network!r}{nearest(self.network, networks)}")
        a_run = Path(self.start_from, "run.json").is_file()
        if self.network in WHOLE and self.start_from and not a_run and self.network not in OF_A_FILE:
            raise UsageError(f"--start-from {self.start_from}: {self.network} has no trunk that was published")
        check_variations(self.augmentation)
        found = mask_set(self.data, self.fold)
        published = weights.IMAGENET if self.network in OF_A_FILE else trunks.published(self.trunk, self.start_from)
        channels = len(published.mean) if published else 3
        train = masks.in_colours(found, channels).splits["train"]
        counts, mean, sd, short = statistics(train, found.names)
        learnt = Learnt(
            format=found.format,
            names=found.names,
            channels=channels,
            size=self.size or min(short, LARGEST_WINDOW),
            mean=published.mean if published else mean,
            sd=published.sd if published else sd,
            counts=counts,
            examples=tuple(len(found.splits[s]) for s in ("train", "valid", "test")),
            policy=found.policy,
            fingerprint=found.fingerprint,
            set_aside=tuple(found.set_aside),
        )
        return replace(self, learnt=learnt)

    def about(self) -> list[str]:
        known = self.known
        trunk = "" if self.network in WHOLE else f" on {self.trunk}"
        weighed = ", classes weighed" if self.class_weights else ""
        windows = f"on windows of {known.size} × {known.size}, variations: {self.augmentation}{weighed}"
        return told(self, f"masks of {len(known.names)} classes", f"by {self.network}{trunk} {windows}")

    @property
    def names(self) -> tuple[str, ...]:
        return self.known.names

    def examples(self, split: Split) -> Sequence[tuple[Image, LabelMap]]:
        return masks.in_colours(mask_set(self.data, self.fold), self.known.channels).splits[split]

    def augment(self, input: Image, target: LabelMap, draws: Draws) -> tuple[Image, LabelMap]:
        """Picture and mask in a mirror, turned, larger or smaller, and a window of them, all by the same draws."""
        how, size = check_variations(self.augmentation), self.known.size
        pixels, (height, width) = input.pixels, input.pixels.shape[1:]
        if float(draws.uniform("flip")) < how.flip / 100:
            pixels, target = pixels.flip(-1), target.flip()
        if float(draws.uniform("updown")) < how.updown / 100:
            pixels, target = pixels.flip(-2), target.upside_down()
        if how.rotate:
            degrees = how.rotate * (2 * float(draws.uniform("rotate")) - 1)
            pixels, target = turned(pixels.float(), degrees).round().byte(), target.rotate(degrees)
        factor = (1 + how.scale / 100) ** (2 * float(draws.uniform("scale")) - 1)
        height, width = max(1, round(factor * height)), max(1, round(factor * width))
        top, left = (round(float(u) * (n - size)) for u, n in zip(draws.uniform("window", 2)[0], (height, width)))
        pixels = F.pad(resize(pixels, height, width), (-left, left + size - width, -top, top + size - height))
        if how.light:
            pixels = (255 * variations.lit(pixels[None].float() / 255, draws, how.light / 100)[0]).round().byte()
        return Image(pixels, input.source), target.resize(height, width).crop(left, top, size, size)

    # tensors
    def encode_inputs(self, inputs: Sequence[Image]) -> Framed:
        pictures = [with_channels(image.pixels, self.known.channels) for image in inputs]
        sizes = torch.tensor([p.shape[1:] for p in pictures])
        return Framed(framed(pictures, sizes, 0).float() / 255, sizes)

    def encode_targets(self, targets: Sequence[LabelMap], inputs: Framed) -> UInt8[Tensor, "b h w"]:
        """Beside a picture, in its frame, nothing is known."""
        return framed([t.labels for t in targets], inputs.sizes, VOID)

    def view(
        self, inputs: Sequence[Image], numbers: Sequence[int], k: int
    ) -> tuple[Framed, Callable[[Tensor], Tensor]]:
        """The k-th of the eight ways in which a picture can lie: mirrored, turned by quarters."""
        encoded = self.encode_inputs([Image(lying(image.pixels, k), image.source) for image in inputs])
        return encoded, partial(stood_up, encoded.sizes, k)

    # learning
    def build(self) -> nn.Sequential:
        known = self.known
        if self.network in WHOLE:
            whole = WHOLE[self.network](len(known.names), known.channels)
            return stages(normalize=Normalize(known.mean, known.sd), network=whole)
        trunk = with_normalization(trunks.trunk(self.trunk, known.channels), known.mean, known.sd)
        return stages(network=ON_A_TRUNK[self.network](trunk, len(known.names), known.channels))

    def initialise(self, net: nn.Sequential) -> str:
        if self.network in OF_A_FILE and Path(self.start_from).is_file():
            tensors = weights.read_tensors(Path(self.start_from))
            return f"{self.start_from}: {copy_fitting(net.get_submodule('network'), tensors, self.start_from)}"
        return trunks.initialise(net, "network.trunk", self.trunk, self.known.channels, self.start_from)

    def recipe(self) -> Recipe:
        return Recipe(epochs=40, batch_size=8, optimizer="adamw", lr=5e-4, weight_decay=1e-4, warmup=0.05)

    def loss(self, net: nn.Module, inputs: Framed, targets: Tensor, carry: Any) -> Step:
        """Cross-entropy, a term a pixel of which something is known; and how little classes overlap, if that counts."""
        scores, known = net(inputs.pixels).float(), targets != VOID
        own = self.weights(scores.device)
        terms = F.cross_entropy(scores, targets.long(), own, ignore_index=VOID, reduction="sum")
        weight = own[targets[known].long()].sum() if own is not None else known.sum()
        values = {"pixels": terms / weight.clamp(min=1)}
        if self.dice:
            values["overlap"] = self.dice * (1 - segmentation.soft_dice(scores, targets))
        return Step(values, weight=max(1.0, float(weight)))

    def weights(self, device: torch.device) -> Float[Tensor, "k"] | None:
        """median frequency / frequency; classes that training never met weigh nothing."""
        if not self.class_weights:
            return None
        counts = torch.tensor(self.known.counts, dtype=torch.float32, device=device)
        return torch.where(counts > 0, counts[counts > 0].median() / counts.clamp(min=1), 0)

    # measuring
    def outputs(self, net: nn.Module, inputs: Framed, carry: Any) -> tuple[Float[Tensor, "b k h w"], None]:
        """Probabilities. A picture is judged as if it were alone: pictures of several sizes go one by one."""
        pixels, sizes = inputs
        if (sizes == sizes[0]).all():
            return tiled(net, pixels).float().softmax(dim=1), None
        maps = []
        for picture, (height, width) in zip(pixels, sizes.tolist()):
            alone = tiled(net, picture[None, :, :height, :width])[0].float().softmax(dim=0)
            maps.append(F.pad(alone, (0, pixels.shape[-1] - width, 0, pixels.shape[-2] - height)))
        return torch.stack(maps), None

    def tally(self, outputs: Tensor, targets: Tensor) -> Tally:
        return segmentation.tally(outputs, targets)

    def scores(self, tally: Tally) -> dict[str, float]:
        return segmentation.scores(tally, self.known.names)

    def badness(self, outputs: Tensor, targets: Tensor) -> Float[Tensor, "b"]:
        """The share of known pixels that are wrong."""
        known = targets != VOID
        wrong = (outputs.argmax(dim=1) != targets) & known
        return wrong.sum((1, 2)) / known.sum((1, 2)).clamp(min=1)

    def evidence(self, outputs: Tensor, what: str) -> Float[Tensor, "b"]:
        """The mean probability of class `what` over the picture; of the commonest if it is empty."""
        shares = outputs.mean((2, 3))
        if not what:
            return shares.max(dim=1).values
        if what not in self.known.names:
            raise UsageError(f"no class called {what!r}{nearest(what, self.known.names)}")
        return shares[:, self.known.names.index(what)]

    def score(self, net: nn.Module, inputs: Framed, what: str) -> Float[Tensor, "b"]:
        """The mean logit of class `what` over the picture; the largest such mean if it is empty."""
        return self.evidence(tiled(net, inputs.pixels).float(), what)

    # use
    def read_input(self, source: str) -> Image:
        return Image(read_image(Path(source), self.known.channels), source)

    def predict(self, outputs: Tensor, inputs: Framed, how: Decoding) -> list[dict[str, Any]]:
        """For each picture the share of each class, and the classes of its pixels in runs (`LabelMap.to_json`)."""
        best = outputs.argmax(dim=1).byte().cpu()
        found = [LabelMap(m[:h, :w], self.known.names) for m, (h, w) in zip(best, inputs.sizes.tolist())]
        return [{"classes": labels.shares(), "map": labels.to_json()} for labels in found]

    def line(self, prediction: Any) -> str:
        """The share of each class, largest first."""
        return ", ".join(f"{name} {share:.1%}" for name, share in prediction["classes"].items())

    def draw(self, input: Image, prediction: Any) -> Image:
        """The picture tinted, with a legend."""
        drawn = overlays.label_map(input, from_json(prediction["map"]))
        return Image(torch.from_numpy(np.array(drawn)).permute(2, 0, 1), input.source)

    def export(self, input: Image, prediction: Any, folder: Path, name: str) -> Path:
        """An index PNG, as Pascal VOC's masks are."""
        return masks.write_mask(folder / f"{name}.png", from_json(prediction["map"]))


@lru_cache(maxsize=4)
def mask_set(data: str, fold: str) -> masks.MaskSet:
    """The data set, read once a process."""
    return masks.read(data, fold)


def check_variations(augmentation: str) -> variations.Augmentation:
    """Those that can happen to a mask as well. Raises UsageError for others."""
    how = variations.parse("" if augmentation == "none" else augmentation)
    able = replace(how, shift=0, crop=0, zoom=0, squeeze=0, shear=0, elastic=0, colour=0, cutout=0, mixup=0)
    if how != able:
        raise UsageError(f"--augmentation {augmentation}: masks vary by flip, updown, rotate, scale and light; no more")
    return how
