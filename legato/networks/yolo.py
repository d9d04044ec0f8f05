"""YOLO (Redmon et al. 2016, "You only look once: unified, real-time object detection", arXiv:1506.02640).

The picture is a grid of S × S cells. The cell in which an object's middle lies is to say what it is and, by B boxes
with a confidence each, where: one forward pass, S × S × (5 B + C) numbers, squared errors. `published` is figure 3 as
printed; `yolo` and `yolo_fine` are smaller and convolutional to the end, so that a few hundred pictures can teach them.
"""

from collections.abc import Sequence
from math import gcd
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from legato.layers.conv import rectified
from legato.layers.regions import clip, iou, nms
from legato.layers.regions.objects import MOST, Canvas, Detections, Truth, none_outlined
from legato.layers.stages import stages
from legato.networks.detector import SURE, Detector, Parts, enter
from legato.networks.faster_rcnn import small
from legato.networks.trunk import Trunk
from legato.recipe import Recipe

BOXES = 2  # of each cell: B
COORD, NO_OBJECT = 5.0, 0.5  # λ of equation 3: boxes count more, the many empty cells less
TUNE = Recipe(epochs=80, batch_size=8, optimizer="adamw", lr=1e-3, weight_decay=1e-3, warmup=0.05, clip_norm=10)


class Cells(NamedTuple):
    """What each cell says. Boxes: x, y of the middle from the cell's corner in cells, √w, √h of the picture's sides."""

    boxes: Float[Tensor, "b s s n 4"]
    confidence: Float[Tensor, "b s s n"]  # how much a box overlaps an object: Pr(object) · IoU
    classes: Float[Tensor, "b s s k"]  # Pr(class | object)


class YOLO(nn.Module):
    """Square pictures (b, c, h, h) → `Cells`; all numbers are linear, as published."""

    def __init__(self, trunk: nn.Module, head: nn.Module, grid: int, classes: int) -> None:
        super().__init__()
        self.trunk, self.head, self.grid, self.classes = trunk, head, grid, classes

    def forward(self, pixels: Float[Tensor, "b c h w"]) -> Cells:
        x = self.head(self.trunk(pixels)).float().view(len(pixels), -1, self.grid, self.grid).permute(0, 2, 3, 1)
        boxes, classes = x.split((5 * BOXES, self.classes), dim=-1)
        boxes = boxes.unflatten(-1, (BOXES, 5))
        return Cells(boxes[..., :4], boxes[..., 4], classes)


