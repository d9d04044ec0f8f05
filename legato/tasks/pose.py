"""Where are this person's joints?"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from legato.data import augment as variations
from legato.data import poses
from legato.data.decode import fit, read_image, with_channels
from legato.draws import Draws
from legato.errors import UsageError, nearest
from legato.layers.normalize import with_normalization
from legato.layers.stages import stages
from legato.metrics import pose as measures
from legato.networks import registry
from legato.networks.deeppose import DeepPose, Refinement, Regression
from legato.networks.heatmaps import STRIDES, HeatMaps
from legato.networks.trunk import trunk
from legato.picture import overlays
from legato.recipe import Recipe
from legato.run import Run
from legato.task import Decoding, Split, Step, Tally, Task
from legato.tasks import trunks
from legato.tasks.telling import told
from legato.tasks.transfer import copy_fitting
from legato.values import Image, Keypoints, Skeleton
from legato.values.keypoints import from_json, truth

NETWORKS = ("heatmaps", "deeppose")


@dataclass(frozen=True)
class Learnt:
    """What `adapt` has found in the data."""

    format: str
    names: tuple[str, ...]  # of the joints
    limbs: tuple[tuple[str, str], ...]  # between which joints
    channels: int
    size: int  # side of the square the network sees, pixels
    mean: tuple[float, ...]  # a channel, of pixels in [0, 1]
    sd: tuple[float, ...]
    examples: tuple[int, ...]  # of train, valid, test
    policy: str
    fingerprint: str
    set_aside: tuple[tuple[str, str], ...] = ()


class Posed(NamedTuple):
    """Pictures padded to squares, and how large they were."""

    pixels: Float[Tensor, "b c s s"]  # in [0, 1]
    sizes: Int64[Tensor, "b 2"]  # height and width


@dataclass(frozen=True)
class Pose(Task[Image, Keypoints, nn.Sequential]):
    """The joints of the person in a picture."""

    data: str = ""
    """Folder with joints.mat and images/, a table of joints, or COCO's key points."""
    network: str = "heatmaps"
    """heatmaps: a map for each joint; deeppose: regression by a dense layer, in a cascade (Toshev & Szegedy 2014)."""
    trunk: str = "squeezenet"
    """A classifier from `legato list networks`."""
    refinements: int = field(default=2, metadata={"least": 0})
    """Stages of deeppose's cascade that look again around each joint."""
    size: int = 160
    """Side of the square the network sees, pixels."""
    augmentation: str = "flip,rotate40,scale25,shift8"
    """How training pictures vary: flip, rotate, scale, shift; `none` for not at all."""
    start_from: str = ""
    """Weights to begin with: `imagenet`, a file of published weights for the trunk, or the folder of a run."""
    fold: str = ""
    """2/5: validate on the second fifth of the training examples. all: train on every one, validate on none."""
    learnt: Learnt | None = field(default=None, metadata={"flag": False})

    name: ClassVar[str] = "pose"
    takes: ClassVar[tuple[type, ...]] = (Image,)
    kind: ClassVar[str] = "joints"

    @property
    def known(self) -> Learnt:
        """What has been learnt; an error in the caller if nothing has."""
        assert self.learnt is not None, "adapt() first"
        return self.learnt

    @property
    def skeleton(self) -> Skeleton:
        return Skeleton(self.known.names, self.known.limbs)

    @property
    def names(self) -> tuple[str, ...]:
        return self.known.names

    # data
    @classmethod
    def recognises(cls, data: str) -> bool:
        return poses.recognises(Path(data))

    def adapt(self) -> "Pose":
        if self.network not in NETWORKS:
            raise UsageError(f"pose has no network {self.network!r}{nearest(self.network, NETWORKS)}")
        if self.network == "heatmaps" and self.refinements != Pose.refinements:
            raise UsageError("--refinements belongs to --network deeppose; heatmaps looks once")
        check_variations(self.augmentation)
        found, published = pose_set(self.data, self.fold), trunks.published(self.trunk, self.start_from)
        learnt = Learnt(
            format=found.format,
            names=found.skeleton.names,
            limbs=found.skeleton.limbs,
            channels=published.channels if published else 3,
            size=self.size,
            mean=published.mean if published else (0.5,) * 3,
            sd=published.sd if published else (0.25,) * 3,
            examples=tuple(len(found.splits[s]) for s in ("train", "valid", "test")),
            policy=found.policy,
            fingerprint=found.fingerprint,
            set_aside=tuple(found.set_aside),
        )
        return replace(self, learnt=learnt)

    def about(self) -> list[str]:
        what = f"{len(self.names)} joints of one person a picture"
        refined = f", {self.refinements} refinements" if self.network == "deeppose" else ""
        how = f"by {self.network} on {self.trunk}{refined}, at {self.size} × {self.size}"
        return told(self, what, f"{how}, variations: {self.augmentation}")

    def examples(self, split: Split) -> poses.PosedPictures:
        return replace(pose_set(self.data, self.fold).splits[split], channels=self.known.channels)

    def augment(self, input: Image, target: Keypoints, draws: Draws) -> tuple[Image, Keypoints]:
        """Picture and joints turned, enlarged, moved and in a mirror, all by the same draws."""
        how, size = check_variations(self.augmentation), self.known.size
        pixels, people = squared(input.pixels, target, size)
        turn, scale, dx, dy = (2 * draws.uniform("affine", 4)[0] - 1).tolist()
        degrees, factor = how.rotate * turn, (1 + how.scale / 100) ** scale
        shift = (how.shift * dx, how.shift * dy)
        pixels, people = moved(pixels, degrees, factor, shift), move(people, degrees, factor, shift, size)
        if float(draws.uniform("flip")) < how.flip / 100:
            pixels, people = pixels.flip(-1), people.flip(size)
        return Image(pixels, input.source), people

    # tensors
    def encode_inputs(self, inputs: Sequence[Image]) -> Posed:
        pictures = [with_channels(image.pixels, self.known.channels) for image in inputs]
        sizes = torch.tensor([p.shape[1:] for p in pictures])
        return Posed(torch.stack([fit(p, self.known.size, "pad") for p in pictures]).float() / 255, sizes)

    def encode_targets(self, targets: Sequence[Keypoints], inputs: Posed) -> Float[Tensor, "b k 2"]:
        """x and y as shares of the padded square; NaN for joints that nobody knows."""
        side, margin = frames(inputs.sizes)
        points = torch.cat([t.points[:1].where(t.scores[:1, :, None] > 0, torch.nan) for t in targets])
        return (points + margin) / side

    # learning
    def build(self) -> nn.Sequential:
        known, joints = self.known, len(self.known.names)
        if self.network == "heatmaps":
            seeing = trunk(self.trunk, STRIDES, known.channels, known.mean, known.sd)
            return stages(network=HeatMaps(seeing, joints))
        classifier = registry.build(self.trunk, 2 * joints, known.channels, known.size)
        first = Regression(with_normalization(classifier, known.mean, known.sd))
        return stages(network=DeepPose(first, [Refinement(joints, known.channels) for _ in range(self.refinements)]))

    def initialise(self, net: nn.Sequential) -> str:
        if not self.start_from:
            return ""
        if (found := trunks.published(self.trunk, self.start_from)) is None:
            return f"{self.start_from}: {copy_fitting(net, Run(self.start_from).best(), self.start_from)}"
        own = "network.trunk.stages" if self.network == "heatmaps" else "network.first.classifier"
        return f"{self.start_from}: {copy_fitting(net.get_submodule(own), found.tensors, self.start_from)}"

    def recipe(self) -> Recipe:
        return Recipe(
            epochs=40, batch_size=16, optimizer="adamw", lr=2e-3, weight_decay=1e-4, warmup=0.05, clip_norm=10
        )

    def loss(self, net: nn.Module, inputs: Posed, targets: Tensor, carry: Any) -> Step:
        """What the network has to say of it, a term for each coordinate that is known."""
        values = net.get_submodule("network").losses(inputs.pixels, targets)  # type: ignore[operator]
        return Step(values, weight=float(targets.isfinite().sum().clamp(min=1)))

    # measuring
    def outputs(self, net: nn.Module, inputs: Posed, carry: Any) -> tuple[Float[Tensor, "b k 2"], None]:
        return net(inputs.pixels).float(), None

    def tally(self, outputs: Tensor, targets: Tensor) -> Tally:
        return measures.tally(outputs, targets, self.skeleton)

    def scores(self, tally: Tally) -> dict[str, float]:
        return measures.scores(tally, self.skeleton)

    def badness(self, outputs: Tensor, targets: Tensor) -> Float[Tensor, "b"]:
        """The mean distance of the joints, in picture sides."""
        return (outputs - targets).norm(dim=-1).nanmean(dim=1).nan_to_num(0)

    # use
    def read_input(self, source: str) -> Image:
        return Image(read_image(Path(source), self.known.channels), source)

    def predict(self, outputs: Tensor, inputs: Posed, how: Decoding) -> list[dict[str, Any]]:
        """For each picture x, y and score of each joint, in its own pixels (`Keypoints.to_json`)."""
        side, margin = frames(inputs.sizes.cpu())
        everyone = outputs.cpu() * side - margin
        seen = torch.ones(1, len(self.known.names), dtype=torch.bool)
        return [truth(points[None], seen, self.skeleton).to_json()[0] for points in everyone]

    def line(self, prediction: Any) -> str:
        """Where each joint is, in whole pixels."""
        return ", ".join(f"{name} {x:.0f} {y:.0f}" for name, (x, y, _) in prediction["points"].items())

    def draw(self, input: Image, prediction: Any) -> Image:
        """The picture with the skeleton on it."""
        drawn = overlays.skeletons(input, from_json([prediction], self.skeleton))
        return Image(torch.from_numpy(np.array(drawn)).permute(2, 0, 1), input.source)


