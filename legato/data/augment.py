"""Variations of training pictures, a batch at a time; each drawn by its example's own numbers, whatever batch it is in.

All that moves pixels is one map from places of the result to places of the source. Whole pixels are taken as they are;
anything else is a single bilinear sampling.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log, pi, radians, sqrt

import torch
from jaxtyping import Float, Int64, UInt8
from scipy.special import betaincinv
from torch import Tensor
from torch.nn import functional as F

from legato.draws import Draws
from legato.errors import UsageError, nearest

Floats = Float[Tensor, "b c h w"]
Batch = UInt8[Tensor, "b c h w"] | Floats

RECIPES = {
    "affine": "shift2,scale10,squeeze10,shear10",  # LeCun et al. 1998, section III.B, on 28 × 28 digits
    "alexnet": "crop,flip,colour",  # Krizhevsky et al. 2012, section 4.1
    "inception": "zoom,flip",  # Szegedy et al. 2014, section 6
    "cifar": "shift4,flip",  # He et al. 2015, section 4.2
}
USUAL = {
    "flip": 50, "updown": 50, "shift": 4, "crop": 100 * 32 / 224, "zoom": 8, "rotate": 15, "scale": 10, "squeeze": 10,
    "shear": 10, "elastic": 34, "colour": 10, "light": 20, "cutout": 8, "mixup": 0.2,
}  # fmt: skip
SIGMA = 4  # of an elastic field, in pixels of 29
SPLINE_ENERGY = 151 / 315  # ∫B², the variance a cubic B-spline leaves of noise


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a picture, and how much; 0 is never. Written `flip,shift4,rotate15`: a name, a number."""

    flip: float = 0
    """Left and right exchanged, in so many of 100 pictures."""
    updown: float = 0
    """Top and bottom exchanged, in so many of 100 pictures: for what is seen from above, or through a microscope."""
    shift: float = 0
    """Moved by up to so many whole pixels, black coming in."""
    crop: float = 0
    """A random square of pictures loaded so many % larger: 14.3 is 224 of 256 (Krizhevsky et al. 2012, section 4.1)."""
    zoom: float = 0
    """A random rectangle of so many to 100 % of the area, sides 3:4 to 4:3 (Szegedy et al. 2014, section 6)."""
    rotate: float = 0
    """Turned by up to so many degrees."""
    scale: float = 0
    """Larger or smaller by up to so many %."""
    squeeze: float = 0
    """Wider by up to so many % and lower by as much, or the reverse (LeCun et al. 1998, section III.B)."""
    shear: float = 0
    """Rows pushed sideways by up to so many % of their distance from the middle (the same)."""
    elastic: float = 0
    """α of a smooth random field of displacements with σ = 4, on 29 × 29 pixels (Simard et al. 2003, section 2)."""
    colour: float = 0
    """Along the set's principal colours, a standard deviation of so many % of each (Krizhevsky et al. 2012)."""
    light: float = 0
    """Contrast and brightness more or less by up to so many %."""
    cutout: float = 0
    """A square of so many pixels a side, anywhere, takes the picture's mean (DeVries & Taylor 2017)."""
    mixup: float = 0
    """α of `mixup`, the mixing of two examples (Zhang et al. 2017)."""

    def load_size(self, size: int) -> int:
        """How large a picture must be for a result of `size`: 256 for 224 where it is cropped."""
        return round(size * (1 + (self.crop or (USUAL["crop"] if self.zoom else 0)) / 100))

    def apply(
        self, images: Batch, draws: Draws, size: int, axes: Float[Tensor, "c c"] | None = None
    ) -> Float[Tensor, "b c {size} {size}"]:
        """Pictures of `load_size(size)` or so, bytes or in [0, 1] → varied, in [0, 1]. Mixing is not done here.

        `axes` are the set's `colour_axes`, asked for where colours vary.
        """
        bends = (self.zoom, self.rotate, self.scale, self.squeeze, self.shear, self.elastic)
        images = (sampled if any(bends) else gathered)(self, images, draws, size)
        if self.colour:
            if axes is None:
                raise ValueError("colours vary along the colour_axes of the training set: give them")
            images = recoloured(images, draws, self.colour / 100, axes)
        if self.light:
            images = lit(images, draws, self.light / 100)
        return cut_out(images, draws, round(self.cutout)) if self.cutout else images


def parse(spec: str) -> Augmentation:
    """`flip,shift4,rotate15` or a recipe's name; a name without a number has its usual one. `none` or nothing: nothing.

    Raises UsageError.
    """
    values: dict[str, float] = {}
    words = [word.strip() for word in spec.split(",") if word.strip() not in ("", "none")]
    for word in ",".join(RECIPES.get(word, word) for word in words).split(",") if words else []:
        name, number = split_number(word)
        if name not in USUAL:
            raise UsageError(f"no augmentation called {word!r}{nearest(name, [*USUAL, *RECIPES])}")
        values[name] = float(number or USUAL[name])
    if values.get("crop") and values.get("zoom"):
        raise UsageError(f"augmentation {spec!r}: crop and zoom both choose a part of the picture; take one of them")
    return Augmentation(**values)


