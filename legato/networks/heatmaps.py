"""A map of scores for each joint: how likely it lies at each place (Tompson et al. 2014, arXiv:1406.2984).

The trunk's map of stride 16 is added to that of stride 8, and three convolutions score every joint at every place. A
joint lies somewhere, so the scores of all places are one softmax. It learns by cross-entropy with a bell around the
truth; the answer is the mean place, weighed by the softmax, of the likeliest place and those next to it. (The mean of
all places, which learns without a bell, Sun et al. 2018, arXiv:1711.08229, lies between two places that are likely.)
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.layers.regions.pyramid import EvenScale
from legato.layers.stages import stages
from legato.networks.trunk import Tap, Trunk

STRIDES = (8, 16)  # of the maps that are looked at; the finer one is scored
WIDTH = 96  # channels of what scores
BELL = 1.0  # standard deviation, in places of the map

Points = Float[Tensor, "b k 2"]  # x and y as shares of the picture's sides, 0 to 1
Places = Float[Tensor, "n"]  # where the columns, or rows, of a map stand, as shares of the picture's side


class HeatMaps(nn.Module):
    """Square pictures (b, c, s, s) → the places of k joints (b, k, 2)."""

    def __init__(self, trunk: Trunk, joints: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.lateral = nn.ModuleList(nn.Conv2d(channels, WIDTH, 1) for channels in trunk.channels)
        self.even = EvenScale([WIDTH] * len(STRIDES))
        self.score = stages(
            conv1=nn.Conv2d(WIDTH, WIDTH, 3, padding=1), norm1=nn.GroupNorm(32, WIDTH), relu1=nn.ReLU(),
            conv2=nn.Conv2d(WIDTH, WIDTH, 3, padding=1), norm2=nn.GroupNorm(32, WIDTH), relu2=nn.ReLU(),
            conv3=nn.Conv2d(WIDTH, joints, 1),
        )  # fmt: skip

    def forward(self, x: Float[Tensor, "b c s s"]) -> Points:
        scores = self.scores(x)
        return summits(scores, places(scores.shape[-1], x.shape[-1], self.trunk.taps[0]).to(scores))

    def scores(self, x: Float[Tensor, "b c s s"]) -> Float[Tensor, "b k h h"]:
        """Of each joint at each place; their softmax over places is how likely it lies there."""
        fine, coarse = self.even([lateral(seen) for lateral, seen in zip(self.lateral, self.trunk(x))])
        return self.score(fine + F.interpolate(coarse, fine.shape[2:], mode="nearest")).float()

    def losses(self, x: Float[Tensor, "b c s s"], truth: Points) -> dict[str, Tensor]:
        """The cross-entropy of the maps with bells around the truth, a term for each joint that is known."""
        scores, known = self.scores(x), truth.isfinite().all(dim=-1)
        bells = bell(truth.nan_to_num(0.5), places(scores.shape[-1], x.shape[-1], self.trunk.taps[0]).to(scores))
        terms = -(bells * scores.flatten(2).log_softmax(dim=-1)).sum(dim=-1)
        return {"maps": torch.where(known, terms, 0).sum() / known.sum().clamp(min=1)}


def places(count: int, side: int, tap: Tap) -> Places:
    """Where a map's columns stand over a picture of this side."""
    return ((torch.arange(count) + 0.5) * tap.stride + tap.offset) / side


def bell(points: Points, at: Places) -> Float[Tensor, "b k p"]:
    """A Gaussian around each point over all places of a map, row by row; its terms sum to 1."""
    width = BELL * (at[1] - at[0])
    across, down = (-((at - points[..., i, None]) / width).square() / 2 for i in (0, 1))
    return (down[..., :, None] + across[..., None, :]).flatten(2).softmax(dim=-1)


def summits(scores: Float[Tensor, "b k h h"], at: Places) -> Points:
    """The mean, weighed by softmax, of each map's highest place and the eight around it."""
    order, highest = torch.arange(len(at), device=scores.device), scores.flatten(2).argmax(dim=-1)[..., None, None]
    near = ((order[:, None] - highest // len(at)).abs() <= 1) & ((order - highest % len(at)).abs() <= 1)
    share = torch.where(near, scores, -torch.inf).flatten(2).softmax(dim=-1).view_as(scores)
    return torch.stack([share.sum(dim=-2) @ at, share.sum(dim=-1) @ at], dim=-1)
