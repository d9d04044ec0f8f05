"""A 1×1 convolution is a dense layer at each pixel (lectures 000 and 004): it mixes channels, and sees no neighbour."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.demos.registry import Demo, demo
from legato.networks.describe import describe
from legato.picture.page import Bars, Panel, Photo, page

MIX = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])  # ITU-R BT.601, rounded
NAMES = ("brightness", "blue − yellow", "red − cyan")


def conv1x1(W: Float[Tensor, "o i"]) -> nn.Conv2d:
    conv = nn.Conv2d(W.shape[1], W.shape[0], 1, bias=False)
    conv.weight.data = W[:, :, None, None]
    return conv


def per_pixel(W: Float[Tensor, "o i"], x: Float[Tensor, "i h w"]) -> Float[Tensor, "o h w"]:
    """y(p) = W x(p) at each pixel p."""
    return (W @ x.flatten(1)).unflatten(1, x.shape[1:])


@demo("C18", on_picture=True)
@torch.no_grad()
def pointwise(photo: Float[Tensor, "3 h w"]) -> Demo:
    """1×1 convolution: a dense layer at each pixel, and what narrowing saves.

    ResNet's 1×1 filters narrow: 256 maps become 64, the 3×3 filters work there, and 64 become 256 again.
    “1×1×K”: the filter has as many weights as there are maps; it sees one place of all of them.
    """
    y = conv1x1(MIX)(photo[None])[0]
    apart = float((y - per_pixel(MIX, photo)).abs().max())
    narrow = [nn.Conv2d(256, 64, 1), nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 256, 1)]
    nets = {"3×3, 256 → 256": [nn.Conv2d(256, 256, 3, padding=1)], "1×1 → 64, 3×3, 1×1 → 256": narrow}
    macs = {name: sum(row.macs for row in describe(nn.Sequential(*net), (256, 14, 14))) for name, net in nets.items()}
    wide, less = macs.values()
    maps = [Photo(y[k] + (0.5 if k else 0), name) for k, name in enumerate(NAMES)]
    costs = Bars({name: m / 1e6 for name, m in macs.items()}, "a stage of ResNet", "million multiply-adds")
    lines = [
        f"9 weights, the same at all {photo[0].numel():,} pixels; a dense layer at each pixel differs by {apart:.0e}"
    ]
    lines += [
        f"narrowed, a stage of 14×14 places takes {less:,} of {wide:,} multiply-adds: {wide / less:.1f} times fewer"
    ]
    h, w = photo.shape[1:]
    title, widths = "1×1 convolution: new channels from old, pixel by pixel", [1, 1, 1, 1, 1.3]
    panels: list[Panel] = [Photo(photo, "three channels"), *maps, costs]
    drawn = page(panels, title, 5, widths, side=2.3, height=max(1.9, 2.3 * h / w + 0.4))
    return Demo(drawn, lines, {"apart": apart, "saved": wide / less})
