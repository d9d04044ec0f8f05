"""Transposed convolution: the backward pass of a convolution, run forwards. Also called deconvolution (which in signal
processing is something else: undoing a filter), upconvolution, and backward strided convolution.

Each input value stamps the kernel, times itself, onto the output; stamps that overlap add up. Where the stride does not
divide the kernel's size they overlap unevenly: the chequerboard of many generated pictures.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.errors import UsageError

Pair = tuple[int, int]


def adjoint(conv: nn.Conv2d) -> nn.ConvTranspose2d:
    """The transposed convolution with conv's own (shared) weights: ⟨conv(x), y⟩ = ⟨x, adjoint(conv)(y)⟩, bias aside.

    Several sizes of x lead to one of y: call it as `adjoint(conv)(y, output_size=x.shape[-2:])`.
    """
    if isinstance(conv.padding, str):
        raise UsageError(f"a transposed convolution needs its padding in pixels, not {conv.padding!r}")
    size, stride, padding, dilation = cast(list[Pair], [conv.kernel_size, conv.stride, conv.padding, conv.dilation])
    transposed = nn.ConvTranspose2d(
        *(conv.out_channels, conv.in_channels, size, stride, padding),
        groups=conv.groups,
        bias=False,
        dilation=dilation,
        device="meta",
    )
    transposed.weight = conv.weight
    return transposed


def bilinear_kernel(factor: int) -> Float[Tensor, "k k"]:
    """The stamp with which a transposed convolution of stride `factor` interpolates; k = 2·factor − factor % 2.

    Long, Shelhamer & Darrell 2015, "Fully convolutional networks for semantic segmentation" (arXiv:1411.4038), 3.3.
    """
    size = 2 * factor - factor % 2
    from_centre = torch.arange(size) - (size - 1) / 2
    tent = 1 - from_centre.abs() / factor
    return tent.outer(tent)


def bilinear_upsampling(channels: int, factor: int) -> nn.ConvTranspose2d:
    """(b, channels, h, w) → (b, channels, factor·h, factor·w): starts as bilinear interpolation, and learns from there.

    As in the paper every channel may learn to see every other; at first each sees only itself. Pixels beyond the edge
    count as 0, so that a border of factor / 2 pixels is darker than `F.interpolate` makes it.
    """
    kernel = bilinear_kernel(factor)
    layer = nn.ConvTranspose2d(channels, channels, len(kernel), stride=factor, padding=factor // 2, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[range(channels), range(channels)] = kernel
    return layer
