"""Detection as classification (lecture 000; Sermanet et al. 2014, "OverFeat", arXiv:1312.6229, section 3): is there a
thing in this window, and which? Asked of every window of a pyramid of pictures at once.

A window is a square of 48 pixels, seen with a little around it. As the network is convolutional to the end, windows
share what they have in common (`legato explain CLASSIFIER PICTURE --how sliding-window` counts what that spares).
Nothing moves or stretches a box: what R-CNN and its followers learn.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.layers.regions import clip, nms
from legato.layers.regions.objects import MOST, Canvas, Detections, Truth, none_outlined
from legato.layers.stages import stages
from legato.networks.detector import SURE, Detector, Parts, enter
from legato.networks.faster_rcnn import Boxes, best_overlap, small
from legato.networks.sliding_window import scales_of
from legato.networks.trunk import Trunk

SIDE, STRIDE = 48, 8  # pixels: of a window, and between windows
LARGEST = 2.0  # of the pyramid's pictures: windows are 24 pixels of the picture as it is, or more
HARD = 3  # windows on nothing for each on something: those that seem most like something (Liu et al. 2016, section 2.2)
LEAST = 16  # of these, on pictures without anything


class Windows(nn.Module):
    """Pictures (b, c, h, w) → all windows (n, 4), in pixels, and their logits (b, n, classes + 1); 0 is nothing."""

    def __init__(self, trunk: Trunk, classes: int) -> None:
        super().__init__()
        channels, across = trunk.channels[0], SIDE // STRIDE
        self.trunk = trunk
        self.judge = stages(
            even=nn.BatchNorm2d(channels),
            reduce=nn.Conv2d(channels, 64, 1), relu1=nn.ReLU(),
            look=nn.Conv2d(64, 128, across), relu2=nn.ReLU(),
            classify=small(nn.Conv2d(128, classes + 1, 1)),
        )  # fmt: skip

    def forward(self, pixels: Float[Tensor, "b c h w"]) -> tuple[Boxes, Float[Tensor, "b n k"]]:
        height, width = pixels.shape[2:]
        found = [self.at(pixels, scale) for scale in scales_of(height, width, (SIDE, SIDE), LARGEST)]
        boxes, logits = zip(*found) if found else ([pixels.new_zeros(0, 4)], [pixels.new_zeros(len(pixels), 0, 2)])
        return torch.cat(boxes), torch.cat(logits, dim=1)

    def at(self, pixels: Float[Tensor, "b c h w"], scale: float) -> tuple[Boxes, Float[Tensor, "b _n k"]]:
        """The windows of one picture of the pyramid."""
        height, width = (round(scale * side) for side in pixels.shape[2:])
        logits = self.judge(self.trunk(F.interpolate(pixels, (height, width), mode="bilinear", antialias=True))[-1])
        top, left = (STRIDE * torch.arange(n, device=pixels.device) + self.trunk.offsets[-1] for n in logits.shape[2:])
        y, x = torch.meshgrid(top, left, indexing="ij")
        boxes = torch.stack([x, y, x + SIDE, y + SIDE], dim=-1).flatten(0, 1)
        return boxes / scale, logits.flatten(2).mT.float()


def windows(parts: Parts) -> Windows:
    return Windows(parts.trunk([STRIDE]), parts.classes)


def loss(net: Windows, canvas: Canvas, truths: Sequence[Truth]) -> dict[str, Tensor]:
    """Cross-entropy of windows that lie half on an object, or best of all, and of the hardest on nothing."""
    boxes, logits = net(canvas.pixels)
    terms = [picture_loss(boxes, *each) for each in zip(logits, truths, canvas.sizes)]
    return {"windows": torch.stack(terms).mean()}


def picture_loss(boxes: Boxes, logits: Float[Tensor, "n k"], truth: Truth, size: Tensor) -> Tensor:
    """Windows less than half on an object but more than 0.3 count neither way, nor do those beside the picture."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((middle >= 0) & (middle < size.flip(0))).all(dim=1)
    overlap, which = best_overlap(boxes, truth)
    if len(truth.boxes):
        yes = (overlap >= 0.5) & truth.sure[which] & inside
        label = truth.labels[which] + 1
    else:
        yes, label = torch.zeros_like(inside), which
    on, off = yes.nonzero().squeeze(1), ((overlap < 0.3) & inside).nonzero().squeeze(1)
    seeming = logits[off].detach().softmax(dim=1)[:, 0]
    off = off[seeming.topk(min(len(off), max(LEAST, HARD * len(on))), largest=False).indices]
    chosen = torch.cat([on, off])
    target = torch.cat([label[on], torch.zeros_like(off)])
    return F.cross_entropy(logits[chosen], target, reduction="sum") / max(1, len(chosen))


def detect(net: Windows, canvas: Canvas) -> list[Detections]:
    """Windows that seem to hold something, the surest of those of a class that overlap by more than 0.3."""
    boxes, logits = net(canvas.pixels)
    answers = []
    for sure, size in zip(logits.softmax(dim=2)[:, :, 1:], canvas.sizes):
        window, label = (sure > SURE).nonzero().unbind(1)
        found, score = clip(boxes[window], *size.tolist()), sure[window, label]
        kept = nms(found, score, 0.3, label, most=MOST)
        answers.append(Detections(found[kept], label[kept], score[kept], none_outlined(boxes.device)))
    return answers


enter(Detector("sliding_window", "arXiv:1312.6229", windows, loss, detect))