def split_number(word: str) -> tuple[str, str]:
    """`shift4` → (shift, 4)."""
    found = re.fullmatch(r"([a-z]*)(\d*\.?\d*)", word)
    return (found[1], found[2]) if found else (word, "")


def as_floats(images: Batch) -> Floats:
    """In [0, 1]."""
    return images if images.is_floating_point() else images.to(torch.float32).div_(255)


def middle(images: Batch, size: int) -> Float[Tensor, "b c {size} {size}"]:
    """What `apply` varies: the middle of the pictures, in [0, 1]. For evaluation."""
    height, width = images.shape[2:]
    top, left = (height - size) // 2, (width - size) // 2
    return as_floats(images[:, :, top : top + size, left : left + size])


def gathered(how: Augmentation, images: Batch, draws: Draws, size: int) -> Float[Tensor, "b c {size} {size}"]:
    """Cropped, shifted and flipped: whole pixels, exactly as they were."""
    border = int(how.shift)
    padded = F.pad(images, (border,) * 4) if border else images
    height, width = images.shape[2:]
    top, left = (corner(how, draws, height, width, size) + border).to(images.device).unbind(1)
    windows = padded.unfold(2, size, 1).unfold(3, size, 1)  # (b, c, tops, lefts, size, size), a view
    chosen = windows[torch.arange(len(images), device=images.device), :, top, left]
    if how.flip:
        mirrored = (draws.uniform("flip") < how.flip / 100).to(images.device)
        chosen = torch.where(mirrored[:, None, None, None], chosen.flip(-1), chosen)
    if how.updown:
        mirrored = (draws.uniform("updown") < how.updown / 100).to(images.device)
        chosen = torch.where(mirrored[:, None, None, None], chosen.flip(-2), chosen)
    return as_floats(chosen)


