"""Dense layers as convolutions, and convolutions as dense layers: weights are only rearranged (lecture 001)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from legato.errors import UsageError
from legato.layers.true_conv import TrueConv2d


def dense_to_conv(
    linear: nn.Linear, channels: int, height: int, width: int, dilation: tuple[int, int] = (1, 1)
) -> nn.Conv2d:
    """The convolution that equals `linear` on a flattened (channels, height, width) map; 1×1 for a layer behind it.

    It shares linear's memory: nothing is copied.
    """
    if linear.in_features != channels * height * width:
        raise UsageError(f"a layer of {linear.in_features} inputs does not see a map of {channels}×{height}×{width}")
    kernel = (height, width)
    conv = nn.Conv2d(channels, linear.out_features, kernel, dilation=dilation, bias=False, device="meta")
    conv.weight = nn.Parameter(linear.weight.detach().unflatten(1, (channels, *kernel)))
    if linear.bias is not None:
        conv.bias = nn.Parameter(linear.bias.detach())
    return conv


def conv_to_dense(conv: nn.Conv2d, height: int, width: int) -> nn.Linear:
    """The dense layer that equals `conv` on a flattened picture of this size; most of its weights are 0."""
    matrix = conv_matrix(conv, height, width)
    linear = nn.Linear(matrix.shape[1], matrix.shape[0], bias=conv.bias is not None, device="meta")
    linear.weight = nn.Parameter(matrix.to_dense())
    if conv.bias is not None:
        linear.bias = nn.Parameter(conv.bias.detach().repeat_interleave(len(matrix) // conv.out_channels))
    return linear


def conv_matrix(conv: nn.Conv2d, height: int, width: int) -> Float[Tensor, "outputs inputs"]:
    """The sparse matrix (o·h'·w', c·height·width) of `conv` on a flattened (c, height, width) picture, bias aside.

    Each weight stands h'·w' times in it (less where it falls on padding), and all else is 0.
    """
    if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        raise UsageError(
            f"only zero padding given in pixels makes a matrix of weights, not {conv.padding_mode} {conv.padding}"
        )
    here, inputs = conv.weight.device, conv.in_channels * height * width
    pixels = torch.arange(1, inputs + 1, dtype=torch.float64, device=here).view(1, -1, height, width)  # 0 is padding
    seen = F.unfold(pixels, conv.kernel_size, conv.dilation, conv.padding, conv.stride).long() - 1
    places = seen.shape[-1]  # h'·w'

    weight = conv.weight.detach().flip(-2, -1) if isinstance(conv, TrueConv2d) else conv.weight.detach()
    weight = weight.view(conv.groups, conv.out_channels // conv.groups, -1, 1)  # (g, o/g, taps, 1)
    columns = seen.view(conv.groups, 1, -1, places)  # the pixel that each tap sees at each place
    rows = torch.arange(conv.out_channels * places, device=here).view(conv.groups, -1, 1, places)
    rows, columns, values = torch.broadcast_tensors(rows, columns, weight)
    inside = columns >= 0
    index, size = torch.stack([rows[inside], columns[inside]]), (conv.out_channels * places, inputs)
    return torch.sparse_coo_tensor(index, values[inside], size, check_invariants=True).coalesce()
