"""Mask R-CNN on ResNet-50 with a pyramid as torchvision has it, for its published weights: 44 401 393 parameters.

Faster R-CNN of faster_rcnn_torchvision.py with four convolutions, a transposed one and a map of 28 × 28 for each class
(roi_heads.mask_head.mask_fcn1 … 4, roi_heads.mask_predictor.conv5_mask, mask_fcn_logits). Verified as there. Masks are
laid into the picture by legato's rule, bilinear at the middles of pixels, where torchvision rounds boxes to whole ones.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.layers.conv import rectified
from legato.layers.regions.objects import Canvas, Detections, Truth
from legato.networks import faster_rcnn, faster_rcnn_torchvision, mask_rcnn
from legato.networks.detector import Detector, Parts, enter
from legato.networks.faster_rcnn import Boxes
from legato.networks.faster_rcnn_torchvision import WIDTH, FasterRCNNTorchvision, RegionHeads, crop, own_names

BINS = 14


class MaskHeads(RegionHeads):
    """Beside classes and boxes, of a region (r, 256, 14, 14) a map for nothing and each class."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        convs = {f"mask_fcn{i}": rectified(nn.Conv2d(WIDTH, WIDTH, 3, padding=1)) for i in (1, 2, 3, 4)}
        self.mask_head = nn.ModuleDict(convs)
        up, draw = nn.ConvTranspose2d(WIDTH, WIDTH, 2, stride=2), nn.Conv2d(WIDTH, classes + 1, 1)
        nn.init.kaiming_normal_(up.weight, nonlinearity="relu")
        self.mask_predictor = nn.ModuleDict({"conv5_mask": up, "mask_fcn_logits": faster_rcnn.small(draw)})

    def masks(self, x: Float[Tensor, "r c n n"]) -> Float[Tensor, "r k m m"]:
        """Logits of the classes, without that of nothing."""
        for conv in self.mask_head.values():
            x = F.relu(conv(x))
        x = F.relu(self.mask_predictor["conv5_mask"](x))
        return self.mask_predictor["mask_fcn_logits"](x)[:, 1:].float()


class MaskRCNNTorchvision(FasterRCNNTorchvision):
    roi_heads: MaskHeads

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__(classes, channels, MaskHeads)

    def outline(self, maps: Sequence[Tensor], boxes: Sequence[Boxes]) -> Float[Tensor, "r k m m"]:
        return self.roi_heads.masks(crop(maps, boxes, BINS))


def mask_rcnn_torchvision(parts: Parts) -> MaskRCNNTorchvision:
    """The trunk is its own ResNet-50; shapes and mean are those of its file."""
    return MaskRCNNTorchvision(parts.classes, parts.channels)


def loss(net: MaskRCNNTorchvision, canvas: Canvas, truths: Sequence[Truth]) -> dict[str, Tensor]:
    """legato's: both stages and the outlines at once."""
    teach = faster_rcnn.teach(canvas.sizes, truths)
    found, maps = net(canvas.pixels, canvas.sizes, lambda i, boxes, objectness, level: teach(i, boxes, objectness))
    boxes = mask_rcnn.teach(truths)(found)
    return (
        faster_rcnn.proposal_losses(found, canvas.sizes, truths)
        | faster_rcnn.region_losses(found.regions, found.scores, found.refinements, truths)
        | {"masks": mask_rcnn.mask_loss(boxes, net.outline(maps, boxes), truths)}
    )


def detect(net: MaskRCNNTorchvision, canvas: Canvas) -> list[Detections]:
    found, maps = net(canvas.pixels, canvas.sizes, faster_rcnn_torchvision.use(canvas.sizes))
    answers = faster_rcnn_torchvision.read(found, canvas.sizes)
    masks = net.outline(maps, [answer.boxes for answer in answers]).split([len(a.labels) for a in answers])
    sizes = canvas.sizes.tolist()
    return [mask_rcnn.outlined(answer, own, h, w) for answer, own, (h, w) in zip(answers, masks, sizes)]


enter(
    Detector(
        name="mask_rcnn_torchvision",
        paper="arXiv:1703.06870",
        build=mask_rcnn_torchvision,
        loss=loss,
        detect=detect,
        recipe=faster_rcnn_torchvision.TUNE,
        names=own_names,
    )
)
