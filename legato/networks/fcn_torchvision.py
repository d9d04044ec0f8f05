"""FCN on a dilated ResNet-50 as torchvision has it, for its published weights: 35 322 218 parameters with 21 classes.

The trunk keeps stride 8 (layer3 and layer4 dilate); a 3×3 convolution, a norm and a 1×1 convolution score its last
map, which is enlarged bilinearly: none of the paper's skips. The auxiliary head on layer3 is kept so that the file
fits; it helps training only, and legato does not use it. Modules bear torchvision's names (backbone.layer1.0.conv1,
classifier.0, aux_classifier.0). Verified without torchvision as faster_rcnn_torchvision.py says.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.layers.conv import rectified
from legato.networks.body_torchvision import CHANNELS, NamedBody


class FCNTorchvision(nn.Module):
    """Pictures, normalised as ImageNet's → scores of each class at each pixel."""

    reach = 232  # pixels that an output sees beside its own

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__()
        self.backbone = NamedBody(nn.BatchNorm2d, channels, dilated=True)
        self.classifier = head(CHANNELS[3], classes)
        self.aux_classifier = head(CHANNELS[2], classes)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        scores = self.classifier(self.backbone(x)[-1])
        return F.interpolate(scores, x.shape[2:], mode="bilinear", align_corners=False)


def head(inputs: int, classes: int) -> nn.Sequential:
    width = inputs // 4
    return nn.Sequential(
        rectified(nn.Conv2d(inputs, width, 3, padding=1, bias=False)),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Conv2d(width, classes, 1),
    )


def fcn_resnet50_torchvision(classes: int = 21, channels: int = 3) -> FCNTorchvision:
    """ResNet-50 at stride 8 and a small head, as torchvision's file has it."""
    return FCNTorchvision(classes, channels)
