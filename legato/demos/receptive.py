"""Several 3×3 filters see what one large one sees, with fewer weights (lecture 001; Simonyan & Zisserman 2014)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.demos.registry import Demo, demo
from legato.picture.page import Grid, Lines, Panel, page


def stack(layers: int, size: int = 3, channels: int = 1) -> nn.Sequential:
    return nn.Sequential(*(nn.Conv2d(channels, channels, size, bias=False) for _ in range(layers))).double()


def seen(net: nn.Module, side: int = 9) -> Float[Tensor, "side side"]:
    """∂y/∂x of the place in the middle: which pixels it sees, and how much it makes of each; all weights alike."""
    for weight in net.parameters():
        weight.data = torch.full_like(weight, 1 / weight[0].numel())
    x = torch.zeros(1, 1, side, side).double().requires_grad_()
    y = net(x)
    return torch.autograd.grad(y[0, 0, y.shape[2] // 2, y.shape[3] // 2], x)[0][0, 0]


def across(field: Float[Tensor, "side side"]) -> int:
    """Pixels across what is seen at all."""
    return int((field.abs() > 0).any(0).sum())


def count(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


@demo("N10")
def receptive() -> Demo:
    """Receptive field: three 3×3 see 7×7, with 27 C² weights instead of 49 C².

    A stack looks at the middle more than at the rim: more ways lead there (Luo et al. 2016, arXiv:1701.04128).
    And between its layers there is room for non-linearities.
    """
    fields = {f"{k} of 3×3": seen(stack(k)) for k in (1, 2, 3)} | {"one 7×7": seen(stack(1, 7))}
    widths = {name: across(field) for name, field in fields.items()}
    three, seven = ({c: count(stack(*shape, c)) for c in (1, 8, 16, 32)} for shape in ((3, 3), (1, 7)))
    depths = range(1, 11)
    costs = {
        "one filter": (depths, [(2 * k + 1) ** 2 for k in depths]),
        "layers of 3×3": (depths, [9 * k for k in depths]),
    }
    panels: list[Panel] = [Grid(field, f"{name}: sees {widths[name]}×{widths[name]}") for name, field in fields.items()]
    panels.append(Lines(costs, "weights in units of C²", "layers of 3×3"))
    lines = [f"{name:10} sees {width}×{width} pixels" for name, width in widths.items()]
    lines += [f"C = {c:2}: three layers of 3×3 have {n:,} weights, one 7×7 {seven[c]:,}" for c, n in three.items()]
    title = "What a place of a map sees of the picture, and how much it makes of it"
    drawn = page(panels, title, 5, [1, 1, 1, 1, 1.5], side=2.1, height=2.5)
    numbers = {name: float(width) for name, width in widths.items()}
    return Demo(drawn, lines, numbers | {"three": float(three[8]), "seven": float(seven[8])})
