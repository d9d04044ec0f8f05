"""Fast R-CNN (Girshick 2015, arXiv:1504.08083): one pass over the picture, then a look at each region of its map.

Regions are proposed by selective search and cut by RoI pooling, as published.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.layers.regions import EvenScale, roi_pool
from legato.layers.regions.objects import Canvas, Detections, Truth
from legato.layers.regions.proposals import Remembering, selective_search
from legato.networks import faster_rcnn
from legato.networks.detector import Detector, Parts, enter
from legato.networks.faster_rcnn import BINS, HIDDEN, Boxes, RegionHead
from legato.networks.trunk import Trunk


class FastRCNN(nn.Module):
    """Pictures and regions of each → scores (r, k + 1) and changes (r, k, 4), one picture after another."""

    def __init__(self, trunk: Trunk, head: RegionHead) -> None:
        super().__init__()
        self.trunk, self.even, self.head = trunk, EvenScale(trunk.channels), head

    def forward(
        self, pixels: Float[Tensor, "b c h w"], regions: Sequence[Boxes]
    ) -> tuple[Float[Tensor, "r k"], Float[Tensor, "r _k 4"]]:
        (maps,) = self.even(self.trunk(pixels))
        picture = torch.repeat_interleave(torch.tensor([len(r) for r in regions])).to(pixels.device)
        cut = torch.cat(list(regions)) - self.trunk.offsets[0]
        return self.head(roi_pool(maps, cut, picture, BINS, self.trunk.strides[0]))


def fast_rcnn(parts: Parts) -> FastRCNN:
    trunk = parts.trunk([16])
    return FastRCNN(trunk, RegionHead(trunk.channels[0], HIDDEN, parts.classes))


def loss(net: FastRCNN, canvas: Canvas, truths: Sequence[Truth]) -> dict[str, Tensor]:
    """Over 64 regions a picture, at most a quarter of them on objects (section 2.3)."""
    regions = [
        faster_rcnn.sampled(torch.cat([proposed, truth.boxes[truth.sure]]), truth, 64, 0.25)
        for proposed, truth in zip(canvas.regions, truths)
    ]
    scores, changes = net(canvas.pixels, regions)
    return faster_rcnn.region_losses(regions, scores, changes, truths)


def detect(net: FastRCNN, canvas: Canvas) -> list[Detections]:
    scores, changes = net(canvas.pixels, canvas.regions)
    return faster_rcnn.read(canvas.regions, scores, changes, canvas.sizes)


enter(Detector("fast_rcnn", "arXiv:1504.08083", fast_rcnn, loss, detect, propose=Remembering(selective_search)))
