"""DeepPose: joints as numbers, found by regression and refined in a cascade (Toshev & Szegedy 2014, arXiv:1312.4659).

Points are x and y as shares of the picture's sides, 0 to 1. The first stage sees the whole picture (section 3.1); each
further one cuts a window around every joint as it stands and regresses how far the truth lies from there (section 3.2,
figure 2).
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.layers.conv import ConvRelu
from legato.layers.normalize import Normalize
from legato.layers.stages import stages

Points = Float[Tensor, "b k 2"]
WINDOW = 0.3  # side of the windows that stages look at, of the picture's
SIDE = 32  # the same in pixels, as the stage sees it
LEAST_ERROR = 0.03  # of the picture's side: standard deviation of the errors that refinements are trained on


class DeepPose(nn.Module):
    """A first look at the whole picture, and as many closer ones as there are `refinements`."""

    def __init__(self, first: nn.Module, refinements: Sequence[nn.Module]) -> None:
        super().__init__()
        self.first, self.refinements = first, nn.ModuleList(refinements)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Points:
        return self.course(x)[-1]

    def course(
        self, x: Float[Tensor, "b c h w"], start: Callable[[Points], Points] | None = None
    ) -> Float[Tensor, "s b k 2"]:
        """The joints after each stage; the last is the answer.

        A stage begins where the last one ended. In training `start` may say otherwise: it is given the last points and
        answers with others, as the paper draws simulated errors around the truth, which the network never sees.
        """
        found = [self.first(x)]
        for refine in self.refinements:
            begin = found[-1].detach() if start is None else start(found[-1].detach())
            found.append(begin + WINDOW * refine(x, begin))
        return torch.stack(found)

    def losses(self, x: Float[Tensor, "b c h w"], truth: Points) -> dict[str, Tensor]:
        """The distance along x and y, in picture sides, after each stage; of joints that are known (not NaN).

        |error| instead of the paper's square: it learns better (Sun et al. 2018, arXiv:1711.08229, table 2).
        """
        known = truth.isfinite()

        def start(found: Points) -> Points:
            """The truth, as far off as the last stage is in this batch (section 3.2)."""
            error = torch.where(known, found - truth, 0).square().sum(0, keepdim=True)
            spread = (error / known.sum(0, keepdim=True).clamp(min=1)).sqrt().clamp(min=LEAST_ERROR)
            return torch.where(known, truth, found) + spread * torch.randn_like(truth)

        far = [torch.where(known, found.float() - truth, 0).abs().sum() for found in self.course(x, start)]
        return {f"stage{s}": value / known.sum().clamp(min=1) for s, value in enumerate(far, start=1)}


class Regression(nn.Module):
    """Any classifier with 2k outputs, read as k points from the picture's middle (section 3.1)."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Float[Tensor, "b c h w"]) -> Points:
        return 0.5 + self.classifier(x).unflatten(1, (-1, 2))


class Refinement(nn.Module):
    """Looks at a window around each of k joints; how far, in windows, the truth lies from its middle."""

    def __init__(self, joints: int, channels: int = 3) -> None:
        super().__init__()
        self.look = stages(
            normalize=Normalize([0.5] * channels, [0.25] * channels),
            conv1=ConvRelu(channels, 32, 5),                 # (b k, 32, 32, 32)
            pool1=nn.MaxPool2d(2),                           # (b k, 32, 16, 16)
            conv2=ConvRelu(32, 64, 3),                       # (b k, 64, 16, 16)
            pool2=nn.MaxPool2d(2),                           # (b k, 64,  8,  8)
            conv3=ConvRelu(64, 64, 3),                       # (b k, 64,  8,  8)
            pool3=nn.MaxPool2d(2),                           # (b k, 64,  4,  4)
            flat=nn.Flatten(),                               # (b k, 1024)
            hidden=nn.Linear(64 * (SIDE // 8) ** 2, 128),    # (b k, 128)
            relu=nn.ReLU(),
            dropout=nn.Dropout(0.5),
        )  # fmt: skip
        self.displace = nn.Parameter(torch.zeros(joints, 128, 2))  # a last layer for each joint

    def forward(self, x: Float[Tensor, "b c h w"], points: Points) -> Points:
        b, k, _ = points.shape
        seen = self.look(windows(x, points)).unflatten(0, (b, k))
        return torch.einsum("bkn,knd->bkd", seen, self.displace)


def windows(x: Float[Tensor, "b c h w"], points: Points) -> Float[Tensor, "_n c _side _side"]:
    """Squares cut out around each point, (b k, c, 32, 32); beyond the edge the picture is 0."""
    b, k, _ = points.shape
    offsets = WINDOW * ((torch.arange(SIDE, device=x.device) + 0.5) / SIDE - 0.5)
    dy, dx = torch.meshgrid(offsets, offsets, indexing="ij")
    places = points[:, :, None, None] + torch.stack([dx, dy], dim=-1)  # (b, k, 32, 32, 2)
    grid = (2 * places - 1).view(b, k * SIDE, SIDE, 2).to(x.dtype)
    cut = F.grid_sample(x, grid, padding_mode="zeros", align_corners=False)  # (b, c, k · 32, 32)
    return cut.unflatten(2, (k, SIDE)).transpose(1, 2).flatten(0, 1)
