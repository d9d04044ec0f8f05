"""The maps of some stages of a network for pictures of any size: what dreams and styles are made of."""

import copy
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.data.decode import resize, with_channels
from legato.device import Device
from legato.errors import UsageError, nearest
from legato.layers.normalize import Normalize
from legato.layers.reach import Reach
from legato.layers.stages import Sided
from legato.layers.tracing import on_meta, tracing
from legato.values import Image
from legato.watch import watch

GATYS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"), "conv4_2"  # arXiv:1508.06576, figure 2
FIRES = ("conv1", "fire2", "fire5", "fire7"), "fire5"  # SqueezeNet: chosen by eye
COARSEST = 16  # pixels: behind larger strides there is little left of a picture of a few hundred


class Map(NamedTuple):
    """What is known of a stage's map without computing it."""

    channels: int
    size: tuple[int, int]  # rows, columns
    reaches: tuple[Reach, Reach]  # pixels that its places see, down and across

    @property
    def stride(self) -> int:
        return max(reach.advance // reach.period for reach in self.reaches)


class Features(nn.Module):
    """x (b, c, h, w) in [0, 1] → {stage: its map (b, _, h', w')}, computed no further than the last of the stages.

    A copy of that part of the network, in eval mode and frozen. Grey x is shown to a network for colour as such.
    `averaging` puts average pools in place of maximum pools: "improves the gradient flow and one obtains slightly more
    appealing results" (Gatys et al. 2015, arXiv:1508.06576, methods). Raises UsageError for a stage that is not there.
    """

    def __init__(
        self, net: nn.Module, stages: Sequence[str], device: Device | None = None, averaging: bool = False
    ) -> None:
        super().__init__()
        whole = row(net)
        check(whole, stages)
        self.stages, self.channels, self.device = tuple(dict.fromkeys(stages)), channels_of(whole), device or Device()
        part = copy.deepcopy(upto(whole, self.stages)).requires_grad_(False)
        self.part = self.device.place(averaged(part) if averaging else part)
        self.eval()

    def forward(self, x: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
        if x.shape[1] != self.channels:
            x = x.expand(-1, self.channels, -1, -1)
        x = x.contiguous(memory_format=torch.channels_last)
        with watch(self.part, *self.stages) as seen, self.device.autocast():
            self.part(x)
        return {name: outputs[0].float() for name, outputs in seen.items()}

    def maps(self, height: int, width: int) -> dict[str, Map]:
        """Of a picture of this size. Raises UsageError where a stage makes no map, or the picture is too small."""
        found = look(self, self.channels, height, width)
        for name in self.stages:
            if name not in found:
                raise no_map(name)
        return found


def row(net: nn.Module) -> nn.Sequential:
    """The stages that a picture passes first: the network itself, or its trunk. Raises UsageError if it has none."""
    if isinstance(net, Sided):
        return net.trunk
    for part in net.modules():
        if isinstance(part, nn.Sequential) and any(isinstance(layer, nn.Conv2d) for layer in part.modules()):
            return part
    raise UsageError(
        f"{type(net).__name__} has no convolutions, and makes no maps of pictures; take a network that does"
    )


def no_map(stage: str) -> UsageError:
    return UsageError(f"{stage} makes no map of a picture: name a stage before the dense layers")


def check(whole: nn.Sequential, stages: Iterable[str]) -> None:
    """Raises UsageError naming the nearest stage."""
    there = dict(whole.named_modules(remove_duplicate=False))
    for name in stages:
        if not name or name not in there:
            raise UsageError(f"no stage called {name!r}{nearest(name, [n for n, _ in whole.named_children()])}")


def upto(whole: nn.Sequential, stages: Iterable[str]) -> nn.Sequential:
    """The stages up to the last one needed."""
    needed = {name.partition(".")[0] for name in stages}
    names = [name for name, _ in whole.named_children()]
    last = max(names.index(name) for name in needed)
    return nn.Sequential(OrderedDict(list(whole.named_children())[: last + 1]))


def averaged(net: nn.Sequential) -> nn.Sequential:
    """The same network, its maximum pools averaging; in place."""
    for part in list(net.modules()):
        for name, layer in list(part.named_children()):
            if isinstance(layer, nn.MaxPool2d):
                setattr(part, name, averaging(layer))
    return net


def averaging(pool: nn.MaxPool2d) -> nn.Module:
    """The average over the windows of a maximum pool."""
    if (pool.kernel_size, pool.stride) == (3, 2):
        return Binomial(pool.padding)
    return nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode)


class Binomial(nn.Module):
    """Windows of 3 × 3 every 2, weighing 1, 2, 1 down and across: each pixel counts alike, where a plain average of
    windows that overlap sees every other one twice, and paints a grid. Windows that are not full are left out."""

    kernel: Tensor

    def __init__(self, padding: int | tuple[int, int]) -> None:
        super().__init__()
        self.padding = padding
        weights = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", torch.outer(weights, weights)[None, None])

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c _h _w"]:
        channels = x.shape[1]  # as one convolution: 1.9 × faster, there and back, than two averages over 2 pixels
        return F.conv2d(x, self.kernel.expand(channels, 1, 3, 3), stride=2, padding=self.padding, groups=channels)


def channels_of(whole: nn.Sequential) -> int:
    """Of the pictures it takes."""
    for layer in whole.modules():
        if isinstance(layer, Normalize):
            return len(layer.mean)
        if isinstance(layer, nn.Conv2d):
            return layer.in_channels
    raise UsageError("no stage says how many channels its pictures have")


def look(net: nn.Module, channels: int, height: int, width: int) -> dict[str, Map]:
    """The maps among the tensors that net, a dictionary of them, gives; nothing is computed."""
    with tracing(net) as trace, told_too_small(height, width):
        outputs: dict[str, Tensor] = on_meta(net, trace.picture((channels, height, width)))
    found = {name: (y, trace.reaches(y)) for name, y in outputs.items() if y.dim() == 4 and y.numel()}
    return {name: Map(y.shape[1], (y.shape[2], y.shape[3]), r) for name, (y, r) in found.items() if r is not None}


@contextmanager
def told_too_small(height: int, width: int) -> Iterator[None]:
    """What PyTorch says of maps that vanish, said of the picture."""
    try:
        yield
    except RuntimeError as error:
        raise UsageError(
            f"a picture of {width} × {height} pixels does not pass these stages; take a larger one, or an earlier stage"
        ) from error


# --- which stages, where nobody says


def trunk(net: nn.Module, size: int = 224) -> dict[str, Map]:
    """The stages whose map grows with the picture, in order, and their maps of a square one of this size."""
    whole, found = row(net), {}
    with tracing(whole) as trace:
        x = trace.picture((channels_of(whole), size, size))
        for name, stage in whole.named_children():
            with told_too_small(size, size):
                x = on_meta(stage, x)
            reaches = trace.reaches(x)
            if x.dim() != 4 or reaches is None or not all(reach.advance for reach in reaches):
                break  # the classifier begins
            found[name] = Map(x.shape[1], (x.shape[2], x.shape[3]), reaches)
    if not found:
        raise UsageError(f"{type(net).__name__} makes no map of a picture; take a network with convolutions")
    return found


def learnt(net: nn.Module) -> dict[str, int]:
    """Of those the ones with weights, and their strides; none coarser than 16, if there are others."""
    whole = row(net)
    found = {
        name: here.stride
        for name, here in trunk(net).items()
        if any(True for _ in whole.get_submodule(name).parameters())
    }
    return {name: stride for name, stride in found.items() if stride <= max(COARSEST, min(found.values()))}


def style_stages(net: nn.Module) -> tuple[tuple[str, ...], str]:
    """Stages for style and for content: those of Gatys et al. in a VGG; else the first of each stride up to 16 for
    style and the last of stride 8, or of the largest below, for content."""
    names = {name for name, _ in row(net).named_children()}
    for style, content in (GATYS, FIRES):
        if {*style, content} <= names:
            return style, content
    found = learnt(net)
    first = {stride: name for name, stride in reversed(found.items())}
    middle = max((stride for stride in first if stride <= COARSEST // 2), default=min(first))
    return tuple(sorted(first.values(), key=list(found).index)), [n for n, s in found.items() if s == middle][-1]


def dream_stage(net: nn.Module) -> str:
    """The middle one of the stages of stride 16, or the largest below: parts of things, such as GoogLeNet's 4c sees."""
    found = learnt(net)
    names = [name for name, stride in found.items() if stride == max(found.values())]
    return names[len(names) // 2]


def pixels(image: Image, channels: int, longer: int) -> Float[Tensor, "1 c h w"]:
    """A picture as tensors, pixels in [0, 1], its longer side of so many."""
    height, width = image.pixels.shape[1:]
    scale = longer / max(height, width)
    size = max(1, round(scale * height)), max(1, round(scale * width))
    return resize(with_channels(image.pixels, channels).contiguous(), *size)[None].float() / 255
