"""One picture in the manner of others (Gatys, Ecker & Bethge 2016, "Image style transfer using convolutional neural
networks", CVPR; arXiv:1508.06576), where a mask says and as much as weights say (Gatys et al. 2017, arXiv:1611.07865).

    loss = α ‖F − P‖² / ‖P‖² + Σᵢ wᵢ meanₗ ‖Gₗ − Aᵢₗ‖² / ‖Aᵢₗ‖² + β · roughness

F, P: maps of the picture and of the content at one stage. G, A: Gram matrices of the picture and of painting i at stage
l. The papers' terms, but each divided by the size of its aim: so the same weights do for any network and any stage.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from legato.errors import UsageError
from legato.synthesis.features import Features
from legato.synthesis.tiles import Maps, Place, Tile, gathered, gradient, lay, summed

Optimizer = Literal["lbfgs", "adam"]
HISTORY = 20  # steps that L-BFGS remembers: 50 and 100 end no lower here, and take as many pictures of memory
NO_TILES = 2**31  # pixels: a core that no picture exceeds
NOTHING: Callable[..., None] = lambda *_: None


@dataclass(frozen=True)
class Manner:
    """What makes two pictures alike in content and in style, and how that is sought."""

    stages: tuple[str, ...]  # whose Gram matrices are the style
    content: str  # the stage whose maps are the content
    likeness: float = 0.05  # α: more keeps more of the content
    smoothness: float = 2.0  # β
    steps: int = 200  # gradients to compute
    optimizer: Optimizer = "lbfgs"
    rate: float = 0.02  # of Adam, pixels in [0, 1]


@dataclass(frozen=True)
class Painting:
    """A picture whose manner is taken over."""

    pixels: Float[Tensor, "1 c h w"]
    weight: float = 1.0  # beside other paintings
    inside: Float[Tensor, "h w"] | None = None  # the part of it to learn from; None: all
    onto: Float[Tensor, "_h _w"] | None = None  # the part of the content to paint; None: all


class Losses(NamedTuple):
    """The terms of the loss, weighed: their sum is what falls."""

    content: float
    style: float
    roughness: float


class Styled(NamedTuple):
    """The picture, in [0, 1], and the losses at each gradient that was computed."""

    pixels: Tensor
    losses: list[Losses]


class Gram(torch.autograd.Function):
    """(n, c) → (c, c): mᵀm, whose gradient is one matrix product where autograd would take two."""

    @staticmethod
    def forward(ctx: Any, m: Tensor) -> Tensor:
        ctx.save_for_backward(m)
        return m.T @ m

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (m,) = ctx.saved_tensors
        return m @ (slope + slope.T)


def gram(maps: Float[Tensor, "1 c h w"], guide: Float[Tensor, "h w"] | None = None) -> Float[Tensor, "c c"]:
    """Σ over places of T² F Fᵀ, T the guide (2017, equation 4); divide by Σ T², without one by their number."""
    m = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])  # no copy of maps that lie channels last
    m = m if guide is None else m * guide.reshape(-1, 1)
    result: Tensor = Gram.apply(m)
    return result


class Guide:
    """A mask as every stage sees it: its mean over what a place stands for."""

    def __init__(self, mask: Float[Tensor, "h w"] | None, sizes: dict[str, tuple[int, int]]) -> None:
        shrunk = (
            {} if mask is None else {n: F.interpolate(mask[None, None], s, mode="area")[0, 0] for n, s in sizes.items()}
        )
        self.at = shrunk
        self.weight = {n: float(shrunk[n].square().sum()) if n in shrunk else s[0] * s[1] for n, s in sizes.items()}
        if not all(self.weight.values()):
            raise UsageError("a mask is black everywhere: nothing to paint, or to learn from; white is what counts")

    def gram(self, stage: str, maps: Tensor, place: Place) -> Tensor:
        """Of a tile's own places, its share of the whole Gram matrix."""
        return gram(maps, self.at[stage][place] if self.at else None) / self.weight[stage]


def grams(features: Features, stages: Sequence[str], painting: Painting, core: int) -> dict[str, Tensor]:
    """The Gram matrices of a painting: its style."""
    height, width = painting.pixels.shape[2:]
    sizes = {name: here.size for name, here in features.maps(height, width).items()}
    guide = Guide(painting.inside, sizes)

    def statistics(maps: Maps, places: Any) -> dict[str, Tensor]:
        return {name: guide.gram(name, maps[name], places[name]) for name in stages}

    return summed(features, statistics, painting.pixels, lay(features, height, width, core))


