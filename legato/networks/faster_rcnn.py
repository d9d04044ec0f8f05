"""Faster R-CNN (Ren et al. 2015, "Towards real-time object detection with region proposal networks", arXiv:1506.01497).

A small network slides over the trunk's map and says where something is; a second looks at those regions and says what.
Departures: regions are cut by RoI align instead of RoI pooling (He et al. 2017); anchors have shapes fitted to the data
instead of 128², 256², 512²; maps are normalised first; both stages are trained at once (section 3.2, "approximate
joint training").
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from legato.layers.conv import ConvRelu
from legato.layers.regions import EvenScale, FeaturePyramid, anchors, clip, crop_levels, decode, encode, iou, nms
from legato.layers.regions.objects import MOST, Canvas, Detections, Truth, none_outlined, sample
from legato.layers.stages import stages
from legato.networks.detector import SURE, Detector, Parts, enter
from legato.networks.trunk import Trunk

Boxes = Float[Tensor, "_r 4"]
Choose = Callable[[int, Boxes, Float[Tensor, "_r"]], Boxes]  # picture, proposals, objectness → regions to look at
BINS = 7  # of a region, down and across: section 3.1.1 of Fast R-CNN, for VGG-16
UNIT = (0.1, 0.1, 0.2, 0.2)  # standard deviations of true changes, which bring them to unit variance (Fast R-CNN, 2.3)


class Found(NamedTuple):
    """All that the two stages say, before any decision; the same in training and in use."""

    anchors: Float[Tensor, "a 4"]
    objectness: Float[Tensor, "b a"]  # logits
    deltas: Float[Tensor, "b a 4"]  # from anchors to proposals
    regions: list[Boxes]  # of each picture, those looked at
    scores: Float[Tensor, "r k"]  # of the regions of all pictures, one picture after another; class 0 is nothing
    refinements: Float[Tensor, "r _k 4"]  # from regions to objects of each class, in units of UNIT


class RegionProposals(nn.Module):
    """The region proposal network (section 3.1): for each anchor, whether it holds something, and how it should change.

    `shapes[i]` (a, 2) are the anchors of map i. Its 3×3 convolution is shared by all maps, what follows is each map's.
    """

    def __init__(self, trunk: Trunk, channels: int, shapes: Sequence[Tensor]) -> None:
        super().__init__()
        self.strides, self.offsets = trunk.strides, trunk.offsets
        for i, shape in enumerate(shapes):
            self.register_buffer(f"shapes{i}", shape)
        self.slide = ConvRelu(channels, channels, 3)
        self.objectness = nn.ModuleList(small(nn.Conv2d(channels, len(s), 1)) for s in shapes)
        self.deltas = nn.ModuleList(small(nn.Conv2d(channels, 4 * len(s), 1)) for s in shapes)

    def forward(
        self, maps: Sequence[Float[Tensor, "b c _h _w"]]
    ) -> tuple[Float[Tensor, "a 4"], Float[Tensor, "b a"], Float[Tensor, "b a 4"]]:
        every: list[tuple[Tensor, Tensor, Tensor]] = []
        for i, x in enumerate(maps):
            slid = self.slide(x)
            own = anchors(x.shape[2], x.shape[3], self.strides[i], self.get_buffer(f"shapes{i}")) + self.offsets[i]
            objectness = self.objectness[i](slid).permute(0, 2, 3, 1).flatten(1)
            deltas = self.deltas[i](slid).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 4))
            every.append((own, objectness, deltas))
        boxes, logits, changes = zip(*every)
        return torch.cat(boxes), torch.cat(logits, dim=1).float(), torch.cat(changes, dim=1).float()


class FlatByPlace(nn.Module):
    """(r, c, n, n) → (r, n · n · c), place by place: as regions are cut out and lie in memory, so without a copy."""

    def forward(self, x: Float[Tensor, "r c n n"]) -> Float[Tensor, "r _"]:
        return x.permute(0, 2, 3, 1).flatten(1)


class RegionHead(nn.Module):
    """What a region (r, channels, 7, 7) shows: logits (r, classes + 1), and changes of its box for each class."""

    def __init__(self, channels: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.look = stages(
            flat=FlatByPlace(),
            fc6=nn.Linear(channels * BINS * BINS, hidden), relu6=nn.ReLU(),
            fc7=nn.Linear(hidden, hidden), relu7=nn.ReLU(),
        )  # fmt: skip
        self.scores, self.deltas = small(nn.Linear(hidden, classes + 1)), small(nn.Linear(hidden, 4 * classes))

    def forward(self, x: Float[Tensor, "r c n n"]) -> tuple[Float[Tensor, "r k"], Float[Tensor, "r _k 4"]]:
        seen = self.look(x)
        return self.scores(seen).float(), self.deltas(seen).float().unflatten(1, (-1, 4))


class FasterRCNN(nn.Module):
    """Pictures → `Found`. It asks `choose` which of its proposals to look at, and never sees a label."""

    def __init__(self, trunk: Trunk, neck: nn.Module, proposals: RegionProposals, head: RegionHead) -> None:
        super().__init__()
        self.trunk, self.neck, self.proposals, self.head = trunk, neck, proposals, head

    def forward(self, pixels: Float[Tensor, "b c h w"], choose: Choose) -> Found:
        return self.look(self.neck(self.trunk(pixels)), choose)

    def look(self, maps: Sequence[Float[Tensor, "b c _h _w"]], choose: Choose) -> Found:
        own, objectness, deltas = self.proposals(maps)
        proposals = decode(own, deltas.detach())
        regions = [choose(i, proposals[i], objectness[i].detach()) for i in range(len(objectness))]
        scores, refinements = self.head(self.crop(maps, regions, BINS))
        return Found(own, objectness, deltas, regions, scores, refinements)

    def crop(self, maps: Sequence[Tensor], regions: Sequence[Boxes], bins: int) -> Float[Tensor, "_r _c _n _n"]:
        return crop_levels(maps, regions, bins, self.trunk.strides, self.trunk.offsets)


def faster_rcnn(parts: Parts) -> FasterRCNN:
    """As published: one map of stride 16, 9 shapes of anchors at each position."""
    trunk = parts.trunk([16])
    channels = trunk.channels[0]
    proposals = RegionProposals(trunk, channels, [torch.tensor(parts.shapes)])
    return FasterRCNN(trunk, EvenScale([channels]), proposals, RegionHead(channels, HIDDEN, parts.classes))


def faster_rcnn_pyramid(parts: Parts) -> FasterRCNN:
    """On a feature pyramid (Lin et al. 2017, arXiv:1612.03144) of strides 8 and 16: small shapes on the finer map."""
    trunk = parts.trunk([8, 16])
    neck = FeaturePyramid(trunk.channels, WIDTH)
    proposals = RegionProposals(trunk, WIDTH, list(torch.tensor(parts.shapes).chunk(len(trunk.strides))))
    return FasterRCNN(trunk, neck, proposals, RegionHead(WIDTH, HIDDEN, parts.classes))


HIDDEN, WIDTH = 256, 128  # units of the head, channels of the pyramid: a fourth and half of the papers', for small sets


def small(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    """Weights that say next to nothing: N(0, 0.01²) as in section 3.1.3."""
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


# which regions to look at
def best_proposals(boxes: Boxes, objectness: Float[Tensor, "_r"], size: Tensor, most: int) -> Boxes:
    """The likeliest that lie on the picture and are no repetitions (section 3.3: suppression at 0.7)."""
    height, width = size.tolist()
    likely = objectness.topk(min(len(boxes), 4 * most)).indices
    boxes = clip(boxes[likely], height, width)
    real = ((boxes[:, 2:] - boxes[:, :2]) >= 1).all(dim=1)
    boxes, objectness = boxes[real], objectness[likely][real]
    return boxes[nms(boxes, objectness, 0.7, most=most)]


def use(sizes: Int64[Tensor, "b 2"]) -> Choose:
    """In use: the 300 best proposals of each picture."""
    return lambda i, boxes, objectness: best_proposals(boxes, objectness, sizes[i], 300)


def teach(sizes: Int64[Tensor, "b 2"], truths: Sequence[Truth]) -> Choose:
    """In training: of proposals and true boxes a sample, at most a quarter of it on objects (Fast R-CNN, 2.3)."""

    def choose(i: int, boxes: Boxes, objectness: Tensor) -> Boxes:
        proposals = torch.cat([best_proposals(boxes, objectness, sizes[i], 1000), truths[i].boxes[truths[i].sure]])
        return sampled(proposals, truths[i], 128, 0.25)

    return choose


def sampled(boxes: Boxes, truth: Truth, count: int, share: float) -> Boxes:
    """`count` of these boxes, at most this share of them on objects, never any that overlaps something unsure."""
    overlap, which = best_overlap(boxes, truth)
    objects = sample((overlap >= 0.5) & truth.sure[which] if len(truth.boxes) else overlap > 1, round(share * count))
    return boxes[torch.cat([objects, sample(overlap < 0.5, count - len(objects))])]


def best_overlap(boxes: Boxes, truth: Truth) -> tuple[Float[Tensor, "_r"], Int64[Tensor, "_r"]]:
    """Of each box the largest intersection over union with an object, and which; 0 and 0 where there is no object."""
    if not len(truth.boxes):
        return boxes.new_zeros(len(boxes)), torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
    overlap, which = iou(boxes, truth.boxes).max(dim=1)
    return overlap, which


# what to learn from
def loss(net: FasterRCNN, canvas: Canvas, truths: Sequence[Truth]) -> dict[str, Tensor]:
    """Means over pictures of equation 1 for both stages. A picture without objects teaches what nothing looks like."""
    found = net(canvas.pixels, teach(canvas.sizes, truths))
    return proposal_losses(found, canvas.sizes, truths) | region_losses(
        found.regions, found.scores, found.refinements, truths
    )


def proposal_losses(found: Found, sizes: Int64[Tensor, "b 2"], truths: Sequence[Truth]) -> dict[str, Tensor]:
    """Of the first stage, over a sample of 256 anchors a picture, at most half of them on objects."""
    objects, changes = [], []
    for i, truth in enumerate(truths):
        yes, no, which = assign(found.anchors, truth, sizes[i])
        yes = sample(yes, 128)
        no = sample(no, 256 - len(yes))
        chosen = torch.cat([yes, no])
        target = (torch.arange(len(chosen), device=chosen.device) < len(yes)).float()
        objects.append(F.binary_cross_entropy_with_logits(found.objectness[i, chosen], target))
        to = encode(found.anchors[yes], truth.boxes[which[yes]])
        changes.append(F.smooth_l1_loss(found.deltas[i, yes], to, reduction="sum", beta=1 / 9) / max(1, len(chosen)))
    return {"objectness": torch.stack(objects).mean(), "proposals": torch.stack(changes).mean()}


def assign(
    own: Float[Tensor, "a 4"], truth: Truth, size: Int64[Tensor, "2"]
) -> tuple[Bool[Tensor, "a"], Bool[Tensor, "a"], Int64[Tensor, "a"]]:
    """Which anchors are on an object, which on none, and on which object they would be (section 3.1.2).

    On one: overlap ≥ 0.7, or the best any anchor has with that object; on none: overlap < 0.3 with all. Anchors whose
    middle is not on the picture are neither.
    """
    middle = (own[:, :2] + own[:, 2:]) / 2
    inside = (middle >= 0).all(dim=1) & (middle < size.flip(0)).all(dim=1)
    overlap, which = best_overlap(own, truth)
    if not len(truth.boxes):
        return torch.zeros_like(inside), inside, which
    table = iou(own, truth.boxes) * inside[:, None]
    best = ((table == table.amax(dim=0)) & (table > 0)).nonzero()  # two objects may share their best anchor
    which = which.index_copy(0, best[:, 0], best[:, 1])
    yes = (overlap >= 0.7).index_fill(0, best[:, 0], True) & truth.sure[which] & inside
    return yes, (overlap < 0.3) & inside & ~yes, which


def region_losses(
    regions: Sequence[Boxes],
    scores: Float[Tensor, "r k"],
    refinements: Float[Tensor, "r _k 4"],
    truths: Sequence[Truth],
) -> dict[str, Tensor]:
    """Of the second stage: equation 1 of Fast R-CNN, with λ = 1. Regions on something unsure do not count."""
    labels, targets = zip(*(region_targets(boxes, truth) for boxes, truth in zip(regions, truths)))
    label, target = torch.cat(labels), torch.cat(targets)
    count = max(1, int((label >= 0).sum()))
    classes = F.cross_entropy(scores, label, ignore_index=-1, reduction="sum") / count
    objects = (label > 0).nonzero().squeeze(1)
    change = refinements[objects, label[objects] - 1]
    boxes = F.smooth_l1_loss(change, target[objects], reduction="sum") / count
    return {"classes": classes, "boxes": boxes}


def region_targets(boxes: Boxes, truth: Truth) -> tuple[Int64[Tensor, "_r"], Boxes]:
    """The class of each region: 0 nothing, −1 not to be judged; and how it should change, in units of UNIT."""
    overlap, which = best_overlap(boxes, truth)
    if not len(truth.boxes):
        return which, boxes.new_zeros(len(boxes), 4)
    on = overlap >= 0.5
    label = torch.where(on, torch.where(truth.sure[which], truth.labels[which] + 1, -1), 0)
    return label, encode(boxes, truth.boxes[which]) / boxes.new_tensor(UNIT)


# what was found
def detect(net: FasterRCNN, canvas: Canvas) -> list[Detections]:
    found = net(canvas.pixels, use(canvas.sizes))
    return read(found.regions, found.scores, found.refinements, canvas.sizes)


def read(
    regions: Sequence[Boxes],
    scores: Float[Tensor, "r k"],
    refinements: Float[Tensor, "r _k 4"],
    sizes: Int64[Tensor, "b 2"],
) -> list[Detections]:
    """Each region moved by what its classes say, repetitions within a class gone (at 0.5), the surest 100 left."""
    counts = [len(r) for r in regions]
    answers = []
    for boxes, logits, deltas, size in zip(regions, scores.split(counts), refinements.split(counts), sizes):
        sure = logits.softmax(dim=1)[:, 1:]
        region, label = (sure > SURE).nonzero().unbind(1)
        moved = decode(boxes[region], deltas[region, label] * boxes.new_tensor(UNIT))
        moved, score = clip(moved, *size.tolist()), sure[region, label]
        kept = nms(moved, score, 0.5, label, most=MOST)
        answers.append(Detections(moved[kept], label[kept], score[kept], none_outlined(boxes.device)))
    return answers


enter(Detector("faster_rcnn", "arXiv:1506.01497", faster_rcnn, loss, detect, shapes=9))
enter(Detector("faster_rcnn_pyramid", "arXiv:1612.03144", faster_rcnn_pyramid, loss, detect, shapes=6))