class LastMap(Trunk):
    """A trunk's last map, of pictures with a margin, so that its positions stand on the middles of their cells."""

    def forward(self, pixels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b _d _h _w"]:  # type: ignore[override]
        margin = max(0, round(self.offsets[-1]))
        return super().forward(F.pad(pixels, (margin,) * 4))[-1]


def yolo(parts: Parts) -> YOLO:
    """S = 7 on 224 × 224 pixels: cells of 32 pixels."""
    return on_trunk(parts, grid=7, stride=2)


def yolo_fine(parts: Parts) -> YOLO:
    """S = 14 on 224 × 224 pixels: cells of 16 pixels, for things that stand close together."""
    return on_trunk(parts, grid=14, stride=1)


WIDTH = 256  # of the convolutions that are added to the trunk; 1024 in the paper


def on_trunk(parts: Parts, grid: int, stride: int) -> YOLO:
    """Section 2.2: four convolutions on top of the trunk; then a 1×1 convolution instead of two dense layers."""
    trunk = parts.trunk([16])
    head = stages(
        even=nn.GroupNorm(gcd(32, trunk.channels[0]), trunk.channels[0]),
        conv1=convolution(trunk.channels[0], WIDTH, 3),
        conv2=convolution(WIDTH, WIDTH, 3, stride),
        conv3=convolution(WIDTH, WIDTH, 3),
        conv4=convolution(WIDTH, WIDTH, 3),
        cells=nn.AdaptiveAvgPool2d(grid),  # other trunks may end a position short
        predict=small(nn.Conv2d(WIDTH, 5 * BOXES + parts.classes, 1)),
    )
    return YOLO(LastMap(trunk.stages, trunk.taps), head, grid, parts.classes)


def published(classes: int = 20) -> YOLO:
    """Figure 3: 24 convolutions and two dense layers for 448 × 448 pixels, S = 7."""
    trunk = stages(
        conv1=convolution(3, 64, 7, 2), pool1=nn.MaxPool2d(2),           # (b,   64, 112, 112)
        conv2=convolution(64, 192, 3), pool2=nn.MaxPool2d(2),            # (b,  192,  56,  56)
        block3=alternating(192, (128, 256), (256, 512)),
        pool3=nn.MaxPool2d(2),                                           # (b,  512,  28,  28)
        block4=alternating(512, (256, 512), (256, 512), (256, 512), (256, 512), (512, 1024)),
        pool4=nn.MaxPool2d(2),                                           # (b, 1024,  14,  14)
        block5=alternating(1024, (512, 1024), (512, 1024)),
    )  # fmt: skip
    head = stages(
        conv1=convolution(1024, 1024, 3),
        conv2=convolution(1024, 1024, 3, 2),                             # (b, 1024,   7,   7)
        conv3=convolution(1024, 1024, 3),
        conv4=convolution(1024, 1024, 3),
        flat=nn.Flatten(),
        hidden=nn.Linear(1024 * 7 * 7, 4096), relu=nn.LeakyReLU(0.1), dropout=nn.Dropout(0.5),
        predict=nn.Linear(4096, 7 * 7 * (5 * BOXES + classes)),          # (b, 7 · 7 · 30)
    )  # fmt: skip
    return YOLO(trunk, head, 7, classes)


def convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """With a rectifier that leaks a tenth (equation 2)."""
    conv = rectified(nn.Conv2d(inputs, outputs, size, stride, size // 2))
    return stages(conv=conv, leaky=nn.LeakyReLU(0.1))


def alternating(inputs: int, *widths: tuple[int, int]) -> nn.Sequential:
    """1×1 to reduce, 3×3 to look, and so on."""
    block = nn.Sequential()
    for reduced, outputs in widths:
        block.extend([convolution(inputs, reduced, 1), convolution(reduced, outputs, 3)])
        inputs = outputs
    return block


# what to learn from
def loss(net: YOLO, canvas: Canvas, truths: Sequence[Truth]) -> dict[str, Tensor]:
    return cell_losses(net(canvas.pixels), canvas, truths)


def cell_losses(cells: Cells, canvas: Canvas, truths: Sequence[Truth]) -> dict[str, Tensor]:
    """Equation 3, its four kinds of terms apart, as means over pictures."""
    grid, count = cells.boxes.shape[1], len(truths)
    picture, row, column, box, label = owners(truths, canvas.sizes, grid)
    said = cells.boxes[picture, row, column]  # (m, n, 4): what the cells of the objects say
    overlap = shares_of(said, row, column, grid, box)
    best = overlap.argmax(dim=1)  # "responsible" is the box that overlaps most
    own = said[torch.arange(len(best)), best]
    middle, side = (box[:, :2] + box[:, 2:]) / 2 * grid, box[:, 2:] - box[:, :2]
    target = torch.cat([middle - torch.stack([column, row], dim=1), side.sqrt()], dim=1)
    responsible = torch.zeros_like(cells.confidence, dtype=torch.bool)
    responsible[picture, row, column, best] = True
    right = overlap.gather(1, best[:, None]).squeeze(1)
    kinds = F.one_hot(label, cells.classes.shape[-1]).float()
    unsure = covered(cells, canvas, truths)
    return {
        "boxes": COORD * (own - target).square().sum() / count,
        "objects": (cells.confidence[picture, row, column, best] - right).square().sum() / count,
        "nothing": NO_OBJECT * (cells.confidence.square() * (~responsible & ~unsure)).sum() / count,
        "classes": (cells.classes[picture, row, column] - kinds).square().sum() / count,
    }


def owners(
    truths: Sequence[Truth], sizes: Int64[Tensor, "b 2"], grid: int
) -> tuple[Int64[Tensor, "m"], Int64[Tensor, "m"], Int64[Tensor, "m"], Float[Tensor, "m 4"], Int64[Tensor, "m"]]:
    """Of each object: picture, row and column of its cell, box as shares of the picture, class. A cell owns one."""
    place = [torch.full((int(t.sure.sum()),), i, device=t.boxes.device) for i, t in enumerate(truths)]
    box = torch.cat([t.boxes[t.sure] / size.flip(0).repeat(2) for t, size in zip(truths, sizes)])
    label, picture = torch.cat([t.labels[t.sure] for t in truths]), torch.cat(place)
    column, row = ((box[:, :2] + box[:, 2:]) / 2 * grid).long().clamp(0, grid - 1).unbind(1)
    order = (box[:, 2:] - box[:, :2]).prod(dim=1).argsort(stable=True)
    cell = (picture * grid + row) * grid + column
    owner = torch.full((len(truths) * grid * grid,), -1, device=box.device)
    for i in order.tolist():  # the last, largest one stays
        owner[cell[i]] = i
    kept = owner[owner >= 0]
    return picture[kept], row[kept], column[kept], box[kept], label[kept]


def shares_of(
    said: Float[Tensor, "m n 4"], row: Tensor, column: Tensor, grid: int, box: Float[Tensor, "m 4"]
) -> Float[Tensor, "m n"]:
    """How much the boxes of each object's cell overlap it now."""
    corners = to_corners(said.detach(), torch.stack([column, row], dim=1)[:, None], grid)
    pairs = [iou(these, own[None]).squeeze(1) for these, own in zip(corners, box)]
    return torch.stack(pairs) if pairs else said.new_zeros(said.shape[:2])


def to_corners(said: Float[Tensor, "*m 4"], cell: Tensor, grid: int) -> Float[Tensor, "*m 4"]:
    """x1 y1 x2 y2 as shares of the picture."""
    middle, half = (said[..., :2] + cell) / grid, said[..., 2:].clamp(min=0).square() / 2
    return torch.cat([middle - half, middle + half], dim=-1)


def covered(cells: Cells, canvas: Canvas, truths: Sequence[Truth]) -> Bool[Tensor, "b s s 1"]:
    """Cells whose middle lies in an object that does not count: they may say what they like."""
    grid = cells.boxes.shape[1]
    at = (torch.arange(grid, device=cells.boxes.device) + 0.5) / grid
    y, x = torch.meshgrid(at, at, indexing="ij")
    inside = []
    for truth, size in zip(truths, canvas.sizes):
        x1, y1, x2, y2 = (truth.boxes[~truth.sure] / size.flip(0).repeat(2)).T[..., None, None]
        inside.append(((x1 <= x) & (x < x2) & (y1 <= y) & (y < y2)).any(dim=0))
    return torch.stack(inside)[..., None]


# what was found
def detect(net: YOLO, canvas: Canvas) -> list[Detections]:
    return read(net(canvas.pixels), canvas.sizes)


def read(cells: Cells, sizes: Int64[Tensor, "b 2"]) -> list[Detections]:
    """Each box with each class at confidence × Pr(class) (equation 1); repetitions within a class gone (at 0.5)."""
    grid = cells.boxes.shape[1]
    row, column = torch.meshgrid(*[torch.arange(grid, device=cells.boxes.device)] * 2, indexing="ij")
    corners = to_corners(cells.boxes, torch.stack([column, row], dim=-1)[:, :, None], grid).flatten(1, 3)
    sure = (cells.confidence[..., None] * cells.classes[..., None, :]).flatten(1, 3)  # (b, s · s · n, k)
    answers = []
    for boxes, scores, size in zip(corners, sure, sizes):
        place, label = (scores > SURE).nonzero().unbind(1)
        moved = clip(boxes[place] * size.flip(0).repeat(2), *size.tolist())
        score = scores[place, label].clamp(max=1)
        kept = nms(moved, score, 0.5, label, most=MOST)
        answers.append(Detections(moved[kept], label[kept], score[kept], none_outlined(boxes.device)))
    return answers


enter(Detector("yolo", "arXiv:1506.02640", yolo, loss, detect, side=224, recipe=TUNE))
enter(Detector("yolo_fine", "arXiv:1506.02640", yolo_fine, loss, detect, side=224, recipe=TUNE))