def sampled(how: Augmentation, images: Batch, draws: Draws, size: int) -> Float[Tensor, "b c {size} {size}"]:
    """Any map from the result's places to the source's; black outside."""
    height, width = images.shape[2:]
    M, t = (part.to(images.device) for part in source(how, draws, height, width, size))
    grid = M.new_empty(len(images), size, size, 2)  # x and y, -1 to 1 from edge to edge
    x = torch.arange(size, device=images.device) - (size - 1) / 2
    for axis, side in enumerate((width, height)):
        across, down = M[:, axis, :1] * x + t[:, axis, None], M[:, axis, 1:] * x
        torch.add(across[:, None, :], down[:, :, None], out=grid[..., axis]).mul_(2 / side)
    if how.elastic:
        grid += displacements(how.elastic, draws, size).to(images.device) * (2 / grid.new_tensor([width, height]))
    return F.grid_sample(as_floats(images), grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def corner(how: Augmentation, draws: Draws, height: int, width: int, size: int) -> Int64[Tensor, "b 2"]:
    """Top and left of the square of source pixels that is seen: in the middle, unless cropped or shifted."""
    spare = torch.tensor([height - size, width - size])
    if spare.min() < 0:
        raise ValueError(f"pictures of {height} × {width} are too small for {size}: load them at `load_size`")
    place = (draws.uniform("crop", 2) * (spare + 1)).long() if how.crop else (spare // 2).expand(len(draws), 2)
    most = int(how.shift)
    return place + most - draws.integers("shift", 2 * most + 1, 2) if most else place


def source(
    how: Augmentation, draws: Draws, height: int, width: int, size: int
) -> tuple[Float[Tensor, "b 2 2"], Float[Tensor, "b 2"]]:
    """M and t of x_source = M x + t: pixels, x before y, each measured from the middle of its picture."""
    M = matrix(how, draws)
    t = corner(how, draws, height, width, size).flip(1) - torch.tensor([width - size, height - size]) / 2
    if how.zoom:
        sides, off = rectangle(how.zoom / 100, draws, height, width)
        return M * (sides / size)[:, None], t + off
    return M, t


def matrix(how: Augmentation, draws: Draws) -> Float[Tensor, "b 2 2"]:
    """Flipped, stretched, sheared, then turned."""
    θ = radians(how.rotate) * symmetric(draws, "rotate")
    k = how.shear / 100 * symmetric(draws, "shear")
    s = 1 + how.scale / 100 * symmetric(draws, "scale")
    q = 1 + how.squeeze / 100 * symmetric(draws, "squeeze")
    f, g = (
        torch.where(draws.uniform(n) < share / 100, -1.0, 1.0)
        for n, share in (("flip", how.flip), ("updown", how.updown))
    )
    sx, sy = f / (s * q), g * q / s
    cos, sin = θ.cos(), θ.sin()
    return torch.stack([cos * sx, (cos * k - sin) * sy, sin * sx, (sin * k + cos) * sy], 1).view(-1, 2, 2)


def symmetric(draws: Draws, name: str, *shape: int) -> Float[Tensor, "b ..."]:
    """Uniform in [-1, 1)."""
    return 2 * draws.uniform(name, *shape) - 1


def rectangle(least: float, draws: Draws, height: int, width: int) -> tuple[Float[Tensor, "b 2"], Float[Tensor, "b 2"]]:
    """Width and height of a part of the picture with `least` to 1 of its area, and where its middle is."""
    area, aspect, *place = draws.uniform("zoom", 4).unbind(1)
    area, aspect = (least + (1 - least) * area) * height * width, (log(4 / 3) * (2 * aspect - 1)).exp()
    full = torch.tensor([width, height])
    sides = torch.stack([(area * aspect).sqrt(), (area / aspect).sqrt()], 1).minimum(full)
    return sides, (torch.stack(place, 1) - 0.5) * (full - sides)


def displacements(alpha: float, draws: Draws, size: int) -> Float[Tensor, "b {size} {size} 2"]:
    """Simard et al.'s field, in pixels: on 29 × 29, noise on every pixel, smoothed by a Gaussian of σ = 4, times α.

    Here a cubic B-spline through noise σ√3 apart: the same smoothness and deviation, with a tenth of the draws.
    """
    B = splines(size)
    noise = symmetric(draws, "elastic", 2, B.shape[1], B.shape[1])
    field = (noise @ B.T).transpose(-1, -2) @ B.T
    deviation = alpha * size / 29 / (2 * sqrt(pi) * SIGMA)  # of Gaussian-smoothed noise, that of noise being 1
    return (field * (deviation / SPLINE_ENERGY)).permute(0, 2, 3, 1)


@lru_cache
def splines(size: int) -> Float[Tensor, "{size} m"]:
    """The cubic B-splines at the pixels; their second moment is a third of their distance squared."""
    apart = SIGMA * sqrt(3) * size / 29
    x = (torch.arange(size)[:, None] + 0.5) / apart - torch.arange(-1, ceil(size / apart) + 2)
    a = x.abs()
    return torch.where(a < 1, 2 / 3 - a**2 + a**3 / 2, (2 - a).clamp(min=0) ** 3 / 6)


def colour_axes(images: UInt8[Tensor, "n c h w"], pixels: int = 4_000_000) -> Float[Tensor, "c c"]:
    """The principal colours of a set, in [0, 1]: eigenvectors of the pixels' covariance as columns, times eigenvalues.

    Krizhevsky et al. 2012, section 4.1: [p₁ p₂ p₃] diag(λ₁ λ₂ λ₃). About so many `pixels` are looked at, from all over.
    """
    channels = images.shape[1]
    seen = as_floats(images[:: max(1, images.numel() // channels // pixels)]).transpose(0, 1).flatten(1)
    values, vectors = torch.linalg.eigh(seen.cov().view(channels, channels))
    return vectors * values.clamp(min=0)


def recoloured(images: Floats, draws: Draws, deviation: float, axes: Float[Tensor, "c c"]) -> Floats:
    """I + [p₁ p₂ p₃] [α₁λ₁ α₂λ₂ α₃λ₃]ᵀ, α normal with this deviation, one of each a picture."""
    α = deviation * draws.normal("colour", axes.shape[1])
    return (images + (α @ axes.T).to(images.device)[:, :, None, None]).clamp_(0, 1)


def lit(images: Floats, draws: Draws, share: float) -> Floats:
    """c (I − m) + b m, with m the mean of the picture, and c and b even in 1 ± share."""
    c, b = (1 + share * (2 * draws.uniform("light", 2) - 1)).to(images.device)[:, :, None, None, None].unbind(1)
    m = images.mean((1, 2, 3), keepdim=True)
    return (c * (images - m) + b * m).clamp_(0, 1)


def cut_out(images: Floats, draws: Draws, side: int) -> Floats:
    """A square around any pixel, cut at the edges, takes the mean of its picture."""
    size = images.shape[-1]
    first = (draws.integers("cutout", size, 2) - side // 2).to(images.device)
    from_first = torch.arange(size, device=images.device) - first[:, :, None]  # (b, 2, size)
    rows, columns = ((from_first >= 0) & (from_first < side)).unbind(1)
    return torch.where((rows[:, :, None] & columns[:, None])[:, None], images.mean((2, 3), keepdim=True), images)


def mixup(draws: Draws, count: int, alpha: float = 0.2) -> tuple[Int64[Tensor, "b"], Float[Tensor, "b"]]:
    """For each example another of `count`, and the weight in [0, 1] that the first keeps: Beta(α, α).

    Zhang et al. 2017, "mixup: Beyond empirical risk minimization", equation 2.
    """
    weights = betaincinv(alpha, alpha, draws.uniform("weight").double().numpy())
    return draws.integers("partner", count), torch.from_numpy(weights).float()


def mix(a: Float[Tensor, "b *n"], b: Float[Tensor, "b *n"], weights: Float[Tensor, "b"]) -> Float[Tensor, "b *n"]:
    """λ a + (1 − λ) b, an example at a time: pictures, and targets as shares of the classes."""
    λ = weights.to(a.device).view(-1, *[1] * (a.dim() - 1))
    return λ * a + (1 - λ) * b
