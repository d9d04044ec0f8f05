"""A class at every place of a large picture: the classifier as a convolutional network that slides over it.

Sermanet et al. 2014, "OverFeat", arXiv:1312.6229, section 3.5; the conversion is `legato.layers.convolutional`.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato import picture
from legato.data.decode import resize, with_channels
from legato.errors import UsageError
from legato.explain.subject import AnyTask, Shown, Subject, method, scored_pictures
from legato.layers.convolutional import Sliding, to_convolutional
from legato.networks import registry
from legato.picture.overlays import boxes
from legato.tasks.classify import Classify
from legato.tasks.pictures import as_image
from legato.values import Boxes, Image

LEAST, MOST = 2, 4  # sides of the window that the picture's shorter side is brought to lie between


@torch.no_grad()
def class_heat_map(sliding: Sliding, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k _h _w"]:
    """Position (i, j): the probability of each class in `sliding.window(i, j)` of the pictures x."""
    return sliding.net(x).float().softmax(dim=1)


def on_pixels(
    map: Float[Tensor, "_h _w"], sliding: Sliding, height: int, width: int
) -> Float[Tensor, "{height} {width}"]:
    """The map at every pixel: its value at a window's middle, bilinear between, 0 where no window has its middle."""
    rows, columns = map.shape
    axes = []
    for length, count, size, stride in zip((height, width), (rows, columns), sliding.size, sliding.stride):
        at = (torch.arange(length) + 0.5 - size / 2) / stride  # in positions of the map
        axes.append(2 * (at + 0.5) / count - 1)
    down, across = torch.meshgrid(*axes, indexing="ij")
    where = torch.stack([across, down], dim=-1)[None].to(map)
    return F.grid_sample(map[None, None], where, align_corners=False)[0, 0]


def fits(task: AnyTask, net: nn.Module) -> str:
    """Objects where no classifier of one size of pictures could slide."""
    if objection := scored_pictures(task, net):
        return objection
    if not isinstance(task, Classify) or not isinstance(net, nn.Sequential):
        return "only a classifier that is a row of stages can slide"
    if registry.lookup(task.network).read is not registry.identity:
        return f"{task.network} does not give its classes as scores"
    try:
        to_convolutional(net, shape(task))
    except UsageError as error:
        return str(error)
    return ""


def shape(task: AnyTask) -> tuple[int, int, int]:
    c, h, w = task.input_shape
    return c, h, w


@method("heatmap", fits=fits)
def show_heat_map(subject: Subject) -> list[Shown]:
    """The class at every place of a large picture: the classifier slides over it as one convolutional network."""
    assert isinstance(subject.net, nn.Sequential)
    sliding = to_convolutional(subject.net, shape(subject.task))
    image = scaled(subject.input, shape(subject.task))
    found = class_heat_map(sliding, subject.device.move(image[None] / 255))[0].cpu()
    what = subject.what or subject.task.names[int(found.amax(dim=(1, 2)).argmax())]
    map = subject.task.evidence(found.flatten(1).T, what)
    assert map is not None
    map = map.view(found.shape[1:])
    row, column = divmod(int(map.argmax()), map.shape[1])
    down, across = sliding.window(row, column)
    h, w = image.shape[1:]
    best = Boxes(
        torch.tensor([[across.start, down.start, across.stop, down.stop]]).float(), torch.tensor([0]), map.max()[None],
        (what,),
    )  # fmt: skip
    drawn = picture.panels(
        as_image(boxes(image, best), ""), [("", on_pixels(map, sliding, h, w))], f"Class heat map: {what}",
        "probability, at the window's middle",
    )  # fmt: skip
    lines = (
        f"{what}: {map.shape[0]} × {map.shape[1]} windows of {sliding.size[0]} × {sliding.size[1]} pixels, every "
        f"{sliding.stride[0]} pixels of {h} × {w}; most in rows {down.start}–{down.stop}, columns "
        f"{across.start}–{across.stop}: {float(map.max()):.3g}",
        *([] if sliding.exact else [f"not exactly what the classifier says of each window: {sliding.why}"]),
    )
    return [Shown(drawn, lines=lines)]


def scaled(image: Image, shape: tuple[int, int, int]) -> Tensor:
    """(c, h, w) bytes: as it is, unless its shorter side is less than 2 or more than 4 times the window's."""
    c, size, _ = shape
    pixels = with_channels(image.pixels, c)
    h, w = pixels.shape[1:]
    factor = min(max(1.0, LEAST * size / min(h, w)), MOST * size / min(h, w))
    return pixels if factor == 1 else resize(pixels, round(factor * h), round(factor * w))
