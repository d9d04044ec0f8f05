"""From files to a painted picture: sizes, colours, masks and scales around `style.transfer` (Gatys et al. 2017,
"Controlling perceptual factors in neural style transfer", arXiv:1611.07865)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.data.decode import with_channels
from legato.device import Device, peak_memory
from legato.errors import UsageError
from legato.synthesis import colour
from legato.synthesis.features import Features, no_map, pixels, style_stages, trunk
from legato.synthesis.style import NOTHING, Losses, Manner, Optimizer, Painting, held_bytes, transfer
from legato.synthesis.tiles import Tile, fitting
from legato.values import Image

Colour = Literal["style", "luminance", "histogram"]
SMALLEST = 256  # pixels: where a large picture begins. Stages see so far, and not farther (2017, section 6)
FINE = 2  # stages that see brush strokes and nothing larger (2017, section 6: conv1_1 and conv2_1)


@dataclass(frozen=True)
class Wish:
    """How to paint."""

    size: int = 512  # longer side of the result, pixels; 0: the content's own
    style_size: int = 0  # longer side of the paintings, pixels; 0: as the result. Larger: broader strokes
    colour: Colour = "style"  # of the painting; of the content, lightness alone is painted; of the content, roughly
    stages: tuple[str, ...] = ()  # whose Gram matrices are the style; (): by the network
    content: str = ""  # the stage whose maps are the content; "": by the network
    likeness: float = Manner.likeness
    smoothness: float = Manner.smoothness
    steps: int = Manner.steps  # at the smallest size; half as many at each size twice as large
    optimizer: Optimizer = "lbfgs"
    memory: float = 0.0  # GiB this process may take; 0: no bound


class Style(NamedTuple):
    """A painting, and where from and where to."""

    image: Image
    weight: float = 1.0
    inside: Image | None = None
    onto: Image | None = None
    fine: Image | None = None  # another painting, from which the brush strokes are


class Painted(NamedTuple):
    """The picture in [0, 1], the losses at each gradient, and the tiles of its full size."""

    pixels: Float[Tensor, "c h w"]
    losses: list[Losses]
    tiles: list[Tile]


def paint(
    net: nn.Module,
    content: Image,
    styles: Sequence[Style],
    wish: Wish,
    device: Device | None = None,
    seen: Callable[[int, Tensor, Losses], None] = NOTHING,
) -> Painted:
    """The content in the manner of the styles, from small to large: each size begins with the one before, enlarged.

    `seen(step, pixels, losses)` is called at each gradient. Raises UsageError for a stage that is not there, masks that
    do not fit their pictures or are black, a memory bound too small (and says which would do).
    """
    device, held = device or Device(), peak_memory()
    stages, aim = style_stages(net)
    how = Manner(wish.stages or stages, wish.content or aim, wish.likeness, wish.smoothness, wish.steps, wish.optimizer)
    features = Features(net, [*how.stages, how.content], device, averaging=True)
    mapping = trunk(net)
    for name in features.stages:
        if name.partition(".")[0] not in mapping:
            raise no_map(name)
    for style in styles:
        check_mask(style.inside, style.image)
        check_mask(style.onto, content)
    if wish.colour != "style":
        colour.coloured(torch.empty(1, features.channels, 1, 1), f"--colour {wish.colour}")
    whole, losses, result = wish.size or max(content.pixels.shape[1:]), list[Losses](), None
    scales = [
        Scale(features, size, round(size / whole * (wish.style_size or whole)), wish.memory, held)
        for size in sizes(whole)
    ]
    scales[-1].tiles(scales[-1].scaled(content, whole), how)  # complains now rather than in the end
    for k, at in enumerate(scales):
        picture = at.scaled(content, at.size)
        paintings = [at.painting(style, picture, wish.colour, how) for style in styles]
        shown = colour.luminance(picture) if wish.colour == "luminance" else picture
        now = replace(how, steps=max(1, how.steps >> k))
        start = None if result is None else F.interpolate(result.pixels, picture.shape[2:], mode="bicubic")
        tiles, before = at.tiles(shown, now), len(losses)
        tell = lambda step, x, loss, done=before, p=picture: seen(done + step, finished(x, p, wish.colour), loss)
        result = transfer(features, shown, paintings, now, tiles, start, tell)
        losses += result.losses
    assert result is not None
    return Painted(finished(result.pixels, picture, wish.colour)[0].cpu(), losses, tiles)


def sizes(whole: int) -> Iterator[int]:
    """512 → 256, 512; 600 → 300, 600; 300 → 300: halved as long as it stays at least 256."""
    if whole >= 2 * SMALLEST:
        yield from sizes(whole // 2)
    yield whole


def finished(x: Tensor, content: Tensor, kept: Colour) -> Tensor:
    """The painted picture: where lightness alone was painted, with the colours of the content."""
    return colour.with_luminance(content, x) if kept == "luminance" else x


class Scale(NamedTuple):
    """All that is done at one size."""

    features: Features
    size: int  # longer side of the result, pixels
    style_size: int  # of the paintings
    memory: float
    held: int  # bytes that were taken before

    def scaled(self, image: Image, longer: int) -> Float[Tensor, "1 c h w"]:
        """In [0, 1], where the network is."""
        return pixels(image, self.features.channels, longer).to(self.features.device.name)

    def tiles(self, x: Tensor, how: Manner) -> list[Tile]:
        return fitting(self.features, x.shape[2], x.shape[3], self.memory, self.held + held_bytes(x, how))

    def painting(self, style: Style, content: Tensor, kept: Colour, how: Manner) -> Painting:
        """The style as tensors of this size, its colours brought to the content's if that is asked for."""
        image = self.scaled(style.image, self.style_size)
        if style.fine is not None:
            image = self.with_strokes(image, self.scaled(style.fine, self.style_size), how)
        if kept == "luminance":
            image = colour.matched_luminance(colour.luminance(image), colour.luminance(content))
        elif kept == "histogram":
            image = colour.matched_colours(image, content).clamp(0, 1)
        inside = None if style.inside is None else mask(style.inside, image)
        onto = None if style.onto is None else mask(style.onto, content)
        return Painting(image, style.weight, inside, onto)

    def with_strokes(self, coarse: Tensor, fine: Tensor, how: Manner) -> Tensor:
        """The coarse painting with the brush strokes of the fine one: its finest Gram matrices, and no content, for
        that would keep the strokes that are to go (2017, section 6). Colours stay: those matrices hold them, too."""
        if fine.shape[1] == 3:
            fine = colour.matched_colours(fine, coarse).clamp(0, 1)
        strokes = replace(how, stages=how.stages[:FINE], likeness=0.0, steps=max(1, how.steps // 2))
        part = Features(self.features.part, strokes.stages, self.features.device)
        return transfer(
            part, coarse, [Painting(fine)], strokes, self._replace(features=part).tiles(coarse, strokes)
        ).pixels


def mask(image: Image, picture: Tensor) -> Float[Tensor, "h w"]:
    """White 1, black 0, at the size that the mask's picture has now."""
    grey = with_channels(image.pixels, 1)[None].float() / 255
    return F.interpolate(grey.to(picture.device), picture.shape[2:], mode="bilinear", antialias=True)[0, 0].clamp(0, 1)


def check_mask(mask: Image | None, of: Image) -> None:
    """Raises UsageError for a mask that has not a pixel for each of the picture's, or is black."""
    if mask is None:
        return
    (h, w), (height, width) = mask.pixels.shape[1:], of.pixels.shape[1:]
    if (h, w) != (height, width):
        raise UsageError(
            f"{mask.source or 'mask'}: {w} × {h} pixels, and {of.source or 'its picture'} has {width} × {height}; "
            "a mask has a pixel for each of the picture's"
        )
    if not mask.pixels.any():
        raise UsageError(f"{mask.source or 'mask'}: black everywhere; white is what counts")
