"""Large pictures in tiles, without seams: what is summed over all places of the maps is summed tile by tile, exactly.

A loss that depends on a picture through such sums alone (Gram matrices, squared distances) has the same gradient by
tiles as in one piece: a first pass adds up the sums, the loss says how it changes with each of them, a second pass
takes that to the pixels of each tile. A tile's own places are those of its part of the picture; around them it is given
all pixels that they see, so that they are computed as they would be in one piece.
"""

from collections.abc import Callable, Mapping
from math import ceil, inf, lcm
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call

from legato.device import GIB
from legato.errors import UsageError
from legato.synthesis.features import Features, Map

Place = tuple[slice, slice]  # rows and columns of a map
Maps = Mapping[str, Tensor]
Statistics = Callable[[Maps, Mapping[str, Place]], dict[str, Tensor]]  # (a tile's own maps, where they lie) → sums
LEAST = 64  # pixels of a tile's side, at least: smaller ones are nearly all surroundings


class Span(NamedTuple):
    """Along one axis: the pixels a tile is given; of each map, the places that are its own, in the tile and in all."""

    pixels: slice
    own: dict[str, slice]
    whole: dict[str, slice]


class Tile(NamedTuple):
    """Part of a picture with its surroundings, and of each map the places that are its own."""

    rows: Span
    columns: Span

    @property
    def size(self) -> tuple[int, int]:
        """Pixels it is given, down and across."""
        rows, columns = self.rows.pixels, self.columns.pixels
        return rows.stop - rows.start, columns.stop - columns.start

    @property
    def places(self) -> dict[str, Place]:
        """Where its own places lie in the maps of the whole picture."""
        return {name: (self.rows.whole[name], self.columns.whole[name]) for name in self.rows.whole}

    def cut(self, x: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 c _h _w"]:
        """The pixels it is given."""
        return x[..., self.rows.pixels, self.columns.pixels]

    def own(self, maps: Maps) -> dict[str, Tensor]:
        """Of the maps of those pixels the places that are its own."""
        return {name: part(y, self.rows.own[name], self.columns.own[name]) for name, y in maps.items()}


def part(y: Tensor, rows: slice, columns: slice) -> Tensor:
    """y[..., rows, columns]; all of it as it is, for the way back through a slice fills a map with zeros first."""
    whole = (rows, columns) == (slice(0, y.shape[-2]), slice(0, y.shape[-1]))
    return y if whole else y[..., rows, columns]


def lay(features: Features, height: int, width: int, core: int) -> list[Tile]:
    """Tiles of about core × core pixels that cover a picture, each with its surroundings.

    Raises UsageError where a map has several times as many places as the picture has pixels between its strides, or
    sees the whole picture at once: then there is no part of the picture that is enough.
    """
    maps = features.maps(height, width)
    if core >= max(height, width):
        return [Tile(alone(maps, 0, height), alone(maps, 1, width))]
    return [Tile(r, c) for r in spans(maps, 0, height, core) for c in spans(maps, 1, width, core)]


def alone(maps: Mapping[str, Map], axis: int, length: int) -> Span:
    """The whole axis in one tile."""
    all_of = {name: slice(0, here.size[axis]) for name, here in maps.items()}
    return Span(slice(0, length), all_of, all_of)


def spans(maps: Mapping[str, Map], axis: int, length: int, core: int) -> list[Span]:
    """One axis cut into tiles of equal cores, multiples of every stride, so that maps lie as in one piece."""
    for name, here in maps.items():
        if here.reaches[axis].period != 1 or here.reaches[axis].advance < 1:
            raise UsageError(
                f"{name} sees the whole picture at once, or is finer than it: no tiles; leave out --memory"
            )
    grid = lcm(*(here.reaches[axis].advance for here in maps.values()))
    core = max(grid, ceil(length / ceil(length / core) / grid) * grid)
    if core >= length:
        return [alone(maps, axis, length)]
    begins = [*range(0, length - grid + 1, core)]  # what is left over at the end, less than a stride, goes to the last
    return [span(maps, axis, length, grid, *ends) for ends in zip(begins, [*begins[1:], length])]


def span(maps: Mapping[str, Map], axis: int, length: int, grid: int, begin: int, end: int) -> Span:
    """The places of the pixels from `begin` to `end`, and all that they see."""
    whole, first, last = {}, begin, end
    for name, here in maps.items():
        reach, count = here.reaches[axis], here.size[axis]
        places = begin // reach.advance, count if end == length else end // reach.advance
        whole[name] = slice(*(min(place, count) for place in places))
        first, last = min(first, reach.at(places[0])[0]), max(last, reach.at(places[1] - 1)[1] + 1)
    last = min(last, length)
    first = min(first, last - max(here.reaches[axis].size for here in maps.values()))  # every map has a place there
    first = max(0, first // grid * grid)
    own = {}
    for name, s in whole.items():
        before = first // maps[name].reaches[axis].advance
        own[name] = slice(s.start - before, s.stop - before)
    return Span(slice(first, last), own, whole)


# --- sums over all places, and gradients through them


def summed(features: Features, statistics: Statistics, x: Tensor, tiles: list[Tile]) -> dict[str, Tensor]:
    """The sums over all tiles, without gradients."""
    total: dict[str, Tensor] = {}
    with torch.no_grad():
        for tile in tiles:
            for name, value in statistics(tile.own(features(tile.cut(x))), tile.places).items():
                total[name] = total[name] + value if name in total else value
    return total


def gathered(features: Features, x: Tensor, tiles: list[Tile]) -> dict[str, Tensor]:
    """The maps of the whole picture, put together from those of its tiles."""
    whole: dict[str, Tensor] = {}
    with torch.no_grad():
        for tile in tiles:
            for name, part in tile.own(features(tile.cut(x))).items():
                if name not in whole:
                    size = (max(t.places[name][axis].stop for t in tiles) for axis in (0, 1))
                    whole[name] = part.new_empty(1, part.shape[1], *size)
                whole[name][(..., *tile.places[name])] = part
    return whole


def gradient(
    features: Features,
    statistics: Statistics,
    loss: Callable[[dict[str, Tensor]], Tensor],
    x: Float[Tensor, "1 c h w"],
    tiles: list[Tile],
) -> tuple[Float[Tensor, ""], Float[Tensor, "1 c h w"]]:
    """loss(sums over all places) and its gradient with respect to the pixels; one tile at a time is in memory."""
    if len(tiles) == 1:
        x = x.detach().requires_grad_()
        value = loss(statistics(tiles[0].own(features(x)), tiles[0].places))
        return value.detach(), torch.autograd.grad(value, x)[0]
    total = {name: value.requires_grad_() for name, value in summed(features, statistics, x, tiles).items()}
    value = loss(total)
    slopes = dict(zip(total, torch.autograd.grad(value, list(total.values()))))
    whole = torch.zeros_like(x)
    for tile in tiles:
        part = tile.cut(x).detach().requires_grad_()
        sums = statistics(tile.own(features(part)), tile.places)
        (slope,) = torch.autograd.grad(list(sums.values()), part, [slopes[name] for name in sums])
        tile.cut(whole).add_(slope)
    return value.detach(), whole


# --- as large as memory allows


def fitting(features: Features, height: int, width: int, bound: float, held: int) -> list[Tile]:
    """The fewest tiles whose computation stays below `bound` GiB beside `held` bytes; 0: one tile, whatever it takes.

    Raises UsageError that says how many GiB would do, where the smallest tiles do not fit.
    """
    if not bound:
        return lay(features, height, width, max(height, width))
    best, needed = 0, inf
    for count in range(1, ceil(max(height, width) / LEAST) + 1):
        tiles = lay(features, height, width, ceil(max(height, width) / count))
        takes = (held + working_bytes(features, *most(tiles))) / GIB
        if takes <= bound:
            return tiles
        if takes < needed:
            best, needed = len(tiles), takes
    raise UsageError(
        f"--memory {bound:g}: {width} × {height} pixels take at least {ceil(10 * needed) / 10:.1f} GiB, "
        f"in {best} tiles; give that, or a smaller --size"
    )


def most(tiles: list[Tile]) -> tuple[int, int]:
    """Size of the largest tile."""
    return max((tile.size for tile in tiles), key=lambda size: size[0] * size[1])


def working_bytes(features: Features, height: int, width: int) -> int:
    """What a gradient through a picture of this size takes: all that is kept for the way back, and the largest map
    four times over, for gradients and the convolutions' own workspace."""
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    weights = {name: torch.empty_like(t, device="meta") for name, t in features.state_dict(keep_vars=True).items()}
    own = {t.untyped_storage()._cdata for t in weights.values()}
    x = torch.empty(1, features.channels, height, width, device="meta", requires_grad=True)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = functional_call(features, weights, (x,))
    sizes = [t.untyped_storage().nbytes() for key, t in kept.items() if key not in own]
    sizes += [y.numel() * y.element_size() for y in outputs.values()]
    return sum(sizes) + 4 * max(sizes)
