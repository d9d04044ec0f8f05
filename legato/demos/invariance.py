"""How far answers are invariant (lectures 001 and 004): digits, moved and turned, read by three networks."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, pad

from legato.demos.learning import classifier, seen_and_new, share
from legato.demos.registry import Demo, demo
from legato.layers import GlobalMax
from legato.picture.page import Lines, Panel, Photo, page

Pictures = Float[Tensor, "n 1 16 16"]


def moved(x: Pictures, pixels: float = 0, degrees: float = 0) -> Pictures:
    """Shifted to the right and turned about the middle, bilinear."""
    a, shift = torch.deg2rad(torch.tensor(float(degrees))), -2 * pixels / x.shape[-1]
    theta = torch.tensor([[a.cos(), -a.sin(), shift], [a.sin(), a.cos(), 0.0]]).expand(len(x), 2, 3)
    return grid_sample(x, affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)


class Reading(NamedTuple):
    right: float  # share of pictures
    change: float  # ½ Σ |p − p′|: the probability that went elsewhere, 0 … 1


@torch.no_grad()
def metre(net: nn.Module, x: Pictures, y: Int[Tensor, "n"], pixels: float = 0, degrees: float = 0) -> Reading:
    before, after = net(x).softmax(1), net(moved(x, pixels, degrees)).softmax(1)
    return Reading(share(after.argmax(1) == y), float((after - before).abs().sum(1).mean() / 2))


def conv(i: int, o: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.ReLU())


NETWORKS = {
    "dense": lambda: (nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10)),
    "convolution, pooling": lambda: (
        *(conv(1, 16), nn.MaxPool2d(2), conv(16, 32), nn.MaxPool2d(2)), nn.Flatten(), nn.Linear(512, 10),
    ),
    "convolution, global max": lambda: (conv(1, 16), conv(16, 24), conv(24, 24), GlobalMax(), nn.Linear(24, 10)),
}  # fmt: skip


@demo("C14")
def invariance() -> Demo:
    """Invariance metre: digits seen upright in the middle, then shifted and turned.

    The change is the share of probability that goes to other classes. All three learnt from digits in the middle.
    A maximum over all places says “somewhere there is a …”: the answer does not depend on where.
    A turn (here of 15°) is another matter: rotations must be in the training pictures.
    """
    (x, y), (new, truth) = ((pad(x, (4, 4, 4, 4)), y) for x, y in seen_and_new())
    nets = {name: classifier(nn.Sequential(*layers()), x, y, 180) for name, layers in NETWORKS.items()}
    angles, steps = range(0, 91, 15), range(5)
    shifts = {name: [metre(net, new, truth, pixels=s) for s in steps] for name, net in nets.items()}
    turns = {name: [metre(net, new, truth, degrees=a) for a in angles] for name, net in nets.items()}
    ways = ((0, 0), (2, 0), (4, 0), (0, 15), (0, 90))
    tiles = [pad(moved(new[:1], pixels, degrees)[0, 0], (0, 1), value=1.0) for pixels, degrees in ways]
    panels: list[Panel] = [Photo(torch.cat(tiles, 1), "as learnt; moved by 2, 4; turned by 15°, 90°")]
    for unit, at, readings in (("pixels", steps, shifts), ("degrees", angles, turns)):
        series = {name: (at, [reading.change for reading in found]) for name, found in readings.items()}
        panels.append(Lines(series, f"change by {unit}", unit, within=(-0.02, 1.35), legend="upper left"))
    shown = {name: [s[0].right, s[1].right, s[4].right, turns[name][1].right] for name, s in shifts.items()}
    lines = [
        f"{n:24} {a:.1%} right, moved by 1 {b:.1%}, by 4 {c:.1%}, turned {d:.1%}" for n, (a, b, c, d) in shown.items()
    ]
    numbers = {f"{name}, shift {k}": s[k].right for name, s in shifts.items() for k in steps}
    return Demo(page(panels, "What the answer does not depend on", widths=[1.5, 1.2, 1.2], side=2.7), lines, numbers)
