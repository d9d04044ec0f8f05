"""A classifier as a convolutional network, which slides over a picture of any size and makes a heat map of its classes.

Sermanet et al. 2014, "OverFeat" (arXiv:1312.6229), section 3.5; lecture 001 on the conversion of dense layers.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from jaxtyping import Float
from torch import Tensor, nn

from legato.errors import UsageError
from legato.layers.dropout import DROPOUTS, LectureDropout
from legato.layers.pooling import GlobalAverage, GlobalMax
from legato.layers.rearrange import dense_to_conv
from legato.layers.tracing import Trace, on_meta, tracing

Pair = tuple[int, int]
Shape = tuple[int, int, int]  # channels, height, width
Stage = tuple[str, nn.Module]
MEANS, MAXIMA = (nn.AdaptiveAvgPool2d, GlobalAverage), (nn.AdaptiveMaxPool2d, GlobalMax)
HEAD = (nn.Flatten, nn.Linear, *MEANS, *MAXIMA)  # with one of these a head begins
ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh)
SAME_ON_MAPS = (nn.Identity, *ELEMENTWISE, LectureDropout, *DROPOUTS)  # to any position what they do to a vector


@dataclass(frozen=True)
class Sliding:
    """A classifier made convolutional: position (i, j) of its heat map judges one window of the picture.

    `exact`: each position equals the classifier on its window; otherwise `why` says what makes it differ. There may be
    one row or column more than windows fit into the picture, where the classifier does not look at its window's edge.
    """

    net: nn.Sequential  # (b, c, H, W) → (b, classes, about (H − height) / stride + 1, about (W − width) / stride + 1)
    size: Pair  # of the window: height, width
    stride: Pair  # pixels from one window to the next, down and across
    exact: bool
    why: str

    def window(self, row: int, column: int) -> tuple[slice, slice]:
        """The pixels, down and across, that position (row, column) of the heat map judges."""
        top, left = row * self.stride[0], column * self.stride[1]
        return slice(top, top + self.size[0]), slice(left, left + self.size[1])


class EachPosition(nn.Module):
    """A layer for vectors, applied at every position of a map: (b, i, h, w) → (b, o, h, w)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Float[Tensor, "b i h w"]) -> Float[Tensor, "b o h w"]:
        b, _, h, w = x.shape
        vectors = self.layer(x.movedim(1, -1).flatten(0, 2))
        return vectors.unflatten(0, (b, h, w)).movedim(-1, 1)


def to_convolutional(net: nn.Sequential, shape: Shape) -> Sliding:
    """Turn a classifier of (c, h, w) pictures into a network that judges every such window of a larger one.

    The trunk stays as it is; Flatten and Linear become a convolution over the whole map, further Linears 1×1
    convolutions, and a global mean a mean over the window. Weights are shared with net, so use either in eval mode.
    Exact where nothing pads. Raises UsageError when a stage cannot slide, and names it.
    """
    stages = list(unnested(net))
    cut = next((i for i, (_, layer) in enumerate(stages) if isinstance(layer, HEAD)), len(stages))
    trunk, head = stages[:cut], stages[cut:]
    with tracing(net) as trace:
        features, why = follow(trunk, trace, shape)
        layers = [*trunk, *convolved(head, features)]
        sliding = nn.Sequential(OrderedDict((name.replace(".", "_"), layer) for name, layer in layers))
        stride = steps(trace, features)
        check_growth(sliding, trace.picture((shape[0], shape[1] + stride[0], shape[2] + stride[1])))
    sliding.training = net.training
    return Sliding(sliding, shape[1:], stride, exact=not why, why=why)


def check_growth(sliding: nn.Sequential, x: Tensor) -> None:
    """A picture one step larger each way than the window must give a map of 2×2."""
    for name, stage in sliding.named_children():
        try:
            x = on_meta(stage, x)
        except RuntimeError as error:
            raise UsageError(
                f"{name} ({type(stage).__name__}) only takes maps of one size, and so cannot slide"
            ) from error
    if x.shape[2:] != (2, 2):
        raise UsageError("the network's map does not grow with the picture: it pools to a fixed size on its way")


