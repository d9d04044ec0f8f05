"""Kernels made by hand, before they were learnt: the seven that the lecture prints.

All are symmetric about their centre, so that convolution and cross-correlation give the same picture.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

HAND_KERNELS: dict[str, Tensor] = {
    "identity": torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]]),
    "edges, diagonal": torch.tensor([[1.0, 0, -1], [0, 0, 0], [-1, 0, 1]]),
    "edges, 4 neighbours": torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "edges, 8 neighbours": torch.tensor([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
    "sharpen": torch.tensor([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "box blur": torch.tensor([[1.0, 1, 1], [1, 1, 1], [1, 1, 1]]) / 9,
    "gaussian blur": torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16,
}


def filter_image(image: Float[Tensor, "b c h w"], kernel: Float[Tensor, "k k"]) -> Float[Tensor, "b c h w"]:
    """Each channel under the same kernel of odd size; pixels beyond the edge repeat those on it."""
    channels, margin = image.shape[1], len(kernel) // 2
    padded = F.pad(image, (margin,) * 4, mode="replicate")
    return F.conv2d(padded, kernel.to(image).expand(channels, 1, -1, -1), groups=channels)
