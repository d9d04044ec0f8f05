"""Features made by hand, to set beside those a network learns: histograms of oriented gradients, and a linear SVM.

Dalal & Triggs 2005, "Histograms of oriented gradients for human detection", sections 4 and 6.
"""

from math import pi
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from legato.errors import UsageError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline
else:
    Pipeline = Any  # scikit-learn loads when the first machine is fitted

EPSILON = 1e-3  # of the L2 norm of a block, so that an even patch has no direction
CLIP = 0.2  # the largest share of a block that one direction may have (section 6.4)


def hog(x: Float[Tensor, "b c h w"], cell: int = 8, block: int = 2, bins: int = 9) -> Float[Tensor, "b n"]:
    """What edges there are, where, and in which direction, as numbers of blocks that overlap.

    A cell is cell × cell pixels, of which each votes for its gradient's direction (unsigned: `bins` of them from 0° to
    180°) with the gradient's size, shared between the two nearest directions and the four nearest cells. A block is
    block × block cells, normalised together; n = blocks · block² · bins. Pixels beyond the last whole cell are cut off.
    Not here: the Gaussian window over each block, worth 1 % in the paper (section 6.4). Raises UsageError for pictures
    smaller than a block.
    """
    h, w = (side // cell * cell for side in x.shape[2:])
    if min(h, w) < block * cell:
        raise UsageError(f"a picture of {x.shape[2]} × {x.shape[3]} has no {block} × {block} cells of {cell} pixels")
    gx, gy = gradients(x[:, :, :h, :w])
    size, angle = torch.hypot(gx, gy), torch.atan2(gy, gx) % pi
    votes = size[:, None] * shares(angle * bins / pi, bins)  # (b, bins, h, w)
    rows, columns = (nearness(side, cell).to(x) for side in (h, w))
    cells = rows @ votes @ columns.T  # (b, bins, h / cell, w / cell)
    windows = cells.unfold(2, block, 1).unfold(3, block, 1)  # (b, bins, blocks down, blocks across, block, block)
    v = windows.permute(0, 2, 3, 4, 5, 1).flatten(3)  # (b, blocks down, blocks across, block² · bins)
    return unit(unit(v).clamp(max=CLIP)).flatten(1)  # L2-Hys


def gradients(x: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b h w"], Float[Tensor, "b h w"]]:
    """Across and down by [−1 0 1]; of the colour whose gradient is largest at each pixel. Edges are repeated."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    gx = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    gy = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    steepest = torch.hypot(gx, gy).argmax(dim=1, keepdim=True)
    return gx.gather(1, steepest).squeeze(1), gy.gather(1, steepest).squeeze(1)


def shares(at: Float[Tensor, "b h w"], bins: int) -> Float[Tensor, "b bins h w"]:
    """How a vote at `at` in [0, bins) is shared: bin k, whose middle is k + ½, has 1 − its distance on the circle."""
    middles = torch.arange(bins, device=at.device, dtype=at.dtype) + 0.5
    apart = (at[:, None] - middles[:, None, None]).abs()
    return (1 - torch.minimum(apart, bins - apart)).clamp(min=0)


def nearness(side: int, cell: int) -> Float[Tensor, "cells side"]:
    """Of each pixel to each cell: 1 − the distance of their middles in cells, at least 0."""
    middles = cell * (torch.arange(side // cell) + 0.5)
    pixels = torch.arange(side) + 0.5
    return (1 - (pixels - middles[:, None]).abs() / cell).clamp(min=0)


def unit(v: Float[Tensor, "*n k"]) -> Float[Tensor, "*n k"]:
    return v / (v.square().sum(-1, keepdim=True) + EPSILON**2).sqrt()


def linear_svm(features: Float[Tensor, "b n"], classes: Int[Tensor, "b"], C: float = 0.01) -> Pipeline:
    """A linear support vector machine on features brought to mean 0 and deviation 1: `predict(features)` → classes."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    machine = make_pipeline(StandardScaler(), LinearSVC(C=C, random_state=0))
    return machine.fit(features.cpu().numpy(), classes.cpu().numpy())