def unnested(net: nn.Sequential, path: str = "") -> Iterator[Stage]:
    """The stages of net, and instead of a Sequential with a part of the head inside its own stages."""
    for name, layer in net.named_children():
        if isinstance(layer, nn.Sequential) and holds_head(layer):
            yield from unnested(layer, f"{path}{name}.")
        else:
            yield path + name, layer


def holds_head(layer: nn.Module) -> bool:
    plain = isinstance(layer, nn.Sequential) and type(layer).forward is nn.Sequential.forward
    return plain and any(isinstance(part, HEAD) or holds_head(part) for part in layer.children())


def follow(trunk: Iterable[Stage], trace: Trace, shape: Shape) -> tuple[Tensor, str]:
    """The trunk's map of one window; and what looks beyond the window there, if anything does."""
    x, why = trace.picture(shape), ""
    for name, stage in trunk:
        x = on_meta(stage, x)
        if x.dim() != 4:
            kind = type(stage).__name__
            raise UsageError(f"{name} ({kind}) makes no map, and is neither Flatten, Linear nor a global mean")
        if trace.overhang and not why:
            why = f"{name} looks beyond its map's edge: the classifier saw padding where the heat map sees the picture"
    return x, why


def steps(trace: Trace, x: Tensor) -> tuple[int, int]:
    """Pixels between what neighbours of the map x see."""
    down, across = (Fraction(reach.advance, reach.period) for reach in trace.reaches(x) or ())
    if not (down and across and down.denominator == across.denominator == 1):
        raise UsageError("the trunk cannot slide: its map sees the whole picture at once, or is finer than the picture")
    return int(down), int(across)


def convolved(head: Iterable[Stage], x: Tensor) -> Iterator[Stage]:
    """The head's stages as they act on a map of any size, of which x is one window's."""
    size: Shape = (x.shape[1], x.shape[2], x.shape[3])  # of the map, also when it is flattened
    dilation = (1, 1)  # of the positions that the next Linear sees
    for name, layer in head:
        y = on_meta(layer, x)
        if isinstance(layer, MEANS + MAXIMA):
            to = (y.shape[2], y.shape[3]) if y.dim() == 4 else (1, 1)
            dilation = window_of(name, size, to)
            yield name, nn.MaxPool2d(dilation, 1) if isinstance(layer, MAXIMA) else nn.AvgPool2d(dilation, 1)
            size = (size[0], *to)
        elif isinstance(layer, nn.Linear) and x.dim() == 2:
            yield name, dense_to_conv(layer, *size, dilation=dilation)
            size, dilation = (layer.out_features, 1, 1), (1, 1)
        elif not isinstance(layer, nn.Flatten):
            yield name, anywhere(name, layer, flat=size[1:] == (1, 1) and x.dim() == 2)
            size = (y.shape[1], 1, 1) if size[1:] == (1, 1) else size
        x = y


def window_of(name: str, size: Shape, to: Pair) -> Pair:
    """The window of an adaptive pool; with stride 1 its results lie so many positions apart as it is large."""
    if size[1] % to[0] or size[2] % to[1]:
        raise UsageError(f"{name} pools {size[1]}×{size[2]} to {to[0]}×{to[1]} by unequal windows, which cannot slide")
    return size[1] // to[0], size[2] // to[1]


def anywhere(name: str, layer: nn.Module, flat: bool) -> nn.Module:
    """The layer as it acts on each position of a map; `flat`: it acts on the vector of one position."""
    if isinstance(layer, SAME_ON_MAPS) or (isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)):
        return layer
    if flat:
        return EachPosition(layer)
    raise UsageError(
        f"{name} ({type(layer).__name__}) acts on a window's whole map, and cannot be applied anywhere else"
    )
