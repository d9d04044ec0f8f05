"""Mask R-CNN (He et al. 2017, arXiv:1703.06870): Faster R-CNN with a third branch, which outlines what was found.

Figure 4, right: on a feature pyramid, with a head of four convolutions that draws 28 × 28 pixels for each class.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from legato.layers.conv import ConvRelu
from legato.layers.regions import FeaturePyramid, roi_align
from legato.layers.regions.objects import Canvas, Detections, Truth
from legato.layers.stages import stages
from legato.networks import faster_rcnn
from legato.networks.detector import Detector, Parts, enter
from legato.networks.faster_rcnn import HIDDEN, WIDTH, Boxes, Choose, FasterRCNN, Found, RegionHead, RegionProposals
from legato.recipe import Recipe

BINS = 14  # of a region the mask branch sees; it draws twice as many
TUNE = Recipe(epochs=20, batch_size=4, optimizer="adamw", lr=5e-4, weight_decay=1e-4, warmup=0.05, clip_norm=10)
ChooseMasks = Callable[[Found], list[Boxes]]  # → of each picture the boxes whose insides are to be outlined


class Outlined(NamedTuple):
    """All that the three branches say."""

    found: Found
    boxes: list[Boxes]  # of each picture, those outlined
    masks: Float[Tensor, "m k n n"]  # logits, of the boxes of all pictures, one picture after another


class MaskRCNN(FasterRCNN):
    """Pictures → `Outlined`. It asks `choose` where to look, and then `choose_masks` what to outline."""

    def __init__(
        self, trunk: nn.Module, neck: nn.Module, proposals: RegionProposals, head: RegionHead, mask: nn.Module
    ) -> None:
        super().__init__(trunk, neck, proposals, head)  # type: ignore[arg-type]
        self.mask = mask

    def forward(  # type: ignore[override]
        self, pixels: Float[Tensor, "b c h w"], choose: Choose, choose_masks: ChooseMasks
    ) -> Outlined:
        maps = self.neck(self.trunk(pixels))
        found = self.look(maps, choose)
        boxes = choose_masks(found)
        return Outlined(found, boxes, self.mask(self.crop(maps, boxes, BINS)).float())


def mask_rcnn(parts: Parts) -> MaskRCNN:
    """On a feature pyramid of strides 4, 8 and 16."""
    trunk = parts.trunk([4, 8, 16])
    neck = FeaturePyramid(trunk.channels, WIDTH)
    proposals = RegionProposals(trunk, WIDTH, list(torch.tensor(parts.shapes).chunk(3)))
    return MaskRCNN(trunk, neck, proposals, RegionHead(WIDTH, HIDDEN, parts.classes), mask_head(WIDTH, parts.classes))


def mask_head(channels: int, classes: int) -> nn.Sequential:
    """(r, channels, 14, 14) → (r, classes, 28, 28)."""
    up = nn.ConvTranspose2d(channels, channels, 2, stride=2)
    nn.init.kaiming_normal_(up.weight, nonlinearity="relu")
    return stages(
        conv1=ConvRelu(channels, channels, 3),
        conv2=ConvRelu(channels, channels, 3),
        conv3=ConvRelu(channels, channels, 3),
        conv4=ConvRelu(channels, channels, 3),
        up=up, relu=nn.ReLU(),                   # (r, channels, 28, 28)
        draw=faster_rcnn.small(nn.Conv2d(channels, classes, 1)),
    )  # fmt: skip


# what to outline
def teach(truths: Sequence[Truth]) -> ChooseMasks:
    """In training: the regions that are on an object."""

    def choose(found: Found) -> list[Boxes]:
        return [boxes[faster_rcnn.region_targets(boxes, t)[0] > 0] for boxes, t in zip(found.regions, truths)]

    return choose


def loss(net: MaskRCNN, canvas: Canvas, truths: Sequence[Truth]) -> dict[str, Tensor]:
    """Faster R-CNN's, plus that of the outlines."""
    said = net(canvas.pixels, faster_rcnn.teach(canvas.sizes, truths), teach(truths))
    found = said.found
    return (
        faster_rcnn.proposal_losses(found, canvas.sizes, truths)
        | faster_rcnn.region_losses(found.regions, found.scores, found.refinements, truths)
        | {"masks": mask_loss(said.boxes, said.masks, truths)}
    )


