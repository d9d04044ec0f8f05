"""Scene parsing before fully convolutional networks: every pixel judged by the patch around it.

`multiscale` sees the patch at three scales through one set of weights (Farabet, Couprie, Najman & LeCun 2013, "Learning
hierarchical features for scene labeling", section 3.1). `recurrent` sees it three times, each time with what it said
before beside the picture (Pinheiro & Collobert 2014, "Recurrent convolutional neural networks for scene labeling",
arXiv:1306.2795, section 3): its patch grows, its weights do not. Both give a map at once instead of patch after patch;
`patch_by_patch` is the sliding window that they save, for comparison.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.layers.stages import stages

SCALES = 3
STRIDE = 4  # of the features: two pools


class Multiscale(nn.Module):
    """Farabet et al.: three convolutions with shared weights on a pyramid, and a small classifier at every place."""

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__()
        self.features = stages(
            conv1=nn.Conv2d(channels, 16, 7, padding=3),     # (b,  16, h, w)
            tanh1=nn.Tanh(),
            pool1=nn.MaxPool2d(2, ceil_mode=True),           # (b,  16, h/2, w/2)
            conv2=nn.Conv2d(16, 64, 7, padding=3),           # (b,  64, h/2, w/2)
            tanh2=nn.Tanh(),
            pool2=nn.MaxPool2d(2, ceil_mode=True),           # (b,  64, h/4, w/4)
            conv3=nn.Conv2d(64, 256, 7, padding=3),          # (b, 256, h/4, w/4)
        )  # fmt: skip
        self.classify = stages(
            hidden=nn.Conv2d(256 * SCALES, 1024, 1),
            tanh=nn.Tanh(),
            scores=nn.Conv2d(1024, classes, 1),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """Pictures → scores of each class at each pixel."""
        pyramid = [x if scale == 0 else F.avg_pool2d(x, 2**scale, ceil_mode=True) for scale in range(SCALES)]
        maps = [self.features(level) for level in pyramid]
        finest = maps[0].shape[-2:]
        together = torch.cat([F.interpolate(m, finest, mode="bilinear", align_corners=False) for m in maps], dim=1)
        return enlarged(self.classify(together), x)


class Recurrent(nn.Module):
    """Pinheiro & Collobert: f(picture, what f said at half the scale), from the coarsest scale to the finest."""

    def __init__(self, classes: int, channels: int = 3, width: int = 25) -> None:
        super().__init__()
        self.classes = classes
        self.look = stages(
            pad1=nn.ZeroPad2d((3, 4, 3, 4)),  # an even window looks one pixel further to the right and down
            conv1=nn.Conv2d(channels + classes, width, 8),
            pool1=nn.MaxPool2d(2, ceil_mode=True),
            tanh1=nn.Tanh(),
            pad2=nn.ZeroPad2d((3, 4, 3, 4)),
            conv2=nn.Conv2d(width, 2 * width, 8),
            pool2=nn.MaxPool2d(2, ceil_mode=True),
            tanh2=nn.Tanh(),
            scores=nn.Conv2d(2 * width, classes, 1),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """Pictures → scores of each class at each pixel, those of the last instance."""
        said = x.new_zeros(len(x), self.classes, 1, 1)
        for scale in reversed(range(SCALES)):
            seen = x if scale == 0 else F.avg_pool2d(x, 2**scale, ceil_mode=True)
            before = F.interpolate(said, seen.shape[-2:], mode="bilinear", align_corners=False)
            said = self.look(torch.cat([seen, before.softmax(dim=1) if scale < SCALES - 1 else before], dim=1))
        return enlarged(said, x)


def enlarged(scores: Float[Tensor, "b k _h _w"], x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
    """Scores at stride 4, bilinear at every pixel; sides that 4 does not divide were padded by the pools."""
    full = F.interpolate(scores, scale_factor=float(STRIDE), mode="bilinear", align_corners=False)
    return full[..., : x.shape[-2], : x.shape[-1]]


def multiscale(classes: int, channels: int = 3) -> Multiscale:
    """Farabet et al. 2013: a patch of 46 pixels at three scales."""
    return Multiscale(classes, channels)


def recurrent(classes: int, channels: int = 3) -> Recurrent:
    """Pinheiro & Collobert 2014: three instances of one plain network."""
    return Recurrent(classes, channels)


@torch.no_grad()
def patch_by_patch(
    classifier: Callable[[Tensor], Tensor], x: Float[Tensor, "1 c h w"], size: int, batch: int = 256
) -> Float[Tensor, "1 k h w"]:
    """Scores of each pixel from the patch of `size` × `size` around it: as many forward passes as there are pixels."""
    before, after = size // 2, size - 1 - size // 2
    padded = F.pad(x, (before, after, before, after))
    patches = padded.unfold(2, size, 1).unfold(3, size, 1)[0].permute(1, 2, 0, 3, 4).flatten(0, 1)
    scores = torch.cat([classifier(part) for part in patches.split(batch)])
    return scores.t().unflatten(1, tuple(x.shape[-2:]))[None]
