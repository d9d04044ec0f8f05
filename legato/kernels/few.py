"""Convolutions between few channels by few.c: LeNet-5's two, which take half of its training.

For maps on a CPU that lie channels last, in float32 or float64; `fits` says whether these do.
"""

from ctypes import c_int, c_long

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from legato.kernels.build import from_file
from legato.kernels.gemm import address, precision, precision_of, there, threads_for

SLICES = 32  # of few.c
PANELS = 2  # registers that outputs may fill; inputs too, whose gradient is a convolution back
WIDEST = 11  # pixels of a window


def suits(conv: nn.Conv2d) -> bool:
    """Whether it is a convolution of this kind, as far as its weights show."""
    if conv.padding_mode != "zeros" or not isinstance(conv.padding, tuple):
        return False
    (size, wide), (padding, sides), (stride, steps) = conv.kernel_size, conv.padding, conv.stride
    square = size == wide and padding == sides and stride == steps and size <= WIDEST and padding < size
    return square and conv.dilation == (1, 1) and conv.groups == 1


def fits(x: Tensor, weight: Tensor, stride: int, padding: int) -> bool:
    """Whether the kernels take these maps (b, i, h, w) and filters (o, i, k, k)."""
    numbers = precision_of(x.dtype)
    if numbers is None or x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or x.dim() != 4 or not x.numel():
        return False
    if numbers.store != numbers.real or weight.dtype != x.dtype or not there("few", numbers):
        return False
    if max(weight.shape[:2]) > PANELS * numbers.lanes or (x.requires_grad and stride > 1):
        return False
    whole = min(x.shape[2:]) + 2 * padding >= weight.shape[2]
    return whole and x.is_contiguous(memory_format=torch.channels_last)


class Convolve(torch.autograd.Function):
    """w ∗ x + b, cross-correlation as everywhere; no gradient of x where the stride is more than 1."""

    @staticmethod
    def forward(ctx, x, weight, bias, stride, padding):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding, ctx.biased = stride, padding, bias is not None
        return convolved(x, weight.permute(2, 3, 1, 0), bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):  # type: ignore[no-untyped-def]
        (x, weight), stride, padding = ctx.saved_tensors, ctx.stride, ctx.padding
        dy, dx, dw, db = dy.contiguous(memory_format=torch.channels_last), None, None, None
        if ctx.needs_input_grad[0]:  # a convolution back, with the filters turned about
            dx = convolved(dy, weight.flip(2, 3).permute(2, 3, 0, 1), None, 1, weight.shape[2] - 1 - padding)
        if any(ctx.needs_input_grad[1:3]):
            dw, db = gradients(x, dy, weight.shape, stride, padding)
        return dx, dw, db if ctx.biased else None, None, None


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """x (b, i, h, w) by filters (k, k, i, o), zeros around."""
    (b, i, h, w), (size, _, _, o) = x.shape, weight.shape
    p = precision(x)
    spare = -o % p.lanes
    u = F.pad(weight, (0, spare)).contiguous()
    bias = x.new_zeros(o + spare) if bias is None else F.pad(bias, (0, spare))
    high, wide = ((n + 2 * padding - size) // stride + 1 for n in (h, w))
    y = torch.empty(b, o, high, wide, dtype=x.dtype, memory_format=torch.channels_last)
    from_file("few", p.name).forward(
        *map(c_long, (b, h, w, i, o, size, stride, padding)),
        *(address(x), address(u), address(bias), address(y), c_int(threads_for(2 * y.numel() * u[..., 0].numel()))),
    )
    return y


def gradients(x: Tensor, dy: Tensor, shape: torch.Size, stride: int, padding: int) -> tuple[Tensor, Tensor]:
    """Of filters (o, i, k, k), and of the bias (o,)."""
    (b, i, h, w), (o, _, size, _) = x.shape, shape
    p, taps = precision(x), size * size * i
    du = torch.empty(taps + 1, o + -o % p.lanes, dtype=x.dtype)
    room = torch.empty(SLICES * du.numel(), dtype=x.dtype)
    from_file("few", p.name).gradient(
        *map(c_long, (b, h, w, i, o, size, stride, padding)),
        *(address(x), address(dy), address(du), address(room), c_int(threads_for(2 * dy.numel() * taps))),
    )
    return du[:taps, :o].view(size, size, i, o).permute(3, 2, 0, 1), du[taps, :o].clone()
