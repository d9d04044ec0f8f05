"""Convolutions of 3 × 3 at stride 1 by winograd.c: F(4 × 4, 3 × 3) of Lavin & Gray 2015, arXiv:1509.09308.

A quarter of the multiplications, for training in float32 on a CPU without bfloat16; sums are rounded in other places
than torch's, to some five times its error, 1e-6 to 1e-5 of the largest number. For maps that lie channels last and
whose channels fill registers; `fits` says whether these do.
"""

from ctypes import c_int, c_long
from math import isqrt
from threading import local

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from legato.kernels.build import from_file
from legato.kernels.gemm import LINE, address, precision, precision_of, there, threads_for

PLACES, TILE = 36, 4  # of winograd.c
FEWEST, MOST = 64, 256  # tiles of a chunk: few channels' stay in the cache, many channels read filters less often
WORTH_IT = 256  # pixels of all pictures: the filters of fewer cost more to make than is saved


def suits(conv: nn.Conv2d) -> bool:
    """Whether it is a convolution of this kind, as far as its weights show."""
    if conv.padding_mode != "zeros" or not isinstance(conv.padding, tuple):
        return False
    ones = (1, 1)
    plain = conv.stride == ones and conv.dilation == ones and conv.groups == 1
    return plain and conv.kernel_size == (3, 3) and conv.padding[0] == conv.padding[1]


def fits(x: Tensor, weight: Tensor, padding: int) -> bool:
    """Whether the kernels take these maps (b, i, h, w) and filters (o, i, 3, 3), and are worth it."""
    numbers = precision_of(x.dtype)
    if numbers is None or x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or x.dim() != 4:
        return False
    if numbers.store != numbers.real or weight.dtype != x.dtype or not there("winograd", numbers):
        return False
    (b, _, h, w), pixels = x.shape, (x.shape[2] + 2 * padding - 2, x.shape[3] + 2 * padding - 2)
    if min(pixels) < 1 or b * h * w < WORTH_IT or any(n % numbers.lanes for n in weight.shape[:2]):
        return False
    return x.is_contiguous(memory_format=torch.channels_last)


class Convolve(torch.autograd.Function):
    """w ∗ x + b, cross-correlation as everywhere: (b, i, h, w) → (b, o, h + 2p − 2, w + 2p − 2)."""

    @staticmethod
    def forward(ctx, x, weight, bias, padding):  # type: ignore[no-untyped-def]
        (b, i, h, w), o, lib = x.shape, len(weight), from_file("winograd", precision(x).name)
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.biased = padding, bias is not None
        high, wide = h + 2 * padding - 2, w + 2 * padding - 2
        y = torch.empty(b, o, high, wide, dtype=x.dtype, memory_format=torch.channels_last)
        threads, (chunk, tiles) = threads_for(18 * i * y.numel()), chunk_of(y, i)
        u, room = scratch(x, apart(o, i, x), apart(tiles, i, x) + apart(tiles, o, x))
        filters(weight, True, u)
        lib.forward(
            *(*map(c_long, (b, h, w, i, o, padding)), address(x), address(u)),
            *(address(bias), address(y), address(room), c_long(chunk), c_int(threads)),
        )
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):  # type: ignore[no-untyped-def]
        (x, weight), padding = ctx.saved_tensors, ctx.padding
        (b, i, h, w), o, lib = x.shape, len(weight), from_file("winograd", precision(x).name)
        dy = dy.contiguous(memory_format=torch.channels_last)
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        dw = torch.empty_like(weight, memory_format=torch.channels_last) if ctx.needs_input_grad[1] else None
        threads, (chunk, tiles), line = threads_for(36 * i * dy.numel()), chunk_of(dy, i), o + spare(x)
        size = apart(o, i, x)
        u, room = scratch(x, 0 if dx is None else size, apart(tiles, line, x) + 2 * apart(tiles, i, x) + size)
        if dx is not None:
            filters(weight, False, u)
        lib.backward(
            *(*map(c_long, (b, h, w, i, o, padding)), address(x), address(dy), address(u)),
            *(address(dx), address(dw), address(room), c_long(chunk), c_int(threads)),
        )
        return dx, dw, dy.sum((0, 2, 3)) if ctx.biased and ctx.needs_input_grad[2] else None, None


def filters(weight: Tensor, forward: bool, to: Tensor) -> None:
    """(o, i, 3, 3) → G w Gᵀ, packed for products with x or with dy."""
    (o, i), threads = weight.shape[:2], threads_for(4 * to.numel())
    weight = weight.contiguous(memory_format=torch.channels_last)
    from_file("winograd", precision(weight).name).filters(
        c_long(o), c_long(i), address(weight), c_int(forward), address(to), c_int(threads)
    )


class Kept(local):
    """Of each thread its own."""

    def __init__(self) -> None:
        self.rooms: dict[torch.dtype, Tensor] = {}


KEPT = Kept()


def scratch(x: Tensor, *sizes: int) -> tuple[Tensor, ...]:
    """Room for what lasts as long as a call, 36 times these sizes, kept by the thread: to be given so much anew by the
    system at every call would take as long as the products."""
    need, rooms = PLACES * sum(sizes), KEPT.rooms
    if x.dtype not in rooms or rooms[x.dtype].numel() < need:
        rooms[x.dtype] = torch.empty(need, dtype=x.dtype)
    return rooms[x.dtype][:need].split([PLACES * size for size in sizes])


def chunk_of(y: Tensor, inputs: int) -> tuple[int, int]:
    """Rows of tiles that are worked on together, and their tiles, for outputs like these; whatever the threads."""
    tall, broad = (-(-n // TILE) for n in y.shape[2:])
    wanted = min(max(isqrt(inputs * y.shape[1]) // 2, FEWEST), MOST)
    rows = min(max(1, wanted // broad), len(y) * tall)
    return rows, rows * broad


def spare(x: Tensor) -> int:
    """Numbers of a cache line."""
    return LINE // x.element_size()


def apart(tiles: int, line: int, x: Tensor) -> int:
    """Numbers between two places of a chunk: the same as winograd.c's."""
    return tiles * line + spare(x)
