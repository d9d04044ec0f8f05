"""A pyramid for pixels: every pixel judged on features of all strides, added up at the finest (Kirillov et al. 2019,
"Panoptic feature pyramid networks", arXiv:1901.02446, section 3.1; the pyramid is Lin et al.'s, arXiv:1612.03144).

FCN adds *scores*, a number a class; here *features* are added, 64 a place, before two convolutions judge them, at
stride 4 instead of 8: thin things keep their outline. Departure: one sum from coarse to fine as in the pyramid, where
the paper enlarges each level by itself.
"""

from collections.abc import Sequence
from math import ceil

from jaxtyping import Float
from torch import Tensor, nn

from legato.layers.stages import stages, walk
from legato.networks.fcn import Place, interpolated, places, taps_of

STRIDES = (4, 8, 16, 32)
WIDTH = 64


class FPN(nn.Module):
    """Pictures (b, c, h, w) → scores of each class at each pixel (b, k, h, w)."""

    def __init__(self, trunk: nn.Sequential, taps: Sequence[str], classes: int, channels: int = 3) -> None:
        super().__init__()
        where = places(trunk, channels)
        names = list(where)
        self.taps = sorted(taps, key=names.index)  # fine to coarse, as the picture meets them
        self.trunk = stages(**{name: trunk.get_submodule(name) for name in names[: names.index(self.taps[-1]) + 1]})
        self.lateral = nn.ModuleDict({tap: even(nn.Conv2d(where[tap].channels, WIDTH, 1)) for tap in self.taps})
        self.judge = stages(
            conv1=even(nn.Conv2d(WIDTH, WIDTH, 3, padding=1)), relu1=nn.ReLU(),
            conv2=even(nn.Conv2d(WIDTH, WIDTH, 3, padding=1)), relu2=nn.ReLU(),
            score=nn.Conv2d(WIDTH, classes, 1),
        )  # fmt: skip
        self.where = [where[tap] for tap in self.taps]
        own = 3 * self.where[0].stride  # the two 3×3 convolutions and the last enlargement
        self.reach = ceil(max(place.reach + place.stride for place in self.where) + own)  # pixels beside its own

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        seen = walk(self.trunk, x, self.taps)
        features = [self.lateral[tap](seen[tap]) for tap in self.taps]
        merged, here = features.pop(), self.where[-1]
        for finer, place in zip(reversed(features), reversed(self.where[:-1])):
            merged = finer + interpolated(merged, relative(here, place), *finer.shape[-2:])
            here = place
        return interpolated(self.judge(merged), here, *x.shape[-2:])


def even(conv: nn.Conv2d) -> nn.Sequential:
    """Normalised over the batch, as trunks' numbers differ in size; for one picture it judges each place by itself, so
    that tiles agree with the whole."""
    return stages(conv=conv, norm=nn.BatchNorm2d(conv.out_channels))


def relative(coarse: Place, fine: Place) -> Place:
    """The places of a coarse map counted in those of a fine one."""
    return Place(0, coarse.stride // fine.stride, (coarse.centre - fine.centre) / fine.stride, 0.0)


def fpn(trunk: nn.Sequential, classes: int, channels: int = 3) -> FPN:
    """On a trunk with maps of strides 4 to 32."""
    return FPN(trunk, taps_of(trunk, STRIDES, channels), classes, channels)
