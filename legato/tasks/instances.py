"""What is where, pixel by pixel: an outline for each object."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from legato.data import id_masks
from legato.data.annotated import Annotated
from legato.data.decode import resize
from legato.errors import DataError, UsageError
from legato.layers.regions.objects import Canvas, Detections, Truth
from legato.picture import overlays
from legato.task import Decoding, Split
from legato.tasks.detect import Detect, Finding, annotated_set, picture_of
from legato.values import Boxes, Image, Masks
from legato.values.boxes import from_json
from legato.values.masks import from_runs

OUTLINERS = ("mask_rcnn", "mask_rcnn_torchvision")


class WithOutlines(Sequence[Any]):
    """Pictures with boxes and outlines."""

    def __init__(self, pictures: Annotated) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> tuple[Image, Masks]:  # type: ignore[override]
        return self.pictures.image(i), self.pictures.masks(i)


@dataclass(frozen=True)
class Instances(Detect):
    """An outline, a name and a box for each object. Measured by the overlap of outlines."""

    network: str = "mask_rcnn"
    """A detector that draws outlines: mask_rcnn, or mask_rcnn_torchvision for its file."""

    name: ClassVar[str] = "instances"

    def adapt(self) -> "Instances":
        if self.network not in OUTLINERS:
            raise UsageError(f"--network {self.network} finds boxes, no outlines; {' and '.join(OUTLINERS)} do")
        if not annotated_set(self.data, self.fold).outlined:
            raise DataError(f"{self.data}: boxes only, no outlines; `legato train detect` finds boxes")
        return super().adapt()

    def examples(self, split: Split) -> WithOutlines:
        return WithOutlines(annotated_set(self.data, self.fold).splits[split])

    def truth(self, target: Any, down: float, across: float) -> Truth:
        """Outlines as large as the network sees them."""
        height, width = target.bitmaps.shape[1:]
        bitmaps = resized(target.bitmaps, round(height * down), round(width * across))
        return super().truth(target.boxes, down, across)._replace(bitmaps=bitmaps)

    def predict(self, outputs: list[Detections], inputs: Canvas, how: Decoding) -> list[dict[str, Any]]:
        """For each picture its objects: label, score, box, and outline as runs, in the picture's own pixels."""
        least = how.threshold if isinstance(how, Finding) else Finding().threshold
        answers = []
        for found, scale, size in zip(outputs, inputs.scales.tolist(), inputs.sizes.tolist()):
            told = found.scores >= least
            height, width = (round(side / factor) for side, factor in zip(size, scale))
            scores, labels = found.scores[told].cpu().float(), found.labels[told].cpu()
            boxes = Boxes(found.boxes[told].cpu().float(), labels, scores, self.known.names)
            masks = Masks(resized(found.bitmaps[told].cpu(), height, width), boxes.scale(1 / scale[1], 1 / scale[0]))
            answers.append({"objects": masks.to_json()})
        return answers

    def export(self, input: Image, prediction: Any, folder: Path, name: str) -> Path:
        """A PNG of 16 bits: 0, or the number of the object, the surest first; where several lie, the surest has it."""
        return id_masks.write(folder / f"{name}.png", self.outlines(input, prediction).bitmaps)

    def draw(self, input: Image, prediction: Any) -> Image:
        return picture_of(overlays.instances(input, self.outlines(input, prediction)), input.source)

    def outlines(self, input: Image, prediction: Any) -> Masks:
        objects = prediction["objects"]
        bitmaps = [from_runs(o["segmentation"]["counts"], *o["segmentation"]["size"]) for o in objects]
        none = torch.zeros(0, *input.pixels.shape[1:], dtype=torch.bool)
        return Masks(torch.stack(bitmaps) if bitmaps else none, from_json(objects, self.known.names))


def resized(bitmaps: Bool[Tensor, "n h w"], height: int, width: int) -> Bool[Tensor, "n {height} {width}"]:
    """A pixel is in if half of what it shows was."""
    if bitmaps.shape[1:] == (height, width):
        return bitmaps
    if not len(bitmaps):
        return bitmaps.new_zeros(0, height, width)
    return resize(bitmaps.byte() * 255, height, width) > 127
