"""What is the one thing in this picture, and where?"""

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

from legato.data import annotated
from legato.data import augment as variations
from legato.data.annotated import Annotated
from legato.data.decode import fit, read_image, with_channels
from legato.draws import Draws
from legato.errors import DataError, UsageError, nearest
from legato.layers.stages import stages
from legato.metrics import localization
from legato.networks.localizer import Localizer
from legato.networks.registry import lookup
from legato.networks.trunk import taps, trunk
from legato.picture import overlays
from legato.recipe import Recipe
from legato.run import Run
from legato.task import Decoding, Split, Step, Tally, Task
from legato.tasks import trunks
from legato.tasks.detect import annotated_set, objects_line
from legato.tasks.telling import told
from legato.tasks.transfer import copy_fitting
from legato.values import Boxes, Image
from legato.values.boxes import from_json

BOX_WEIGHT = 10.0  # shares of a side are small numbers beside a log loss


@dataclass(frozen=True)
class Learnt:
    """What `adapt` has found in the data."""

    format: str
    names: tuple[str, ...]
    channels: int
    size: int  # side of the square the network sees, pixels
    mean: tuple[float, ...]  # a channel, of pixels in [0, 1]
    sd: tuple[float, ...]
    examples: tuple[int, ...]  # of train, valid, test
    policy: str
    fingerprint: str
    set_aside: tuple[tuple[str, str], ...] = ()


class Stretched(NamedTuple):
    """Pictures stretched to squares, and how large they were."""

    pixels: Float[Tensor, "b c s s"]  # in [0, 1]
    sizes: Int64[Tensor, "b 2"]  # height and width


class Truths(NamedTuple):
    """The class of each picture, and x y width height of its box as shares of the picture's."""

    classes: Int64[Tensor, "b"]
    boxes: Float[Tensor, "b 4"]


class OneEach(Sequence[tuple[Image, Boxes]]):
    """The pictures that have a box, each with its largest."""

    def __init__(self, found: Annotated) -> None:
        self.found = found
        self.rows = [i for i in range(len(found)) if len(certain(found.boxes(i)))]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[Image, Boxes]:  # type: ignore[override]
        image, boxes = self.found[self.rows[i]]
        known = certain(boxes)
        return image, known[known.area.argmax()[None]]


def certain(boxes: Boxes) -> Boxes:
    """Without those that do not count (VOC's difficult objects)."""
    return boxes[boxes.scores > 0]


