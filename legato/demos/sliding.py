"""A dense classifier turned into a convolution (lecture 001): the same weights, rearranged, judge every window."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.demos.learning import classifier, seen_and_new, share
from legato.demos.registry import Demo, demo
from legato.layers import stages, to_convolutional
from legato.picture.page import Grid, Photo, page

SIDE, PLACES = 8, ((2, 3), (9, 14), (4, 26), (10, 36), (1, 46))  # of a window; where digits stand on the page


def network() -> nn.Sequential:
    return stages(
        conv=nn.Conv2d(1, 32, 3),                # (b, 32, 6, 6)
        relu=nn.ReLU(),
        flat=nn.Flatten(),                       # (b, 1152)
        hidden=nn.Linear(32 * 6 * 6, 64),        # (b, 64)
        bend=nn.ReLU(),
        classify=nn.Linear(64, 10),              # (b, 10)
    )  # fmt: skip


def by_windows(net: nn.Module, sheet: Float[Tensor, "1 1 h w"]) -> Float[Tensor, "1 10 _h _w"]:
    """The classifier on each window, one after the other."""
    windows = sheet.unfold(2, SIDE, 1).unfold(3, SIDE, 1)
    return net(windows.reshape(-1, 1, SIDE, SIDE)).view(1, *windows.shape[2:4], 10).movedim(-1, 1)


@demo("C22")
def sliding() -> Demo:
    """Dense layers as convolutions: a digit classifier slides over a page.

    Flatten and the first dense layer (1152 → 64) become 64 filters of 6×6×32; later layers become 1×1.
    It has never seen half a digit, so between the digits it answers anything.
    """
    (x, y), (new, truth) = seen_and_new(new=len(PLACES))
    net, sheet = classifier(network(), x, y, 300), torch.zeros(1, 1, 20, 56)
    for (top, left), digit in zip(PLACES, new):
        sheet[0, :, top : top + SIDE, left : left + SIDE] = digit
    with torch.no_grad():
        heat = to_convolutional(net, (1, SIDE, SIDE)).net(sheet)
        apart = float((heat - by_windows(net, sheet)).abs().max())
    wanted, (rows, columns) = int(truth[0]), heat.shape[2:]
    read = torch.stack([heat[0, :, top, left].argmax() for top, left in PLACES])
    probability = Grid(heat.softmax(1)[0, wanted], f"P({wanted}), by the window's upper left corner", "P")
    once, again = 9 * 32 * (rows + 5) * (columns + 5), 9 * 32 * 36 * rows * columns
    lines = [
        f"{rows * columns} windows at once; the classifier on each of them differs by at most {apart:.0e}",
        f"digits on the page {truth.tolist()}, read where they stand: {read.tolist()}",
        f"multiplications of the first layer: {once:,} at once, {again:,} window by window",
    ]
    title = "A classifier slides over a page: dense layers are convolutions"
    drawn = page([Photo(sheet[0, 0], "a page"), probability], title, 1, side=6.2, height=2.2)
    return Demo(drawn, lines, {"apart": apart, "right": share(read == truth)})
