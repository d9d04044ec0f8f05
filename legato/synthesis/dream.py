"""A network puts into a picture what it looks for there (Mordvintsev, Olah & Tyka 2015, "Inceptionism: going deeper
into neural networks", Google research blog; their notebook: github.com/google/deepdream).

Climb the gradient of what a stage gives, on the picture rolled by a few pixels at each step (jitter), first small, then
larger and larger (octaves), each octave beginning with the details that the smaller ones have made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.device import Device
from legato.draws import Draws, generator
from legato.errors import UsageError
from legato.layers.convolutional import to_convolutional
from legato.synthesis.features import Features, channels_of, check, dream_stage, pixels, row, trunk
from legato.values import Image

NEAR = 48  # pixels: how far apart things are that grow beside one another
GUIDE = 224  # pixels of the longer side of a guide, at least
NOTHING: Callable[..., None] = lambda *_: None
Measure = Callable[[Tensor], Tensor]  # a map (1, c, h, w) → what is to grow


@dataclass(frozen=True)
class Dreaming:
    """How to dream."""

    octaves: int = 5
    scale: float = 1.4  # from one octave to the next
    steps: int = 16  # in each octave
    jitter: int = 16  # pixels that the picture is rolled by, at most
    strength: float = 1.5  # change of a pixel in a step, about, of 255
    seed: int = 0  # of the jitter, and of the noise that a dream without a picture begins with


FROM_NOISE = Dreaming(octaves=7, strength=2.5)  # where there is nothing yet, more is needed


@dataclass(frozen=True)
class Wish:
    """What to dream of."""

    stage: str = ""  # "": by the network
    channels: tuple[int, ...] = ()  # of that stage; (): all that there is
    guide: Image | None = None  # a picture whose features there are to appear
    size: int = 512  # longer side of the result, pixels; 0: the picture's own, 224 of noise
    how: Dreaming = Dreaming()


def everything(maps: Float[Tensor, "1 c h w"]) -> Float[Tensor, ""]:
    """½ Σ a² / n: whatever is there shall be there more, for its gradient is a itself."""
    return maps.square().mean() / 2


def some(channels: Sequence[int]) -> Measure:
    """The mean of these channels."""
    return lambda maps: maps[:, list(channels)].mean()


def guided(guide: Float[Tensor, "1 c h w"]) -> Measure:
    """Each place grows along that feature of the guide which it resembles most (their dot product)."""
    wanted = guide[0].flatten(1)  # (c, places of the guide)

    def measure(maps: Float[Tensor, "1 c _h _w"]) -> Float[Tensor, ""]:
        here = maps[0].flatten(1)
        return (here.T @ wanted).amax(dim=1).mean()

    return measure


def climb(
    features: Features, stage: str, measure: Measure, x: Float[Tensor, "1 c h w"], how: Dreaming, octave: int = 0
) -> tuple[Float[Tensor, "1 c h w"], list[float]]:
    """One octave: `how.steps` steps up the gradient, each of about the same size everywhere. Pixels stay in [0, 1].

    Gives the picture, and what was measured before each step.
    """
    rolls = Draws(("dream", how.seed, octave), range(how.steps)).integers("jitter", 2 * how.jitter + 1, 2) - how.jitter
    heights = []
    for down, right in rolls.tolist():
        rolled = x.roll((down, right), dims=(2, 3)).requires_grad_()
        height = measure(features(rolled)[stage])
        (slope,) = torch.autograd.grad(height, rolled)
        x = (rolled.detach() + how.strength / 255 * evened(slope)).clamp(0, 1).roll((-down, -right), dims=(2, 3))
        heights.append(float(height.detach()))
    return x, heights


def evened(slope: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 c h w"]:
    """Divided by its mean size nearby: else what is dreamt first outshines all else, and burns out while the rest
    stays empty. Where it is far below the mean of the whole picture it stays small."""
    size = slope.abs().mean(dim=1, keepdim=True)
    height, width = size.shape[2:]
    cells = F.interpolate(size, (max(1, round(height / NEAR)), max(1, round(width / NEAR))), mode="area")
    nearby = F.interpolate(cells, (height, width), mode="bicubic").clamp(min=0)
    return slope / (nearby + 0.1 * size.mean()).clamp(min=1e-20)


def dream(
    features: Features,
    stage: str,
    measure: Measure,
    picture: Float[Tensor, "1 c h w"],
    how: Dreaming,
    seen: Callable[[int, int, Tensor, float], None] = NOTHING,
) -> Float[Tensor, "1 c h w"]:
    """The picture, pixels in [0, 1], dreamt upon; after each octave, `seen(octave, octaves, pixels, height)`."""
    made, sizes = torch.zeros_like(picture), octaves(features, picture.shape[2], picture.shape[3], how)
    for octave, size in enumerate(sizes):
        base = scaled(picture, size)
        x, heights = climb(features, stage, measure, base + scaled(made, size), how, octave)
        made = x - base
        seen(octave, len(sizes), x, heights[-1])
    return x


def octaves(features: Features, height: int, width: int, how: Dreaming) -> list[tuple[int, int]]:
    """Sizes from small to large, without those too small for the network; the last is the picture's own."""
    features.maps(height, width)  # complains if even that is too small
    factors = [how.scale**-k for k in reversed(range(how.octaves))]
    sizes = [(round(height * f), round(width * f)) for f in factors]
    return [size for size in sizes if passes(features, *size)]


