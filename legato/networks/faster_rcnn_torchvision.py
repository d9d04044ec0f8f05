"""Faster R-CNN on ResNet-50 with a pyramid as torchvision has it, for its published weights: 41 755 286 parameters.

Modules bear torchvision's names (backbone.body.layer1.0.conv1, backbone.fpn.inner_blocks.0, rpn.head.conv,
roi_heads.box_head.fc6, roi_heads.box_predictor.cls_score, …), so that its state dict is this network's; names of later
releases (inner_blocks.0.0, rpn.head.conv.0.0) are brought to these by `own_names`. Where it differs from the paper, and
from legato's own `faster_rcnn_pyramid`: anchors stand on the upper left corners of their cells and are rounded to whole
pixels; regions are cut without the half pixel of "aligned", at least one position wide; 1,000 proposals a level are
suppressed level by level; there is a fifth level for anchors alone. The file says nothing of the picture's size: legato
resizes with antialiasing, torchvision without, so answers agree on the resized picture, not to the bit from the file.

Verified without torchvision: names and shapes from its sources (models/detection, ops), the sum of trainable parameters
against the count it publishes, and every output against a second writing of its rules by other means in the tests.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from legato.layers.regions import anchors, clip, decode, nms, roi_align_levels, shapes
from legato.layers.regions.objects import MOST, Canvas, Detections, Truth, none_outlined
from legato.networks import faster_rcnn
from legato.networks.body_torchvision import CHANNELS, FixedNorm, NamedBody
from legato.networks.detector import Detector, Parts, enter
from legato.networks.faster_rcnn import UNIT, Boxes, Found
from legato.networks.weights import IMAGENET
from legato.recipe import Recipe

SIDES, RATIOS = (32.0, 64.0, 128.0, 256.0, 512.0), (0.5, 1.0, 2.0)  # a side a level; height / width
WIDTH, HIDDEN, BINS = 256, 1024, 7
BEFORE, AFTER = 1000, 1000  # proposals a level before suppression, a picture after
SURE = 0.05
RENAMED = (  # later releases wrap convolutions once more
    (r"(inner_blocks|layer_blocks)\.(\d)\.0\.", r"\1.\2."),
    (r"rpn\.head\.conv\.0\.0\.", "rpn.head.conv."),
    (r"mask_head\.(\d)\.0\.", lambda found: f"mask_head.mask_fcn{int(found[1]) + 1}."),
)
TUNE = Recipe(epochs=12, batch_size=4, optimizer="sgd", lr=5e-3, weight_decay=1e-4, warmup=0.05, clip_norm=10)
Choose = Callable[[int, Boxes, Float[Tensor, "_r"], Int64[Tensor, "_r"]], Boxes]  # as faster_rcnn's, and the level


class Scene(NamedTuple):
    """What both stages say, and the maps they say it of."""

    found: Found
    maps: list[Tensor]


class Pyramid(nn.Module):
    """Four maps → five of 256 channels: those of the pyramid, and every other position of the last."""

    def __init__(self) -> None:
        super().__init__()
        self.inner_blocks = nn.ModuleList(nn.Conv2d(n, WIDTH, 1) for n in CHANNELS)
        self.layer_blocks = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in CHANNELS)
        for conv in (*self.inner_blocks, *self.layer_blocks):
            nn.init.kaiming_uniform_(conv.weight, a=1)
            nn.init.zeros_(conv.bias)

    def forward(self, maps: Sequence[Float[Tensor, "b _c _h _w"]]) -> list[Float[Tensor, "b w _h _w"]]:
        merged = [inner(x) for inner, x in zip(self.inner_blocks, maps)]
        for fine in range(len(merged) - 2, -1, -1):
            merged[fine] = merged[fine] + F.interpolate(merged[fine + 1], merged[fine].shape[2:], mode="nearest")
        smooth = [layer(x) for layer, x in zip(self.layer_blocks, merged)]
        return [*smooth, smooth[-1][:, :, ::2, ::2]]


class ProposalHead(nn.Module):
    """One head for all levels: (b, 256, h, w) → objectness (b, 3, h, w) and changes (b, 12, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = faster_rcnn.small(nn.Conv2d(WIDTH, WIDTH, 3, padding=1))
        self.cls_logits = faster_rcnn.small(nn.Conv2d(WIDTH, len(RATIOS), 1))
        self.bbox_pred = faster_rcnn.small(nn.Conv2d(WIDTH, 4 * len(RATIOS), 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b a"], Float[Tensor, "b a 4"]]:
        seen = F.relu(self.conv(x))
        changes = self.bbox_pred(seen).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 4))
        return self.cls_logits(seen).permute(0, 2, 3, 1).flatten(1).float(), changes.float()


class RegionHeads(nn.Module):
    """(r, 256, 7, 7) → logits (r, classes + 1) and changes of the box for each class (r, classes, 4)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.box_head = nn.ModuleDict({"fc6": nn.Linear(WIDTH * BINS**2, HIDDEN), "fc7": nn.Linear(HIDDEN, HIDDEN)})
        outputs = {"cls_score": nn.Linear(HIDDEN, classes + 1), "bbox_pred": nn.Linear(HIDDEN, 4 * (classes + 1))}
        self.box_predictor = nn.ModuleDict(outputs)

    def forward(self, x: Float[Tensor, "r c n n"]) -> tuple[Float[Tensor, "r k"], Float[Tensor, "r _k 4"]]:
        seen = F.relu(self.box_head["fc7"](F.relu(self.box_head["fc6"](x.flatten(1)))))
        changes = self.box_predictor["bbox_pred"](seen).unflatten(1, (-1, 4))[:, 1:]  # nothing moves nowhere
        return self.box_predictor["cls_score"](seen).float(), changes.float()


class FasterRCNNTorchvision(nn.Module):
    """Pictures on a canvas → `Scene`. It asks `choose` which of its proposals to look at."""

    def __init__(self, classes: int, channels: int = 3, heads: Callable[[int], RegionHeads] = RegionHeads) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict({"body": NamedBody(FixedNorm, channels), "fpn": Pyramid()})
        self.rpn = nn.ModuleDict({"head": ProposalHead()})
        self.roi_heads = heads(classes)

    def forward(self, pixels: Float[Tensor, "b c h w"], sizes: Int64[Tensor, "b 2"], choose: Choose) -> Scene:
        maps = self.backbone["fpn"](self.backbone["body"](normalised(pixels, sizes)))
        logits, changes = zip(*(self.rpn["head"](x) for x in maps))
        own = [corner_anchors(x, side, pixels.shape[2:]) for x, side in zip(maps, SIDES)]
        level = torch.arange(len(maps), device=pixels.device).repeat_interleave(torch.tensor([len(a) for a in own]))
        every, objectness, deltas = torch.cat(own), torch.cat(logits, dim=1), torch.cat(changes, dim=1)
        proposals = decode(every, deltas.detach())
        regions = [choose(i, proposals[i], objectness[i].detach(), level) for i in range(len(pixels))]
        scores, refinements = self.roi_heads(crop(maps, regions, BINS))
        return Scene(Found(every, objectness, deltas, regions, scores, refinements), maps)


def normalised(pixels: Float[Tensor, "b c h w"], sizes: Int64[Tensor, "b 2"]) -> Float[Tensor, "b c h w"]:
    """By ImageNet's mean and standard deviation; beside a picture 0 afterwards, where our canvas is black before."""
    mean, sd = (pixels.new_tensor(v)[:, None, None] for v in (IMAGENET.mean, IMAGENET.sd))
    row, column = (torch.arange(side, device=pixels.device) for side in pixels.shape[2:])
    inside = (row < sizes[:, :1])[:, :, None] & (column < sizes[:, 1:])[:, None]
    return (pixels - mean) / sd * inside[:, None]


def corner_anchors(x: Tensor, side: float, canvas: Sequence[int]) -> Float[Tensor, "a 4"]:
    """Three shapes on the upper left corner of each cell, half of each side rounded to whole pixels."""
    stride = canvas[0] // x.shape[2]
    whole = 2 * (shapes([side], RATIOS) / 2).round()
    return anchors(x.shape[2], x.shape[3], stride, whole.to(x.device)) - stride / 2


def crop(maps: Sequence[Tensor], regions: Sequence[Boxes], bins: int) -> Float[Tensor, "_r c _n _n"]:
    """RoI align without the half pixel: a box moved by half a stride, and at least a stride wide, cut as "aligned"."""
    every = torch.cat(list(regions))
    picture = torch.arange(len(regions), device=every.device).repeat_interleave(torch.tensor([len(r) for r in regions]))
    area = (every[:, 2:] - every[:, :2]).prod(dim=1)
    level = (4 + torch.log2(area.sqrt() / 224) + 1e-6).floor().clamp(2, 5).long() - 2  # equation 1
    stride = (4 * 2**level)[:, None].to(every.dtype)
    low = every[:, :2] + stride / 2
    boxes = torch.cat([low, low + (every[:, 2:] - every[:, :2]).maximum(stride)], dim=1)
    return roi_align_levels(maps[:4], boxes, picture, level, bins, (4, 8, 16, 32))


def use(sizes: Int64[Tensor, "b 2"]) -> Choose:
    """In use: the best of each level that lie on the picture, suppressed level by level at 0.7; the best of all."""

    def choose(i: int, boxes: Boxes, objectness: Tensor, level: Tensor) -> Boxes:
        starts = torch.bincount(level).tolist()
        parts = [part.topk(min(BEFORE, len(part))).indices for part in objectness.split(starts)]
        likely = torch.cat([part + sum(starts[:k]) for k, part in enumerate(parts)])
        boxes, objectness, level = clip(boxes[likely], *sizes[i].tolist()), objectness[likely], level[likely]
        real = ((boxes[:, 2:] - boxes[:, :2]) >= 1e-3).all(dim=1)
        boxes, objectness, level = boxes[real], objectness[real], level[real]
        return boxes[nms(boxes, objectness.sigmoid(), 0.7, level, most=AFTER)]

    return choose


def loss(net: FasterRCNNTorchvision, canvas: Canvas, truths: Sequence[Truth]) -> dict[str, Tensor]:
    """legato's: both stages at once."""
    teach = faster_rcnn.teach(canvas.sizes, truths)
    found = net(canvas.pixels, canvas.sizes, lambda i, boxes, objectness, level: teach(i, boxes, objectness)).found
    return faster_rcnn.proposal_losses(found, canvas.sizes, truths) | faster_rcnn.region_losses(
        found.regions, found.scores, found.refinements, truths
    )


def detect(net: FasterRCNNTorchvision, canvas: Canvas) -> list[Detections]:
    return read(net(canvas.pixels, canvas.sizes, use(canvas.sizes)).found, canvas.sizes)


def read(found: Found, sizes: Int64[Tensor, "b 2"]) -> list[Detections]:
    """Each region with each class above 0.05, moved and clipped; repetitions within a class gone at 0.5; 100 left."""
    counts, answers = [len(r) for r in found.regions], []
    said = zip(found.regions, found.scores.split(counts), found.refinements.split(counts), sizes)
    for boxes, logits, deltas, size in said:
        sure = logits.softmax(dim=1)[:, 1:]
        region, label = (sure > SURE).nonzero().unbind(1)
        moved = clip(decode(boxes[region], deltas[region, label] * boxes.new_tensor(UNIT)), *size.tolist())
        real = ((moved[:, 2:] - moved[:, :2]) >= 1e-2).all(dim=1)
        moved, score, label = moved[real], sure[region, label][real], label[real]
        kept = nms(moved, score, 0.5, label, most=MOST)
        answers.append(Detections(moved[kept], label[kept], score[kept], none_outlined(boxes.device)))
    return answers


def own_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of any release under the names used here."""
    named = {}
    for name, tensor in tensors.items():
        for theirs, ours in RENAMED:
            name = re.sub(theirs, ours, name)
        named[name] = tensor
    return named


def faster_rcnn_torchvision(parts: Parts) -> FasterRCNNTorchvision:
    """The trunk is its own ResNet-50; shapes and mean are those of its file."""
    return FasterRCNNTorchvision(parts.classes, parts.channels)


enter(
    Detector(
        name="faster_rcnn_torchvision",
        paper="arXiv:1612.03144",
        build=faster_rcnn_torchvision,
        loss=loss,
        detect=detect,
        recipe=TUNE,
        names=own_names,
    )
)
