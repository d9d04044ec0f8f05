"""LeNet-5 as published: LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document
recognition", doi:10.1109/5.726791, section II-B, figures 2 and 3, table I, equations 5 to 9, appendix A.

60 000 trainable parameters:

    C1 156   S2 12   C3 1516   S4 32   C5 48 120   F6 10 164   output 0, its codes are fixed

The 82 errors of the lecture's slide were made by this network, trained on distorted digits. The paper does not give the
penalty j of the rubbish class in equation 9; here it is RUBBISH.
"""

from collections import Counter
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from legato.draws import Draws
from legato.layers.stages import stages
from legato.networks.registry import network

Weighted = TypeVar("Weighted", nn.Conv2d, nn.Linear)
RUBBISH = 20.0  # j: between 0, a class's own code, and the 48 to 200 of other digits'

# table I: which maps of S2 (rows) each map of C3 (columns) sees
TABLE = (
    "X . . . X X X . . X X X X . X X",
    "X X . . . X X X . . X X X X . X",
    "X X X . . . X X X . . X . X X X",
    ". X X X . . X X X X . . X . X X",
    ". . X X X . . X X X X . X X . X",
    ". . . X X X . . X X X X . X X X",
)
SEES = [(map, seen) for seen, row in enumerate(TABLE) for map, cell in enumerate(row.split()) if cell == "X"]

# figure 3: the digits as 7×12 pictures. A bar above tells 0 from o, 2 from z, 4 from y and 5 from s.
DIGITS = (
    ".#####.  ...##..  .#####.  #######  .#####.  .#####.  ..####.  #######  .#####.  .#####.",
    ".......  ..###..  .......  .....##  .......  .......  .##....  .....##  ##...##  ##..###",
    "..###..  .####..  .#####.  ....##.  .......  #######  ##.....  .....##  ##...##  ##...##",
    ".##.##.  ...##..  ##...##  ...##..  .##..##  ##.....  ##.....  ....##.  ##...##  ##...##",
    "##...##  ...##..  #....##  ..####.  .##..##  ##.....  ######.  ...##..  .#####.  ##..###",
    "##...##  ...##..  ....##.  .....##  ###..##  .####..  ###..##  ...##..  ##...##  .######",
    "##...##  ...##..  ..###..  .....##  ##...##  ..####.  ##...##  ..##...  ##...##  .....##",
    "##...##  ...##..  .##....  .....##  ##...##  .....##  ##...##  ..##...  ##...##  .....##",
    ".##.##.  ...##..  ##.....  ##...##  ##..###  ##...##  ###..##  ..##...  ##...##  ....##.",
    "..###..  .######  #######  .#####.  .######  .#####.  .#####.  ..##...  .#####.  .####..",
    ".......  .......  .......  .......  .....##  .......  .......  .......  .......  .......",
    ".......  .......  .......  .......  .....##  .......  .......  .......  .......  .......",
)


class Squash(nn.Module):
    """f(a) = A tanh(S a) with A = 1.7159 and S = 2/3, so that f(1) = 1 and f(−1) = −1 (equation 6)."""

    def forward(self, a: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return 1.7159 * torch.tanh(2 / 3 * a)


class Subsampling(nn.Module):
    """Each 2×2 added up, times a coefficient, plus a bias, which every map learns: (b, c, h, w) → (b, c, h/2, w/2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.empty(channels, 1, 1))
        self.bias = nn.Parameter(torch.empty(channels, 1, 1))
        draw(4, self.coefficient, self.bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c _h _w"]:
        return self.coefficient * F.avg_pool2d(x, 2, divisor_override=1) + self.bias


class PartlyConnected(nn.Module):
    """A 5×5 convolution in which a map sees only some of the others: (b, 6, h, w) → (b, 16, h−4, w−4).

    60 · 25 + 16 weights. It breaks the symmetry between maps, and keeps the number of connections small (section II-B).
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(len(SEES), 5, 5))
        self.bias = nn.Parameter(torch.empty(16))
        maps_seen = Counter(map for map, _ in SEES)
        for (map, _), weight in zip(SEES, self.weight):
            draw(25 * maps_seen[map], weight)
        for map, bias in enumerate(self.bias):
            draw(25 * maps_seen[map], bias)

    def forward(self, x: Float[Tensor, "b 6 h w"]) -> Float[Tensor, "b 16 _h _w"]:
        filters = self.weight.new_zeros(16, 6, 5, 5)
        filters[[map for map, _ in SEES], [seen for _, seen in SEES]] = self.weight
        return F.conv2d(x, filters, self.bias)


