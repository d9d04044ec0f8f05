"""Fully convolutional networks: a classifier that judges every pixel (Long, Shelhamer & Darrell 2015, arXiv:1411.4038).

The classifier's dense layers become convolutions, so that it gives a coarse map of scores. FCN-32s enlarges that map to
the picture; FCN-16s and FCN-8s first add the scores that 1×1 convolutions make of finer stages (figure 3, section 4.2):

    FCN-32s  scores at stride 32                                    × 32
    FCN-16s  scores at stride 32  × 2  + scores at stride 16        × 16
    FCN-8s   scores at stride 32  × 2  + scores at stride 16  × 2  + scores at stride 8   × 8

VGG-16 is tapped where the paper does, at pool3, pool4 and fc7; any other trunk at its last stage of each stride, and
one that ends at stride 16 (SqueezeNet) goes on with a pool and a 3×3 convolution, as VGG does with pool5 and fc6.
Departures: the paper pads the picture by 100 pixels of zeros, we pad fc6 by 3; where a map ends before its picture
does, its last scores go on.
"""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.errors import UsageError
from legato.layers.conv import ConvRelu
from legato.layers.convolutional import to_convolutional
from legato.layers.stages import stages, walk
from legato.layers.tracing import on_meta, tracing

PUBLISHED = {4: "pool2", 8: "pool3", 16: "pool4"}  # figure 3, of VGG-16, and one finer
STRIDES = {"fcn8s": (8, 16, 32), "fcn16s": (16, 32), "fcn32s": (32,)}


class Place(NamedTuple):
    """What a stage's map is, seen from the picture: position i looks `reach` pixels around centre + i · stride."""

    channels: int
    stride: int
    centre: float
    reach: float


PIXELS = Place(0, 1, 0.0, 0.0)  # the picture itself


