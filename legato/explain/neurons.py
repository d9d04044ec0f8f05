"""What a channel would like to see: a picture made for it from noise.

The idea is of Erhan, Bengio, Courville & Vincent 2009 and Simonyan et al. 2013, arXiv:1312.6034, section 2.
Ascending the gradient of pixels alone ends in fine noise. As in Olah, Mordvintsev & Schubert 2017, "Feature
Visualization", doi:10.23915/distill.00007, the picture is therefore described by its spectrum, in which low frequencies
weigh most, and by colours that do not go together in photographs; and the channel has to like it also when it is
shifted, turned and scaled a little.
"""

from collections.abc import Callable, Sequence
from math import pi

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.draws import Draws, generator
from legato.errors import UsageError
from legato.explain.deconvnet import by_channel
from legato.explain.features import front
from legato.explain.rectified import rectifying
from legato.explain.stages import last_map
from legato.explain.subject import AnyTask, Shown, Subject, method
from legato.layers.modes import evaluating
from legato.picture import sheet
from legato.picture.style import number
from legato.tasks.pictures import PictureTask
from legato.watch import watch

# square root of the covariance of ImageNet's red, green and blue (tensorflow/lucid, optvis/param/color.py)
COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
STEPS, RATE = 48, 0.05  # of Adam
SHIFT, TURN, SCALE = 0.07, pi / 36, 0.1  # of the side; of the circle, ± 5°; either way
CHANNELS, FEW, BEGINNINGS = 9, 12, 3  # of a stage, or all if they are few; of one channel, from different noise
Liking = Callable[[Tensor], Tensor]  # pictures (b, c, h, w) → (b,)


def imagined(
    liking: Liking,
    shape: tuple[int, int, int, int],
    steps: int = STEPS,
    seed: int = 0,
    device: str = "cpu",
) -> Float[Tensor, "b c h w"]:
    """Pictures (b, c, h, w) in [0, 1] for which `liking` is large, each for its own number.

    The same seed gives the same pictures. Their spectra are ascended by Adam, from noise that is almost grey.
    """
    b, c, h, w = shape
    noise = torch.randn(b, c, h, w // 2 + 1, 2, generator=generator(seed, "neurons"))
    spectrum = (0.01 * noise).to(device).requires_grad_()
    optimizer = torch.optim.Adam([spectrum], RATE)
    for step in range(steps):
        with torch.enable_grad(), rectifying("redirected"):  # a unit that is silent in noise has to be woken
            seen = moved(painted(spectrum, h, w), Draws((seed, "neurons", step), range(b)))
            (up,) = torch.autograd.grad(liking(seen).sum(), spectrum)
        spectrum.grad = -up
        optimizer.step()
    return painted(spectrum.detach(), h, w)


def painted(spectrum: Float[Tensor, "b c h f 2"], h: int, w: int) -> Float[Tensor, "b c {h} {w}"]:
    """The picture in [0, 1] of a spectrum, which is divided by the frequency, as that of photographs is (1/f)."""
    down, across = torch.fft.fftfreq(h)[:, None], torch.fft.rfftfreq(w)[None]
    frequency = torch.hypot(down, across).clamp(min=1 / max(h, w)).to(spectrum.device)
    scaled = torch.view_as_complex(spectrum) / frequency
    waves = torch.fft.irfft2(scaled, s=(h, w), norm="ortho") / 4
    return torch.sigmoid(coloured(waves))


def coloured(waves: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Three uncorrelated numbers a pixel as red, green and blue; others are what they are."""
    if waves.shape[1] != 3:
        return waves
    matrix = torch.tensor(COLOURS, device=waves.device)
    matrix = matrix / matrix.norm(dim=0).max()
    return torch.einsum("rk,bkhw->brhw", matrix, waves)


def moved(x: Float[Tensor, "b c h w"], draws: Draws) -> Float[Tensor, "b c h w"]:
    """Each picture shifted, turned and scaled by its own draws; what comes in from outside repeats the edge."""
    angle = TURN * (2 * draws.uniform("turn") - 1)
    factor = 1 + SCALE * (2 * draws.uniform("scale") - 1)
    shift = 2 * SHIFT * (2 * draws.uniform("shift", 2) - 1)
    cos, sin = angle.cos() * factor, angle.sin() * factor
    rows = [torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1).to(x), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def channels_of(net: nn.Module, stage: str, channels: Sequence[int]) -> Liking:
    """x ↦ the mean response of one channel of the stage to each picture: of channels[i] to the ith."""
    part = front(net, stage)

    def liking(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b"]:
        with evaluating(net), watch(net, stage) as seen:
            part(x)
            maps = by_channel(seen[stage][0], stage)
        return maps.float()[torch.arange(len(x)), torch.tensor(channels)].mean(dim=1)

    return liking


def fits(task: AnyTask, net: nn.Module) -> str:
    """Objects where the network does not see one picture of one size."""
    return "" if isinstance(task, PictureTask) else f"{task.name} is not about a whole picture of one size"


@method("neurons", fits, needs_input=False)
def show_neurons(subject: Subject) -> list[Shown]:
    """Pictures made from noise for channels of a stage, or for a class (--what): what they would like to see most."""
    net, (c, h, w) = subject.net, subject.task.input_shape
    if subject.what and not subject.stage:
        captions = [subject.what] * BEGINNINGS
        liking: Liking = subject.score
        title = f"What {subject.what} looks like to the network"
    else:
        blank = subject.device.move(torch.zeros(1, c, h, w))
        stage = subject.stage or last_map(net, lambda: net(blank))
        channels = chosen(subject, stage, blank)
        captions = [named(subject, stage, k) for k in channels]
        liking = channels_of(net, stage, channels)
        title = f"What channels of {stage} would like to see"
    found = imagined(liking, (len(captions), c, h, w), device=subject.device.name)
    with torch.no_grad():
        reached = [number(value) for value in liking(found).tolist()]
    tiles = [(one.cpu(), f"{caption}: {value}") for one, caption, value in zip(found, captions, reached)]
    drawn = sheet(tiles, 3 if len(tiles) <= CHANNELS else 0, title)
    return [Shown(drawn, lines=tuple(caption for _, caption in tiles))]


def chosen(subject: Subject, stage: str, blank: Tensor) -> list[int]:
    """The one the user named, from several beginnings, or some from all over the stage."""
    with torch.no_grad(), evaluating(subject.net), watch(subject.net, stage) as seen:
        front(subject.net, stage)(blank)
    count = by_channel(seen[stage][0], stage).shape[1]
    if subject.channel >= count:
        raise UsageError(f"{stage} has channels 0 to {count - 1}, not {subject.channel}")
    if subject.channel >= 0:
        return [subject.channel] * BEGINNINGS
    some = count if count <= FEW else CHANNELS
    return [k * count // some for k in range(some)]


def named(subject: Subject, stage: str, channel: int) -> str:
    """A class by its name, where the stage is the answer."""
    last = [name for name, _ in subject.net.named_children()][-1]
    return subject.task.names[channel] if stage == last and subject.task.names else f"channel {channel}"
