"""What follows a convolution, by maps.c: batch normalisation with what is added to it and the rectifier behind it, and
maxima of what is rectified. Each is one pass over memory where torch makes two or three.

For maps on a CPU, channels last, in training; `fits` says whether these are.
"""

from ctypes import c_double, c_int, c_long
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from legato.kernels.build import from_file
from legato.kernels.gemm import address, precision, precision_of, there, threads_for

SLICES = 32  # of maps.c
SPARE = 64  # bytes at the end that its registers reach over
MOST = 4096  # channels: rows of them lie on a thread's stack
WIDEST = 11  # pixels of a window whose largest is taken


class Window(NamedTuple):
    """Of a maximum: so many pixels a side, so far apart, zeros around."""

    size: int
    stride: int
    padding: int


def fits(*maps: Tensor) -> bool:
    """Whether there is a kernel for such maps: on a CPU, channels last, of one shape and type."""
    x = maps[0]
    numbers = precision_of(x.dtype)
    if x.device.type != "cpu" or numbers is None or x.dim() != 4 or not x.numel() or x.shape[1] > MOST:
        return False
    alike = all(m.shape == x.shape and m.dtype == x.dtype for m in maps)
    return alike and all(m.is_contiguous(memory_format=torch.channels_last) for m in maps) and there("maps", numbers)


class NormRelu(torch.autograd.Function):
    """relu(γ (x − μ) / σ + β + other) → y, μ, the variance without bias; μ and σ over all pixels of the batch."""

    @staticmethod
    def forward(ctx, x, other, gamma, beta, eps, rectify):  # type: ignore[no-untyped-def]
        p, (rows, channels) = precision(x), rows_of(x)
        y = torch.empty_like(x)
        mean, inverse, variance = torch.empty(3, channels, dtype=p.real).unbind()
        room = torch.empty(2 * SLICES * channels, dtype=torch.float64)
        from_file("maps", p.name).norm_forward(
            *(c_long(rows), c_long(channels), address(x), address(other), address(gamma), address(beta)),
            *(c_int(rectify), c_double(eps), address(y), address(mean), address(inverse), address(variance)),
            *(address(room), c_int(threads_for(8 * x.numel()))),
        )
        ctx.added, ctx.rectify = other is not None, rectify
        ctx.save_for_backward(x, y if rectify and ctx.added else None, gamma, beta, mean, inverse)
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx, dy, *_):  # type: ignore[no-untyped-def]
        x, y, gamma, beta, mean, inverse = ctx.saved_tensors
        p, (rows, channels) = precision(x), rows_of(x)
        dy = dy.to(x.dtype).contiguous(memory_format=torch.channels_last)
        dx, dother = torch.empty_like(x), torch.empty_like(x) if ctx.added and y is not None else None
        dgamma, dbeta = torch.empty(2, channels, dtype=p.real).unbind()
        room = torch.empty(2 * SLICES * channels, dtype=torch.float64)
        from_file("maps", p.name).norm_backward(
            *(c_long(rows), c_long(channels), address(x), address(y), address(dy), address(gamma), address(beta)),
            *(address(mean), address(inverse), c_int(ctx.rectify), address(dx), address(dother), address(dgamma)),
            *(address(dbeta), address(room), c_int(threads_for(8 * x.numel()))),
        )
        return dx, dy if ctx.added and y is None else dother, dgamma, dbeta, None, None


class MaxPool(torch.autograd.Function):
    """The largest of each window, after the rectifier if `rectify`: (b, c, h, w) → (b, c, high, wide)."""

    @staticmethod
    def forward(ctx, x, window, rectify, high, wide):  # type: ignore[no-untyped-def]
        p, (b, c, h, w) = precision(x), x.shape
        y = torch.empty(b, c, high, wide, dtype=x.dtype, memory_format=torch.channels_last)
        place = torch.empty(y.numel() + SPARE, dtype=torch.uint8)
        from_file("maps", p.name).pool_forward(
            *(*map(c_long, (b, h, w, c)), address(x), *map(c_int, window), c_int(rectify), c_long(high), c_long(wide)),
            *(address(y), address(place), c_int(threads_for(4 * x.numel()))),
        )
        ctx.save_for_backward(place)
        ctx.window, ctx.shape = window, x.shape
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):  # type: ignore[no-untyped-def]
        (place,), p, (b, c, h, w) = ctx.saved_tensors, precision(dy), ctx.shape
        dy = dy.contiguous(memory_format=torch.channels_last)
        dx = torch.empty(ctx.shape, dtype=dy.dtype, memory_format=torch.channels_last)
        from_file("maps", p.name).pool_backward(
            *(*map(c_long, (b, h, w, c)), address(dy), address(place), *map(c_int, ctx.window)),
            *(*map(c_long, dy.shape[2:]), address(dx), c_int(threads_for(4 * dx.numel()))),
        )
        return dx, None, None, None, None


def rows_of(x: Tensor) -> tuple[int, int]:
    """Pixels of all pictures, and channels."""
    return x.numel() // x.shape[1], x.shape[1]
