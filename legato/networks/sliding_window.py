"""Detection as classification: any classifier, slid over the picture at several scales.

Sermanet et al. 2014, "OverFeat" (arXiv:1312.6229). Made convolutional, the classifier judges all windows of a scale in
one pass; overlapping answers are then suppressed.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from legato.layers.convolutional import Sliding, to_convolutional
from legato.layers.regions import nms
from legato.layers.regions.objects import MOST, Detections, none_outlined

STEP = 2**-0.5  # from one scale of the pyramid to the next


def scales_of(height: int, width: int, window: tuple[int, int], largest: float = 1.0) -> list[float]:
    """From `largest` down in steps of √½, as long as the picture holds one window."""
    scales: list[float] = []
    while largest * height >= window[0] and largest * width >= window[1]:
        scales.append(largest)
        largest *= STEP
    return scales


class SlidingWindow(nn.Module):
    """Picture (1, c, h, w) in [0, 1] and a scale → boxes of all windows, in the picture's pixels, and their logits."""

    def __init__(self, classifier: nn.Sequential, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.sliding: Sliding = to_convolutional(classifier, shape)
        self.net = self.sliding.net

    def forward(
        self, pixels: Float[Tensor, "1 c h w"], scale: float
    ) -> tuple[Float[Tensor, "n 4"], Float[Tensor, "n k"]]:
        height, width = (max(1, round(scale * side)) for side in pixels.shape[2:])
        logits = self.net(F.interpolate(pixels, (height, width), mode="bilinear", antialias=True))
        rows, columns = logits.shape[2:]
        top = torch.arange(rows, device=pixels.device) * self.sliding.stride[0]
        left = torch.arange(columns, device=pixels.device) * self.sliding.stride[1]
        y, x = torch.meshgrid(top, left, indexing="ij")
        boxes = torch.stack([x, y, x + self.sliding.size[1], y + self.sliding.size[0]], dim=-1).flatten(0, 1)
        enlarge = pixels.new_tensor([pixels.shape[3] / width, pixels.shape[2] / height]).repeat(2)
        return boxes * enlarge, logits[0].flatten(1).mT


@torch.no_grad()
def detect(
    net: SlidingWindow,
    pixels: UInt8[Tensor, "c h w"],
    background: int | None = None,
    threshold: float = 0.5,
    scales: Sequence[float] = (),
    overlap: float = 0.3,
) -> Detections:
    """Every window whose likeliest class is not the `background` and at least as probable as `threshold`, the surest of
    those that overlap by more than `overlap`. `scales`: sizes of the pyramid; else all from 1 down."""
    picture = pixels[None].float() / 255
    found: list[tuple[Tensor, Tensor]] = []
    for scale in scales or scales_of(pixels.shape[1], pixels.shape[2], net.sliding.size):
        boxes, logits = net(picture, scale)
        found.append((boxes, logits.softmax(dim=1)))
    if not found:
        return Detections(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0), none_outlined())
    boxes, sure = (torch.cat(parts) for parts in zip(*found))
    score, label = sure.max(dim=1)
    wanted = score >= threshold if background is None else (score >= threshold) & (label != background)
    boxes, score, label = boxes[wanted], score[wanted], label[wanted]
    kept = nms(boxes, score, overlap, label, most=MOST)
    return Detections(boxes[kept], label[kept], score[kept], none_outlined())