@dataclass(frozen=True)
class Localize(Task[Image, Boxes, nn.Sequential]):
    """One class and one box a picture: that of the largest object."""

    data: str = ""
    """Folder in the layout of Pascal VOC, COCO or YOLO, or a COCO file."""
    trunk: str = "squeezenet"
    """A classifier from `legato list networks`; its last map is used."""
    size: int = 128
    """Side of the square the network sees, pixels."""
    augmentation: str = "flip"
    """flip, or `none`."""
    start_from: str = ""
    """Weights to begin with: `imagenet`, a file of published weights for the trunk, or the folder of a run."""
    fold: str = ""
    """2/5: validate on the second fifth of the training pictures. all: train on every one, validate on none."""
    learnt: Learnt | None = field(default=None, metadata={"flag": False})

    name: ClassVar[str] = "localize"
    takes: ClassVar[tuple[type, ...]] = (Image,)

    @property
    def known(self) -> Learnt:
        """What has been learnt; an error in the caller if nothing has."""
        assert self.learnt is not None, "adapt() first"
        return self.learnt

    @property
    def network(self) -> str:
        """What stands in reports."""
        return f"localizer on {self.trunk}"

    # data
    def adapt(self) -> "Localize":
        check_variations(self.augmentation)
        found, published = annotated_set(self.data, self.fold), trunks.published(self.trunk, self.start_from)
        learnt = Learnt(
            format=found.format,
            names=found.names,
            channels=published.channels if published else 3,
            size=self.size,
            mean=published.mean if published else (0.5,) * 3,
            sd=published.sd if published else (0.25,) * 3,
            examples=tuple(len(one_each(self.data, self.fold, s)) for s in ("train", "valid", "test")),
            policy=found.policy,
            fingerprint=annotated.fingerprint(found),
            set_aside=tuple(found.set_aside),
        )
        if not learnt.examples[0]:
            raise DataError(f"{self.data}: no training picture with a box; {found.policy}")
        return replace(self, learnt=learnt)

    def about(self) -> list[str]:
        how = f"by two heads on {self.trunk} at {self.size} × {self.size}, variations: {self.augmentation}"
        return told(self, f"the largest of the boxes of {len(self.names)} classes a picture", how)

    @property
    def names(self) -> tuple[str, ...]:
        return self.known.names

    def examples(self, split: Split) -> OneEach:
        return one_each(self.data, self.fold, split)

    def augment(self, input: Image, target: Boxes, draws: Draws) -> tuple[Image, Boxes]:
        if float(draws.uniform("flip")) >= check_variations(self.augmentation).flip / 100:
            return input, target
        return Image(input.pixels.flip(-1), input.source), target.flip(input.pixels.shape[-1])

    # tensors
    def encode_inputs(self, inputs: Sequence[Image]) -> Stretched:
        pictures = [with_channels(image.pixels, self.known.channels) for image in inputs]
        sizes = torch.tensor([p.shape[1:] for p in pictures])
        return Stretched(torch.stack([fit(p, self.known.size, "stretch") for p in pictures]).float() / 255, sizes)

    def encode_targets(self, targets: Sequence[Boxes], inputs: Stretched) -> Truths:
        scaled = [t.scale(1 / w, 1 / h).xyxy for t, (h, w) in zip(targets, inputs.sizes.tolist())]
        corners = torch.cat(scaled)
        boxes = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1)
        return Truths(torch.cat([t.labels for t in targets]), boxes)

    # learning
    def build(self) -> nn.Sequential:
        known = self.known
        stride = max(tap.stride for tap in taps(lookup(self.trunk), known.channels))
        body = trunk(self.trunk, [stride], known.channels, known.mean, known.sd)
        return stages(network=Localizer(body, len(known.names), known.size))

    def initialise(self, net: nn.Sequential) -> str:
        if not self.start_from:
            return ""
        if (found := trunks.published(self.trunk, self.start_from)) is None:
            return f"{self.start_from}: {copy_fitting(net, Run(self.start_from).best(), self.start_from)}"
        own = net.get_submodule("network.trunk.stages")
        return f"{self.start_from}: {len(copy_fitting(own, found.tensors, self.start_from).loaded)} tensors taken over"

    def recipe(self) -> Recipe:
        return Recipe(epochs=40, batch_size=16, optimizer="adamw", lr=1e-3, weight_decay=1e-4, warmup=0.05)

    def loss(self, net: nn.Module, inputs: Stretched, targets: Truths, carry: Any) -> Step:
        """Softmax for what, squared distance for where (lecture 000)."""
        logits, boxes = net(inputs.pixels)
        where = (boxes.float() - targets.boxes).square().sum(dim=1).mean()
        return Step(
            {"what": F.cross_entropy(logits.float(), targets.classes), "where": BOX_WEIGHT * where},
            weight=float(len(targets.classes)),
        )

    # measuring
    def outputs(self, net: nn.Module, inputs: Stretched, carry: Any) -> tuple[Float[Tensor, "b _n"], None]:
        """Probabilities of the classes, and behind them the box."""
        logits, boxes = net(inputs.pixels)
        return torch.cat([logits.float().softmax(dim=1), boxes.float()], dim=1), None

    def tally(self, outputs: Tensor, targets: Truths) -> Tally:
        return localization.tally(outputs[:, :-4], outputs[:, -4:], *targets)

    def scores(self, tally: Tally) -> dict[str, float]:
        return localization.scores(tally)

    def badness(self, outputs: Tensor, targets: Truths) -> Float[Tensor, "b"]:
        """1 − IoU, and 1 more where the class is wrong."""
        wrong = outputs[:, :-4].argmax(dim=1) != targets.classes
        return 1 - localization.iou(outputs[:, -4:], targets.boxes) + wrong

    def evidence(self, outputs: Tensor, what: str) -> Float[Tensor, "b"]:
        """The probability of class `what`; of the likeliest if it is empty."""
        if not what:
            return outputs[:, :-4].max(dim=1).values
        if what not in self.known.names:
            raise UsageError(f"no class called {what!r}{nearest(what, self.known.names)}")
        return outputs[:, self.known.names.index(what)]

    def score(self, net: nn.Module, inputs: Stretched, what: str) -> Float[Tensor, "b"]:
        """The logit of class `what`; of the likeliest if it is empty."""
        return self.evidence(torch.cat([part.float() for part in net(inputs.pixels)], dim=1), what)

    # use
    def read_input(self, source: str) -> Image:
        return Image(read_image(Path(source), self.known.channels), source)

    def predict(self, outputs: Tensor, inputs: Stretched, how: Decoding) -> list[dict[str, Any]]:
        """For each picture a label, its probability, and the box x1 y1 x2 y2 in its own pixels."""
        answers = []
        for row, (height, width) in zip(outputs.cpu(), inputs.sizes.tolist()):
            probability, label = row[:-4].max(dim=0)
            x, y, w, h = row[-4:].tolist()
            corners = torch.tensor([[x, y, x + max(w, 0.0), y + max(h, 0.0)]]).clamp(0, 1)
            box = Boxes(corners, label[None], probability[None], self.known.names).scale(width, height)
            answers += box.to_json()
        return answers

    def line(self, prediction: Any) -> str:
        """What, how surely, and x1 y1 x2 y2."""
        return objects_line([prediction]).partition(": ")[2]

    def draw(self, input: Image, prediction: Any) -> Image:
        """The box and its name on the picture."""
        drawn = overlays.boxes(input, from_json([prediction], self.known.names))
        return Image(torch.from_numpy(np.array(drawn)).permute(2, 0, 1), input.source)


@lru_cache(maxsize=12)
def one_each(data: str, fold: str, split: Split) -> OneEach:
    return OneEach(annotated_set(data, fold).splits[split])


def check_variations(augmentation: str) -> variations.Augmentation:
    """Raises UsageError for what is not done to boxes."""
    how = variations.parse("" if augmentation == "none" else augmentation)
    if how != variations.Augmentation(flip=how.flip):
        raise UsageError(f"--augmentation {augmentation}: localize knows flip, and none")
    return how