def passes(features: Features, height: int, width: int) -> bool:
    """Whether a picture of this size has a map at all."""
    try:
        return bool(features.maps(height, width))
    except UsageError:
        return False


def scaled(x: Float[Tensor, "1 c h w"], size: tuple[int, int]) -> Float[Tensor, "1 c _h _w"]:
    if x.shape[2:] == size:
        return x
    return F.interpolate(x, size, mode="bilinear", antialias=True)


# --- from a network and a wish to a picture


def dream_of(
    net: nn.Module,
    picture: Image | None,
    wish: Wish,
    device: Device | None = None,
    window: int = 224,
    seen: Callable[[int, int, Tensor, float], None] = NOTHING,
) -> Float[Tensor, "c h w"]:
    """The picture, or noise where there is none, dreamt upon by a network; pixels in [0, 1].

    Behind the trunk, dense layers become convolutions, which look at windows of `window` pixels. Raises UsageError for
    a stage or channel that is not there, and for a picture too small for the stage.
    """
    wanted = wish.stage or dream_stage(net)
    features = reaching(net, wanted, window, device or Device())
    if wish.channels:
        features = Features(features.part, [unrectified(features.part, features.stages[0])], features.device)
    [stage] = features.stages
    longer = wish.size or (max(picture.pixels.shape[1:]) if picture else window)
    x = pixels(picture, features.channels, longer) if picture else noise(features.channels, longer, wish.how.seed)
    x = x.to(features.device.name)
    measure: Measure = everything
    if wish.guide:
        guide = pixels(wish.guide, features.channels, max(window, GUIDE)).to(x.device)
        measure = guided(features(guide)[stage])
    elif wish.channels:
        check_channels(wish.channels, features.maps(*x.shape[2:])[stage].channels, wanted)
        measure = some(wish.channels)
    return dream(features, stage, measure, x, wish.how, seen)[0].cpu()


def reaching(net: nn.Module, stage: str, window: int, device: Device) -> Features:
    """The network up to a stage; one of the classifier's slides over the picture."""
    whole = row(net)
    check(whole, [stage])
    if stage.partition(".")[0] in trunk(net, window):
        return Features(whole, [stage], device)
    slid = to_convolutional(whole, (channels_of(whole), window, window)).net
    return Features(slid, [stage.replace(".", "_")], device)


def unrectified(whole: nn.Module, stage: str) -> str:
    """What a stage gives before it rectifies: a channel that is silent everywhere has no slope behind a rectifier."""
    layers: nn.Module = whole.get_submodule(stage)
    if isinstance(layers, nn.Sequential) and len(layers) > 1 and isinstance(layers[-1], nn.ReLU):
        return f"{stage}.{[name for name, _ in layers.named_children()][-2]}"
    return stage


def check_channels(channels: Sequence[int], there: int, stage: str) -> None:
    """Raises UsageError for one that is not there."""
    for channel in channels:
        if not 0 <= channel < there:
            raise UsageError(f"--channel {channel}: {stage} has channels 0 to {there - 1}")


def noise(channels: int, size: int, seed: int) -> Float[Tensor, "1 c h w"]:
    """Grey with a little noise, to dream from nothing."""
    return 0.5 + 0.05 * torch.randn(1, channels, size, size, generator=generator("dream", seed))