class Objective:
    """The loss of a picture, as a function of sums over the places of its maps."""

    def __init__(
        self, features: Features, content: Tensor, paintings: Sequence[Painting], how: Manner, tiles: list[Tile]
    ) -> None:
        self.features, self.how, self.tiles = features, how, tiles
        height, width = content.shape[2:]
        sizes = {name: here.size for name, here in features.maps(height, width).items()}
        core = max(max(tile.size) for tile in tiles) if len(tiles) > 1 else NO_TILES
        self.guides = [Guide(painting.onto, sizes) for painting in paintings]
        self.aims = [grams(features, how.stages, painting, core) for painting in paintings]
        total = sum(painting.weight for painting in paintings)
        self.shares = [painting.weight / total for painting in paintings]
        self.content = gathered(features, content, tiles)[how.content] if how.likeness else None
        self.painted = covered(paintings)
        self.losses: list[Losses] = []

    def statistics(self, maps: Maps, places: Any) -> dict[str, Tensor]:
        """A tile's share of the Gram matrices of each region, and of the distance to the content."""
        sums, how = {}, self.how
        for region, guide in enumerate(self.guides):
            if region and not guide.at and not self.guides[0].at:
                continue  # the whole picture again
            for name in how.stages:
                sums[f"{name}/{region}"] = guide.gram(name, maps[name], places[name])
        if self.content is not None:
            aim = self.content[(..., *places[how.content])]
            sums["content"] = (maps[how.content] - aim).square().sum() / self.content.square().sum()
        return sums

    def terms(self, sums: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Content and style, weighed."""
        style = torch.stack(
            [
                share
                * (sums.get(f"{name}/{region}", sums[f"{name}/0"]) - aim[name]).square().sum()
                / aim[name].square().sum()
                for region, (share, aim) in enumerate(zip(self.shares, self.aims))
                for name in self.how.stages
            ]
        ).sum() / len(self.how.stages)
        return self.how.likeness * sums.get("content", torch.zeros_like(style)), style

    def __call__(self, x: Float[Tensor, "1 c h w"]) -> tuple[Float[Tensor, ""], Float[Tensor, "1 c h w"]]:
        """The loss of a picture and its gradient."""
        now: list[Tensor] = []

        def loss(sums: dict[str, Tensor]) -> Tensor:
            now[:] = self.terms(sums)
            return now[0] + now[1]

        value, slope = gradient(self.features, self.statistics, loss, x, self.tiles)
        rough, rough_slope = roughness(x, self.how.smoothness)
        self.losses.append(Losses(float(now[0].detach()), float(now[1].detach()), float(rough)))
        slope = slope + rough_slope
        return value + rough, slope if self.painted is None else slope * self.painted


def roughness(x: Tensor, smoothness: float) -> tuple[Tensor, Tensor]:
    """Mean squared difference of neighbours, and how far pixels are out of [0, 1]; and their gradient."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        across, down = (x.diff(dim=dim).square().mean() for dim in (2, 3))
        value = smoothness * (across + down) + (x - x.clamp(0, 1)).square().mean()
    return value.detach(), torch.autograd.grad(value, x)[0]


def covered(paintings: Sequence[Painting]) -> Tensor | None:
    """1 where a painting is to be seen, 0 where the content is to stay; None: everywhere."""
    masks = [painting.onto for painting in paintings if painting.onto is not None]
    return (torch.stack(masks).amax(dim=0) > 0).float() if len(masks) == len(paintings) else None


def transfer(
    features: Features,
    content: Float[Tensor, "1 c h w"],
    paintings: Sequence[Painting],
    how: Manner,
    tiles: list[Tile] | None = None,
    start: Tensor | None = None,
    seen: Callable[[int, Tensor, Losses], None] = NOTHING,
) -> Styled:
    """The content in the manner of the paintings, pixels in [0, 1].

    `features` hold the stages of `how`; `tiles` of the content's size, None: in one piece. Begins with `start`, or with
    the content. `seen(step, pixels, losses)` is called at each gradient. Raises UsageError for masks that are empty.
    """
    tiles = tiles or lay(features, content.shape[2], content.shape[3], max(content.shape))
    objective = Objective(features, content, paintings, how, tiles)
    x = (content if start is None else start).clone().contiguous().requires_grad_()

    def closure() -> float:
        value, slope = objective(x.detach())
        x.grad = slope.contiguous()
        seen(len(objective.losses), x.detach().clamp(0, 1), objective.losses[-1])
        return float(value)

    if how.optimizer == "adam":
        adam = torch.optim.Adam([x], lr=how.rate)
        for _ in range(how.steps):
            adam.step(closure)
    else:
        torch.optim.LBFGS(
            [x],
            max_iter=how.steps,
            max_eval=how.steps,
            history_size=HISTORY,
            tolerance_grad=0,
            tolerance_change=0,
            line_search_fn="strong_wolfe",
        ).step(closure)
    return Styled(x.detach().clamp(0, 1), objective.losses)


def held_bytes(content: Tensor, how: Manner) -> int:
    """What the optimiser holds beside the network: pictures of the size of the content."""
    pictures = 2 * HISTORY + 10 if how.optimizer == "lbfgs" else 8
    return pictures * content.numel() * content.element_size()