def mask_loss(boxes: Sequence[Boxes], masks: Float[Tensor, "m k n n"], truths: Sequence[Truth]) -> Tensor:
    """Mean cross-entropy over the pixels of the true class's mask; classes do not compete (section 3)."""
    labels, targets = [], []
    for own, truth in zip(boxes, truths):
        _, which = faster_rcnn.best_overlap(own, truth)
        labels.append(truth.labels[which] if len(truth.labels) else which)
        targets.append(cut(truth.bitmaps, own, which, masks.shape[-1]))
    label, target = torch.cat(labels), torch.cat(targets)
    if not len(label):
        return masks.sum() * 0
    return F.binary_cross_entropy_with_logits(masks[torch.arange(len(label)), label], target)


def cut(bitmaps: Bool[Tensor, "n h w"], boxes: Boxes, which: Int64[Tensor, "_r"], bins: int) -> Float[Tensor, "_r b b"]:
    """The piece of object `which[i]` that box i shows, as shares of bins."""
    if not len(boxes):
        return boxes.new_zeros(0, bins, bins)
    return roi_align(bitmaps[:, None].float(), boxes, which, bins, stride=1, samples=1)[:, 0]


# what was found
def detect(net: MaskRCNN, canvas: Canvas) -> list[Detections]:
    answers: list[Detections] = []

    def choose(found: Found) -> list[Boxes]:
        answers.extend(faster_rcnn.read(found.regions, found.scores, found.refinements, canvas.sizes))
        return [answer.boxes for answer in answers]

    said = net(canvas.pixels, faster_rcnn.use(canvas.sizes), choose)
    masks = said.masks.split([len(answer.labels) for answer in answers])
    return [outlined(answer, own, *size.tolist()) for answer, own, size in zip(answers, masks, canvas.sizes)]


def outlined(found: Detections, masks: Float[Tensor, "n k b b"], height: int, width: int) -> Detections:
    """Each mask of the found class, enlarged to its box: where it says more than ½, a pixel is in."""
    own = masks[torch.arange(len(masks)), found.labels].sigmoid()
    return found._replace(bitmaps=paste(own, found.boxes, height, width) > 0.5)


def paste(
    masks: Float[Tensor, "n b b"], boxes: Float[Tensor, "n 4"], height: int, width: int
) -> Float[Tensor, "n {height} {width}"]:
    """The inverse of `cut`: each mask read bilinearly at the middles of the picture's pixels, 0 outside its box."""
    down = reading(boxes[:, 1], boxes[:, 3], height, masks.shape[-1])
    across = reading(boxes[:, 0], boxes[:, 2], width, masks.shape[-1])
    return down @ masks @ across.mT


def reading(
    low: Float[Tensor, "n"], high: Float[Tensor, "n"], length: int, bins: int
) -> Float[Tensor, "n {length} {bins}"]:
    """Of each pixel along one axis, how much of each bin it reads."""
    pixel = torch.arange(length, device=low.device) + 0.5
    at = (pixel - low[:, None]) / (high - low).clamp(min=1e-3)[:, None] * bins - 0.5
    inside = (pixel >= low[:, None]) & (pixel <= high[:, None])
    at = at.clamp(0, bins - 1)
    near = 1 - (at[..., None] - torch.arange(bins, device=low.device)).abs()
    return near.clamp(min=0) * inside[..., None]


enter(Detector("mask_rcnn", "arXiv:1703.06870", mask_rcnn, loss, detect, shapes=9, recipe=TUNE))