@lru_cache(maxsize=4)
def pose_set(data: str, fold: str) -> poses.PoseSet:
    """The data set, read once a process."""
    return poses.read(data, fold)


def check_variations(augmentation: str) -> variations.Augmentation:
    """Those that can happen to joints as well. Raises UsageError for others."""
    how = variations.parse("" if augmentation == "none" else augmentation)
    if how != variations.Augmentation(flip=how.flip, rotate=how.rotate, scale=how.scale, shift=how.shift):
        raise UsageError(f"--augmentation {augmentation}: joints vary by flip, rotate, scale and shift; nothing else")
    return how


def frames(sizes: Int64[Tensor, "b 2"]) -> tuple[Float[Tensor, "b 1 1"], Float[Tensor, "b 1 2"]]:
    """The side of the square around each picture, and how far its left and upper edges lie from the picture's."""
    side = sizes.amax(dim=1).float()
    margin = (side[:, None] - sizes.flip(1)) / 2
    return side[:, None, None], margin[:, None]


def squared(pixels: Tensor, people: Keypoints, size: int) -> tuple[Tensor, Keypoints]:
    """Padded to a square of `size` pixels, joints with it."""
    height, width = pixels.shape[1:]
    side = max(height, width)
    framed = people.crop((width - side) / 2, (height - side) / 2, side, side)
    return fit(pixels, size, "pad"), framed.scale(size / side, size / side)


def moved(pixels: Tensor, degrees: float, factor: float, shift: tuple[float, float]) -> Tensor:
    """Turned counter-clockwise about the middle, enlarged, then moved right and down by `shift` pixels."""
    size = pixels.shape[-1]
    c, s = np.cos(np.radians(degrees)) / factor, np.sin(np.radians(degrees)) / factor
    dx, dy = (2 * d / size for d in shift)
    matrix = torch.tensor([[c, -s, -c * dx + s * dy], [s, c, -s * dx - c * dy]], dtype=torch.float32)
    grid = F.affine_grid(matrix[None], [1, len(pixels), size, size], align_corners=False)
    return F.grid_sample(pixels[None].float(), grid, align_corners=False)[0].round().byte()


def move(people: Keypoints, degrees: float, factor: float, shift: tuple[float, float], size: int) -> Keypoints:
    """The same for joints."""
    turned = people.rotate(degrees, size, size).scale(factor, factor)
    edge = (factor - 1) * size / 2
    return turned.crop(edge - shift[0], edge - shift[1], size, size)
