"""Classification and localisation: one trunk, two heads (lecture 000; Sermanet et al. 2014, "OverFeat",
arXiv:1312.6229, section 4).

The last map of a trunk becomes one vector, as VGG's 4,096 numbers are; from it one dense layer says what, another
where: x and y of the upper left corner, width and height, as shares of the picture's.
"""

from jaxtyping import Float
from torch import Tensor, nn

from legato.layers.conv import ConvRelu
from legato.layers.stages import stages
from legato.networks.trunk import Trunk

WIDTH = 256  # of the vector
REDUCED = 64  # channels of the map it is made of


class Localizer(nn.Module):
    """(b, c, size, size) → logits (b, classes) and boxes (b, 4)."""

    def __init__(self, trunk: Trunk, classes: int, size: int) -> None:
        super().__init__()
        side = -(-size // trunk.strides[-1])
        self.trunk = trunk
        self.features = stages(
            reduce=ConvRelu(trunk.channels[-1], REDUCED, 1),
            pool=nn.AdaptiveAvgPool2d(side),  # maps that lose a position at the edge get the same number
            flat=nn.Flatten(),
            hidden=nn.Linear(REDUCED * side**2, WIDTH),
            relu=nn.ReLU(),
        )
        self.what = nn.Sequential(nn.Dropout(0.5), nn.Linear(WIDTH, classes))  # a box is too exact to drop half of it
        self.where = nn.Linear(WIDTH, 4)

    def forward(self, x: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b 4"]]:
        features = self.features(self.trunk(x)[-1])
        return self.what(features), 0.5 + self.where(features)