class RadialBasis(nn.Module):
    """yᵢ = Σⱼ (xⱼ − wᵢⱼ)², how far x is from the code of each class (equation 7): (b, 84) → (b, classes).

    The codes of ten classes are pictures of the digits; of any other number, ±1 at random and the same every time.
    """

    codes: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.tensor(digit_codes() if classes == 10 else random_codes(classes)))

    def forward(self, x: Float[Tensor, "b 84"]) -> Float[Tensor, "b k"]:
        return (x[:, None] - self.codes).square().sum(-1)


def digit_codes() -> list[list[float]]:
    """(10, 84): +1 where figure 3 is black, −1 where it is white."""
    pictures = zip(*(row.split() for row in DIGITS))
    return [[1.0 if cell == "#" else -1.0 for row in picture for cell in row] for picture in pictures]


def random_codes(classes: int) -> list[list[float]]:
    bits = Draws(("lenet5_1998", "codes"), range(classes)).integers("code", 2, 84)
    return (2.0 * bits - 1).tolist()


def draw(inputs: int, *weights: Tensor) -> None:
    """Uniform in ±2.4 / the inputs of a unit (appendix A)."""
    with torch.no_grad():
        for weight in weights:
            weight.uniform_(-2.4 / inputs, 2.4 / inputs)


def drawn(layer: Weighted) -> Weighted:
    assert layer.bias is not None
    draw(layer.weight[0].numel(), layer.weight, layer.bias)
    return layer


def penalties(outputs: Float[Tensor, "b k"], targets: Int[Tensor, "b"]) -> Float[Tensor, ""]:
    """The maximum a posteriori criterion, equation 9: y_D + log(e^−j + Σᵢ e^−yᵢ), D the right class, meaned."""
    y = outputs.float()
    rubbish = y.new_full((len(y), 1), RUBBISH)
    y_D = y.gather(1, targets[:, None]).squeeze(1)
    return (y_D + torch.logsumexp(-torch.cat([rubbish, y], dim=1), dim=1)).mean()


@network(paper="doi:10.1109/5.726791", params=60_000, size=28, loss=penalties, read=torch.neg)
def lenet5_1998(classes: int = 10, channels: int = 1) -> nn.Sequential:
    """LeNet-5 as published: trainable subsampling, partly connected C3, scaled tanh, radial basis functions.

    x (b, channels, 28, 28) → penalties (b, classes): the smallest wins. The digit stands in the paper's 32×32 field,
    whose margin goes on with the background.
    """
    return stages(
        field=nn.ReplicationPad2d(2),           # (b,   1, 32, 32)
        c1=drawn(nn.Conv2d(channels, 6, 5)),    # (b,   6, 28, 28)
        squash1=Squash(),
        s2=Subsampling(6),                      # (b,   6, 14, 14)
        squash2=Squash(),
        c3=PartlyConnected(),                   # (b,  16, 10, 10)
        squash3=Squash(),
        s4=Subsampling(16),                     # (b,  16,  5,  5)
        squash4=Squash(),
        c5=drawn(nn.Conv2d(16, 120, 5)),        # (b, 120,  1,  1)
        squash5=Squash(),
        flat=nn.Flatten(),                      # (b, 120)
        f6=drawn(nn.Linear(120, 84)),           # (b,  84)
        squash6=Squash(),
        output=RadialBasis(classes),            # (b,  10)
    )  # fmt: skip
