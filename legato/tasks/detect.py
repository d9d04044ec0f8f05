"""What is where? Boxes around objects, by one of several detectors."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from legato.data import annotated, yolo_txt
from legato.data.annotated import Annotated, AnnotatedSet
from legato.data.decode import read_image, resize, with_channels
from legato.draws import Draws
from legato.errors import UsageError, nearest
from legato.layers.regions import fitted_shapes
from legato.layers.regions.objects import Canvas, Detections, Truth, none_outlined
from legato.metrics import detection
from legato.networks import detectors as detectors
from legato.networks import weights
from legato.networks.detector import Detector, Parts, lookup_detector
from legato.networks.trunk import freeze
from legato.picture import overlays
from legato.recipe import Recipe
from legato.run import Run
from legato.task import Decoding, Split, Step, Tally, Task
from legato.tasks.box_variations import check_variations, varied
from legato.tasks.telling import told
from legato.tasks.transfer import copy_fitting
from legato.values import Boxes, Image
from legato.values.boxes import from_json

Own = TypeVar("Own", bound="Detect")
LARGEST = 600  # short side of what the network sees, unless told otherwise (Faster R-CNN, section 3.3)
LONGEST = 5 / 3  # of its long side to its short one
ALIGN = 32  # a canvas is a multiple of this, so that maps of all strides end at its edge
LOOKED_AT = 200  # training pictures, for means and sizes


@dataclass(frozen=True)
class Learnt:
    """What `adapt` has found in the data."""

    format: str
    names: tuple[str, ...]
    channels: int
    size: int  # short side of what the network sees, pixels
    mean: tuple[float, ...]  # a channel, of pixels in [0, 1]
    sd: tuple[float, ...]
    counts: tuple[int, ...]  # training boxes of each class
    shapes: tuple[tuple[float, float], ...]  # of anchors: width and height, pixels the network sees
    examples: tuple[int, ...]  # pictures in train, valid, test
    policy: str
    notes: tuple[str, ...]  # boxes that were clipped or set aside
    fingerprint: str
    set_aside: tuple[tuple[str, str], ...] = ()


class Targets(NamedTuple):
    """What is on each picture, what it was enlarged by, and which pictures of a split of how many these are."""

    truths: list[Truth]
    scales: Float[Tensor, "b 2"]
    pictures: Int64[Tensor, "b"]
    of: int


@dataclass(frozen=True)
class Finding(Decoding):
    """Which boxes to tell of."""

    threshold: float = 0.5
    """The least score of a box."""

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"--threshold {self.threshold:g}: a score is between 0 and 1")


@dataclass(frozen=True)
class Detect(Task[Image, Any, nn.Module]):
    """Boxes with names, on pictures of any size."""

    data: str = ""
    """Folder in the layout of Pascal VOC, COCO or YOLO, or a COCO file."""
    network: str = "faster_rcnn_pyramid"
    """faster_rcnn, faster_rcnn_pyramid, fast_rcnn, rcnn, yolo, yolo_fine; faster_rcnn_torchvision for its file."""
    trunk: str = "squeezenet"
    """A classifier from `legato list networks`; its maps are used, its last layer is not."""
    size: int = 0
    """Short side of what the network sees, pixels. 0: that of the pictures, at most 600; YOLO: its own."""
    augmentation: str = "flip"
    """How training pictures vary: flip, updown, light, zoom; `none` for not at all."""
    start_from: str = ""
    """Weights to begin with: `imagenet`, a file of published weights for the trunk, or the folder of a run."""
    freeze: str = ""
    """Stages of the trunk that are not trained: names separated by commas, or `trunk`, all of them."""
    fold: str = ""
    """2/5: validate on the second fifth of the training pictures. all: train on every one, validate on none."""
    learnt: Learnt | None = field(default=None, metadata={"flag": False})

    name: ClassVar[str] = "detect"
    decoding: ClassVar[type[Decoding]] = Finding
    takes: ClassVar[tuple[type, ...]] = (Image,)
    kind: ClassVar[str] = "boxes"

    @property
    def known(self) -> Learnt:
        """What has been learnt; an error in the caller if nothing has."""
        assert self.learnt is not None, "adapt() first"
        return self.learnt

    @property
    def detector(self) -> Detector:
        return lookup_detector(self.network)

    # data
    @classmethod
    def recognises(cls, data: str) -> bool:
        return annotated.recognises(Path(data)) and cls is Detect  # outlines are asked for by name

    def adapt(self: Own) -> Own:
        check_variations(self.augmentation)
        found, detector = annotated_set(self.data, self.fold), self.detector
        train, published = found.splits["train"], self.published()
        looked_at = list(range(0, len(train), -(-len(train) // LOOKED_AT)))
        heights, widths = train.sizes[train.rows].T
        short = int(sorted(map(min, heights.tolist(), widths.tolist()))[(len(train) - 1) // 2])
        size = self.size or detector.side or min(short, LARGEST)
        mean, sd = (published.mean, published.sd) if published else statistics(train, looked_at)
        learnt = Learnt(
            format=found.format,
            names=found.names,
            channels=published.channels if published else 3,
            size=size,
            mean=mean,
            sd=sd,
            counts=tuple(train.counts().values()),
            shapes=self.fitted(train, size),
            examples=tuple(len(found.splits[s]) for s in ("train", "valid", "test")),
            policy=found.policy,
            notes=found.notes,
            fingerprint=annotated.fingerprint(found),
            set_aside=tuple(found.set_aside),
        )
        return replace(self, size=size, learnt=learnt)

    def about(self) -> list[str]:
        known = self.known
        how = f"by {self.network} on {self.trunk}, pictures {known.size} pixels on their short side, "
        shapes = ", ".join(f"{w:.0f} × {h:.0f}" for w, h in known.shapes)
        lines = told(
            self,
            f"{sum(known.counts):,} training boxes of {len(known.names)} classes",
            how + f"variations: {self.augmentation}",
        )
        return [*lines, f"anchors fitted to the boxes: {shapes}"] if shapes else lines

    @property
    def names(self) -> tuple[str, ...]:
        return self.known.names

    def fitted(self, train: Annotated, size: int) -> tuple[tuple[float, float], ...]:
        """Shapes of anchors fitted to the boxes of up to 2,000 training pictures, as large as the network sees them."""
        if not self.detector.shapes:
            return ()
        seen = []
        for i in range(0, len(train), -(-len(train) // 2000)):
            height, width = train.sizes[train.rows[i]].tolist()
            down, across = self.scale((height, width), size)
            corners = train.boxes(i).scale(across, down).xyxy
            seen.append(corners[:, 2:] - corners[:, :2])
        shapes = fitted_shapes(torch.cat(seen), self.detector.shapes)
        return tuple((round(w, 2), round(h, 2)) for w, h in shapes.tolist())

    def examples(self, split: Split) -> Sequence[tuple[Image, Any]]:
        return annotated_set(self.data, self.fold).splits[split]

    def augment(self, input: Image, target: Any, draws: Draws) -> tuple[Image, Any]:
        pixels, target = varied(input.pixels, target, check_variations(self.augmentation), draws)
        return Image(pixels, input.source), target

    def batch(self, examples: Any, indices: Sequence[int], draws: Draws | None) -> tuple[Canvas, Targets]:
        canvas, targets = super().batch(examples, indices, draws)
        return canvas, targets._replace(pictures=torch.tensor(indices), of=len(examples))

    # tensors
    def scale(self, size: tuple[int, int], short: int = 0) -> tuple[float, float]:
        """What a picture of (height, width) is enlarged by, down and across."""
        height, width = size
        short = short or self.known.size
        if self.detector.side:  # a square
            return short / height, short / width
        factor = min(short / min(size), LONGEST * short / max(size))
        return round(factor * height) / height, round(factor * width) / width

    def encode_inputs(self, inputs: Sequence[Image]) -> Canvas:
        scales = [self.scale((image.pixels.shape[1], image.pixels.shape[2])) for image in inputs]
        pixels = []
        for image, (down, across) in zip(inputs, scales):
            height, width = image.pixels.shape[1:]
            fitted = resize(image.pixels, max(1, round(down * height)), max(1, round(across * width)))
            pixels.append(with_channels(fitted, self.known.channels))
        regions = [self.detector.propose(p) for p in pixels] if self.detector.propose else []
        sizes = torch.tensor([p.shape[1:] for p in pixels])
        return Canvas(on_one_canvas(pixels, sizes), sizes, torch.tensor(scales), regions)

    def encode_targets(self, targets: Sequence[Any], inputs: Canvas) -> Targets:
        truths = [self.truth(one, *scale) for one, scale in zip(targets, inputs.scales.tolist())]
        return Targets(truths, inputs.scales, torch.arange(len(targets)), len(targets))

    def truth(self, target: Any, down: float, across: float) -> Truth:
        boxes = target.scale(across, down)
        return Truth(boxes.xyxy, boxes.labels, boxes.scores > 0, none_outlined())

    # learning
    def build(self) -> nn.Module:
        known = self.known
        parts = Parts(self.trunk, len(known.names), known.channels, known.mean, known.sd, known.shapes)
        net = self.detector.build(parts)
        if self.freeze:
            if self.detector.names:
                raise UsageError(f"--freeze {self.freeze}: {self.network} has no trunk of its own to keep")
            freeze(net.get_submodule("trunk.stages"), self.freeze)
        return net

    def published(self) -> weights.Published | None:
        """The published weights this task begins with, if it does."""
        if not self.start_from or Path(self.start_from, "run.json").is_file() or self.detector.names:
            return None
        return weights.published(self.trunk, self.start_from)

    def initialise(self, net: nn.Module) -> str:
        if not self.start_from:
            return ""
        if self.detector.names and Path(self.start_from).is_file():
            tensors = self.detector.names(weights.read_tensors(Path(self.start_from)))
            return f"{self.start_from}: {copy_fitting(net, tensors, self.start_from)}"
        found = self.published()
        tensors = found.tensors if found else Run(self.start_from).best()
        whole = any(name.startswith("trunk.") for name in tensors)  # another detector's, or a classifier's
        into = net if whole else net.get_submodule("trunk.stages")
        return f"{self.start_from}: {copy_fitting(into, tensors, self.start_from)}"

    def recipe(self) -> Recipe:
        return self.detector.recipe

    def loss(self, net: nn.Module, inputs: Canvas, targets: Targets, carry: Any) -> Step:
        return Step(self.detector.loss(net, inputs, targets.truths), weight=float(len(inputs.sizes)))

    @property
    def finishes(self) -> bool:
        return self.detector.finish is not None

    def finish(self, net: nn.Module) -> nn.Module:
        """R-CNN learns its last layers from all training pictures at once."""
        return self.detector.finish(net, self.training_batches()) if self.detector.finish else net

    def training_batches(self) -> Any:
        """All training pictures, one by one, unvaried."""
        examples = self.examples("train")
        for i in range(len(examples)):
            canvas, targets = self.batch(examples, [i], None)
            yield canvas, targets.truths

    # measuring
    def outputs(self, net: nn.Module, inputs: Canvas, carry: Any) -> tuple[list[Detections], None]:
        return self.detector.detect(net, inputs), None

    def tally(self, outputs: list[Detections], targets: Targets) -> Tally:
        pictures, classes = targets.pictures.tolist(), len(self.known.names)
        return detection.tally(outputs, targets.truths, pictures, targets.of, classes, targets.scales)

    def scores(self, tally: Tally) -> dict[str, float]:
        return detection.scores(tally, self.known.names)

    def badness(self, outputs: list[Detections], targets: Targets) -> Float[Tensor, "b"]:
        """Objects missed and boxes on nothing, at a score of 0.5 and an overlap of 0.5."""
        wrong = []
        for found, truth in zip(outputs, targets.truths):
            (hits,), (idle,) = detection.matched(found, truth)
            told = (found.scores > 0.5).cpu()
            wrong.append(truth.sure.sum().cpu() - (told & hits[:, 0]).sum() + (told & ~hits[:, 0] & ~idle[:, 0]).sum())
        return torch.stack(wrong).float()

    def evidence(self, outputs: list[Detections], what: str) -> Float[Tensor, "b"]:
        """The sum of the scores of class `what`; of all classes if it is empty."""
        if not what:
            return torch.stack([found.scores.sum() for found in outputs])
        if what not in self.known.names:
            raise UsageError(f"no class called {what!r}{nearest(what, self.known.names)}")
        k = self.known.names.index(what)
        return torch.stack([found.scores[found.labels == k].sum() for found in outputs])

    # use
    def read_input(self, source: str) -> Image:
        return Image(read_image(Path(source), self.known.channels), source)

    def predict(self, outputs: list[Detections], inputs: Canvas, how: Decoding) -> list[dict[str, Any]]:
        """For each picture its objects: label, score, and box in the picture's own pixels, surest first."""
        least = how.threshold if isinstance(how, Finding) else Finding().threshold
        answers = []
        for found, (down, across) in zip(outputs, inputs.scales.tolist()):
            told = (found.scores >= least).cpu()
            boxes = Boxes(found.boxes.cpu().float(), found.labels.cpu(), found.scores.cpu().float(), self.known.names)
            answers.append({"objects": boxes[told].scale(1 / across, 1 / down).to_json()})
        return answers

    def line(self, prediction: Any) -> str:
        """How many of each class, and the box of each, surest first."""
        return objects_line(prediction["objects"])

    def export(self, input: Image, prediction: Any, folder: Path, name: str) -> Path:
        """YOLO's lines, each with the score behind the box; classes.txt beside them has the names."""
        return yolo_txt.write(folder, name, from_json(prediction["objects"], self.known.names), *input.pixels.shape[1:])

    def draw(self, input: Image, prediction: Any) -> Image:
        return picture_of(overlays.boxes(input, from_json(prediction["objects"], self.known.names)), input.source)


