"""DeconvNet (Noh, Hong & Han 2015, "Learning deconvolution network for semantic segmentation", arXiv:1505.04366,
figure 2 and table 2): VGG-16 and its mirror. Max-pooling keeps where each maximum stood, unpooling puts it back there,
and transposed convolutions fill the gaps; every layer is followed by batch normalisation and ReLU.

Published for pictures of 224 × 224. Others are padded at the right and below to sides that 32 divides, at least 224.
"""

from collections import OrderedDict
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.layers.conv import rectified
from legato.layers.pooling import max_pool_where, max_unpool

#            conv1     conv2       conv3            conv4            conv5
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
WIDE = 4096  # fc6 and fc7
SMALL_BLOCKS = ((16,), (32,), (64,))
SMALL_WIDE = 128


class DeconvNet(nn.Module):
    """Down through blocks of convolutions and pools, through two layers that see the whole, and back up."""

    def __init__(
        self,
        classes: int,
        channels: int = 3,
        blocks: tuple[tuple[int, ...], ...] = BLOCKS,
        wide: int = WIDE,
        side: int = 7,
    ) -> None:
        super().__init__()
        self.side = side  # of the map that fc6 sees, positions
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        inputs = channels
        for widths in blocks:
            self.down.append(chain(nn.Conv2d, (inputs, *widths)))
            outputs = inputs if self.up else widths[0]  # the last block ends as wide as the first one is
            self.up.insert(0, chain(nn.ConvTranspose2d, (*reversed(widths), outputs)))
            inputs = widths[-1]
        self.middle = nn.Sequential(
            OrderedDict(
                fc6=layer(nn.Conv2d(inputs, wide, side)),
                fc7=layer(nn.Conv2d(wide, wide, 1)),
                deconv_fc6=layer(nn.ConvTranspose2d(wide, inputs, side)),
            )
        )
        self.classify = nn.Conv2d(blocks[0][0], classes, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """Pictures → scores of each class at each pixel."""
        height, width = x.shape[-2:]
        step = 2 ** len(self.down)
        x = F.pad(x, (0, padded(width, step, self.side) - width, 0, padded(height, step, self.side) - height))
        switches = []
        for block in self.down:
            x = block(x)
            sides = x.shape[-2:]
            x, where = max_pool_where(x, 2, 2)
            switches.append((where, *sides))
        x = self.middle(x)
        for block, switch in zip(self.up, reversed(switches)):
            x = block(max_unpool(x, *switch))
        return self.classify(x)[..., :height, :width]


def padded(pixels: int, step: int, least: int) -> int:
    """The next multiple of `step`, at least `least` steps."""
    return step * max(least, -(-pixels // step))


def chain(kind: type[nn.Conv2d] | type[nn.ConvTranspose2d], widths: tuple[int, ...]) -> nn.Sequential:
    """3 × 3 layers from width to width; maps keep their size."""
    return nn.Sequential(*(layer(kind(i, o, 3, padding=1)) for i, o in pairwise(widths)))


def layer(weights: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """Convolve, normalise over the batch, rectify."""
    if isinstance(weights, nn.Conv2d):
        rectified(weights)
    return nn.Sequential(OrderedDict(conv=weights, norm=nn.BatchNorm2d(weights.out_channels), relu=nn.ReLU()))


def deconvnet(classes: int = 21, channels: int = 3) -> DeconvNet:
    """As published: VGG-16 and its mirror, 252 million parameters; pictures of 224 × 224 or more."""
    return DeconvNet(classes, channels)


def deconvnet_small(classes: int = 21, channels: int = 3) -> DeconvNet:
    """The same figure in small: three blocks of one layer; pictures of 32 × 32 or more."""
    return DeconvNet(classes, channels, SMALL_BLOCKS, SMALL_WIDE, side=4)