class FCN(nn.Module):
    """Scores of tapped stages, from coarse to fine: each enlarged to the next and added, the last to the picture."""

    def __init__(self, trunk: nn.Sequential, taps: Sequence[str], classes: int, channels: int = 3) -> None:
        super().__init__()
        where = places(trunk, channels)
        names = list(where)
        self.taps = sorted(taps, key=names.index)  # fine to coarse, as the picture meets them
        self.trunk = stages(**{name: trunk.get_submodule(name) for name in names[: names.index(self.taps[-1]) + 1]})
        self.scores = nn.ModuleDict({tap: scoring(where[tap].channels, classes) for tap in self.taps})
        steps = zip(self.taps[1:], self.taps)
        self.enlarge = nn.ModuleDict({tap: Enlarge(classes, where[tap], where[onto]) for tap, onto in steps})
        self.finest = where[self.taps[0]]
        self.reach = ceil(max(where[tap].reach + 2 * where[tap].stride for tap in self.taps))  # pixels beside its own

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """Pictures → scores of each class at each pixel."""
        return interpolated(self.coarse(x), self.finest, *x.shape[-2:])

    def coarse(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k _h _w"]:
        """The same at the places of the finest stage that is tapped."""
        seen = walk(self.trunk, x, self.taps)
        *finer, coarsest = self.taps
        scores = self.scores[coarsest](seen[coarsest])
        for tap, onto in zip(reversed(self.taps), reversed(finer)):
            scores = self.scores[onto](seen[onto]) + self.enlarge[tap](scores, *seen[onto].shape[-2:])
        return scores


class Enlarge(nn.Module):
    """A map on the places of a finer one, by a transposed convolution that begins as bilinear and may learn better.

    Position i of the coarse map looks at the same pixels as position `shift` + i · `factor` of the fine one.
    """

    def __init__(self, classes: int, coarse: Place, fine: Place) -> None:
        super().__init__()
        self.factor = coarse.stride // fine.stride
        halves = round(2 * (coarse.centre - fine.centre) / fine.stride)  # maps lie on whole or on half places
        self.shift, self.size = halves / 2, 2 * self.factor - 1 + halves % 2
        tent = 1 - (torch.arange(self.size) - (self.size - 1) / 2).abs() / self.factor
        self.kernel = nn.Parameter(torch.eye(classes)[..., None, None] * tent.outer(tent))

    def forward(
        self, scores: Float[Tensor, "b k h w"], height: int, width: int
    ) -> Float[Tensor, "b k {height} {width}"]:
        lacking = max(beyond(n, m, self.factor, self.shift) for n, m in zip(scores.shape[-2:], (height, width)))
        padded = F.pad(scores, (lacking,) * 4, mode="replicate")
        stamped = F.conv_transpose2d(padded, self.kernel, stride=self.factor)
        first = round((self.size - 1) / 2 + lacking * self.factor - self.shift)
        return stamped[..., first : first + height, first : first + width]


def beyond(coarse: int, fine: int, factor: int, shift: float) -> int:
    """Positions that a map of length `coarse` lacks on either side to say something of all `fine` places."""
    return max(ceil(shift / factor), ceil((fine - 1 - shift) / factor) - (coarse - 1), 0)


def interpolated(
    scores: Float[Tensor, "b k h w"], place: Place, height: int, width: int
) -> Float[Tensor, "b k {height} {width}"]:
    """A map at `place`, bilinear at every pixel: the last enlargement, which learns nothing (section 4.2)."""
    down, across = (tents(n, m, place).to(scores) for n, m in zip(scores.shape[-2:], (height, width)))
    return down @ scores @ across.T


def tents(coarse: int, fine: int, place: Place) -> Float[Tensor, "{fine} {coarse}"]:
    """How much each of `coarse` positions counts at each of `fine` pixels; beyond the last one, it alone."""
    at = ((torch.arange(fine) - place.centre) / place.stride).clamp(0, coarse - 1)
    return (1 - (at[:, None] - torch.arange(coarse)).abs()).clamp(min=0)


def scoring(inputs: int, classes: int) -> nn.Conv2d:
    """A 1×1 convolution that begins at zero: at first a finer stage says nothing (section 4.2)."""
    layer = nn.Conv2d(inputs, classes, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def fully_convolutional(classifier: nn.Sequential, shape: tuple[int, int, int], stride: int = 32) -> nn.Sequential:
    """A classifier of pictures of this shape without its last layer, every stage making a map: the trunk of an FCN.

    Weights are shared with the classifier. Raises UsageError where it cannot slide.
    """
    named = dict(to_convolutional(classifier, shape).net.named_children())
    names = list(named)
    weighted = [name for name in names if any(True for _ in named[name].parameters())]
    pooled = [name for name in names if isinstance(named[name], nn.AvgPool2d) and named[name].stride in (1, (1, 1))]
    end = min(names.index(name) for name in (weighted[-1], *pooled[:1]))
    dense = {name.replace(".", "_") for name, layer in classifier.named_modules() if isinstance(layer, nn.Linear)}
    trunk = stages(**{name: slid(named[name]) if name in dense else named[name] for name in names[:end]})
    last = list(places(trunk, shape[0]).values())[-1]
    while last.stride < stride:
        trunk.add_module(f"pool{2 * last.stride}", nn.MaxPool2d(3, 2, ceil_mode=True))
        trunk.add_module(f"conv{2 * last.stride}", ConvRelu(last.channels, last.channels, 3))
        last = list(places(trunk, shape[0]).values())[-1]
    return trunk


def slid(stage: nn.Module) -> nn.Module:
    """fc6, once a dense layer over a whole map, padded so that it has a position for each of the map's."""
    if isinstance(stage, nn.Conv2d):
        stage.padding = (stage.kernel_size[0] // 2, stage.kernel_size[1] // 2)
    return stage


def places(trunk: nn.Sequential, channels: int, side: int = 256) -> dict[str, Place]:
    """Of each stage that makes a map: what it sees, traced through a picture without computing it."""
    found = {}
    with tracing(trunk) as trace:
        x = trace.picture((channels, side, side))
        for name, stage in trunk.named_children():
            x = on_meta(stage, x)
            if (reaches := trace.reaches(x)) is None or x.dim() != 4:
                break
            first, last = reaches[0].at(0)
            found[name] = Place(x.shape[1], reaches[0].advance, (first + last) / 2, (last - first) / 2)
    return found


def taps_of(trunk: nn.Sequential, strides: Sequence[int], channels: int = 3) -> list[str]:
    """The stage to tap at each of these strides, fine to coarse. Raises UsageError where there is none."""
    where = places(trunk, channels)
    last = {place.stride: name for name, place in where.items()}
    if missing := [stride for stride in strides if stride not in last]:
        raise UsageError(f"the trunk has no stage of stride {missing[0]}: its strides are {', '.join(map(str, last))}")
    as_published = PUBLISHED if {"pool3", "pool4", "pool5"} <= set(where) else {}
    return [as_published.get(stride, last[stride]) for stride in strides]


def fcn(name: str, trunk: nn.Sequential, classes: int, channels: int = 3) -> FCN:
    """`fcn8s`, `fcn16s` or `fcn32s` on a trunk that reaches stride 32."""
    return FCN(trunk, taps_of(trunk, STRIDES[name], channels), classes, channels)