def objects_line(objects: Sequence[dict[str, Any]]) -> str:
    """2 cat, 1 dog: cat 91% [10 20 110 140], …; nothing. Of many the ten surest."""
    counts = Counter(o["label"] for o in objects)
    several = ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"
    each = (f"{o['label']} {o['score']:.0%} [{' '.join(f'{v:.0f}' for v in o['box'])}]" for o in objects[:10])
    more = ", …" if objects[10:] else ""
    return f"{several}: {', '.join(each)}{more}" if objects else several


@lru_cache(maxsize=4)
def annotated_set(data: str, fold: str) -> AnnotatedSet:
    """The data set, read once a process."""
    return annotated.read(data, fold)


def statistics(train: Annotated, looked_at: Sequence[int]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, pixels in [0, 1]."""
    pixels = torch.cat([train.image(i).pixels[:, ::4, ::4].flatten(1) for i in looked_at], dim=1).float() / 255
    sd, mean = torch.std_mean(pixels, dim=1)
    return tuple(mean.tolist()), tuple(sd.clamp(min=1e-3).tolist())


def on_one_canvas(pixels: Sequence[Tensor], sizes: Int64[Tensor, "b 2"]) -> Float[Tensor, "b c h w"]:
    """In [0, 1], each in the upper left corner of a canvas as large as the largest needs."""
    height, width = (-(-side // ALIGN) * ALIGN for side in sizes.amax(dim=0).tolist())
    canvas = torch.zeros(len(pixels), len(pixels[0]), height, width)
    for place, one in zip(canvas, pixels):
        place[:, : one.shape[1], : one.shape[2]] = one
    return canvas.div_(255)


def picture_of(drawn: Any, source: str) -> Image:
    """What was drawn, as bytes again."""
    array = torch.frombuffer(bytearray(drawn.convert("RGB").tobytes()), dtype=torch.uint8)
    return Image(array.view(drawn.height, drawn.width, 3).permute(2, 0, 1), source)
