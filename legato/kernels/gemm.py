"""Matrix products by gemm.c, for what the recurrent engine multiplies: `product(a, b)` equals `a @ b`.

On AMD, MKL's float32 products run at half the machine's speed and oneDNN packs the weights at every call; these pack
once, and the bits of a row do not depend on how many rows there are.
"""

import ctypes
from ctypes import c_int, c_long, c_void_p
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from legato.kernels.build import Unavailable, from_file

LINE = 64  # bytes
WORTH_A_THREAD = 1_000_000  # operations: less is done before another thread has woken up


@dataclass(frozen=True)
class Precision:
    """How numbers are kept and computed: `store` in memory, `real` in registers, sums and states."""

    name: str
    store: torch.dtype
    real: torch.dtype

    @property
    def lanes(self) -> int:
        """Numbers in a register of this machine, the width of a panel. Raises Unavailable."""
        return self.gemm.width() // self.real.itemsize

    @property
    def step(self) -> int:
        """Numbers of the inner dimension that one multiply-add takes."""
        return self.real.itemsize // self.store.itemsize

    @property
    def gemm(self) -> ctypes.CDLL:
        """gemm.c, compiled for these numbers. Raises Unavailable."""
        return from_file("gemm", self.name)


F64 = Precision("F64", torch.float64, torch.float64)
F32 = Precision("F32", torch.float32, torch.float32)
BF16 = Precision("BF16", torch.bfloat16, torch.float32)


@cache
def precision_of(dtype: torch.dtype) -> Precision | None:
    return {p.store: p for p in (F64, F32, BF16)}.get(dtype)


def precision(x: Tensor) -> Precision:
    """Of maps that a kernel's `fits` has taken."""
    found = precision_of(x.dtype)
    assert found is not None
    return found


def there(name: str, numbers: Precision) -> bool:
    """Whether the kernels of a file are, or can be, compiled for such numbers."""
    try:
        return bool(from_file(name, numbers.name))
    except Unavailable:
        return False


def threads_for(operations: int) -> int:
    """As many of torch's threads as so much work is worth. No number depends on it."""
    return max(1, min(torch.get_num_threads(), operations // WORTH_A_THREAD))


def address(t: Tensor | None) -> c_void_p:
    return c_void_p(None if t is None else t.data_ptr())


def packed(b: Tensor, p: Precision, out: Tensor | None = None, every: int = 1, at: int = 0) -> Tensor:
    """b (k, n), of any strides, in panels of a register's width; into each `every`-th panel of `out` from `at` on."""
    k, n = b.shape
    panels, panel = -(-n // p.lanes), -(-k // p.step) * p.step * p.lanes
    if out is None:
        out = aligned(panels * every * panel, p.store)
    if b.dtype not in (p.real, p.store):
        b = b.to(p.real)
    pack = p.gemm.pack_store if b.dtype == p.store else p.gemm.pack_real
    start = c_void_p(out.data_ptr() + at * panel * p.store.itemsize)
    row, col = (c_long(s) for s in b.stride())
    pack(c_long(k), c_long(n), address(b), row, col, start, c_long(every), c_int(threads_for(8 * k * n)))
    return out


def aligned(size: int, dtype: torch.dtype) -> Tensor:
    """Room for `size` numbers that begins at a cache line."""
    spare = LINE // dtype.itemsize
    room = torch.empty(size + spare, dtype=dtype)
    skip = -room.data_ptr() % LINE // dtype.itemsize
    return room[skip : skip + size]


def product(
    a: Float[Tensor, "..."],
    b: Float[Tensor, "k n"],
    p: Precision,
    transpose: bool = False,
    bias: Tensor | None = None,
    wide: bool = False,
    add_to: Tensor | None = None,
) -> Float[Tensor, "m n"]:
    """a @ b + bias, a (m, k), or with `transpose` aᵀ @ b, a (k, m); `wide` answers in p.real, else in p.store."""
    a = a.to(p.store)
    if transpose and p is not BF16:  # a sum over rows: nothing is packed twice, and torch's is a quarter faster
        return torch.mm(a.t(), b) if add_to is None else add_to.addmm_(a.t(), b)
    k, n = b.shape
    m = a.shape[1] if transpose else a.shape[0]
    if a.stride(1) != 1 or (k % p.step and not transpose):
        a = pad(a, (0, 0 if transpose else k % p.step)).contiguous()
    out = torch.empty(m, n, dtype=p.real if wide else p.store) if add_to is None else add_to
    if bias is not None:
        bias = bias.to(p.real).contiguous()
    panels = packed(b, p)
    p.gemm.product(
        *(c_long(m), c_long(n), c_long(k), address(a), c_long(a.stride(0)), c_int(transpose), address(panels)),
        *(address(bias), address(out), c_long(out.stride(0)), c_int(not wide), c_int(add_to is not None)),
        c_int(threads_for(2 * m * n * k)),
    )
    return out


class Product(torch.autograd.Function):
    """x Wᵀ + b, with the gradients of W and b in the master's own precision."""

    @staticmethod
    def forward(ctx, x, weight, bias, p):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, weight)
        ctx.p, ctx.biased = p, bias is not None
        return product(x, weight.t(), p, bias=bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy):  # type: ignore[no-untyped-def]
        (x, weight), p = ctx.saved_tensors, ctx.p
        dx = product(dy, weight, p).to(x.dtype) if ctx.needs_input_grad[0] else None
        dw = product(dy, x, p, transpose=True, wide=True).to(weight.dtype) if ctx.needs_input_grad[1] else None
        db = dy.sum(0, dtype=p.real).to(weight.dtype) if ctx.biased and ctx.needs_input_grad[2] else None
        return dx, dw, db, None


def linear(x: Float[Tensor, "m k"], weight: Float[Tensor, "n k"], bias: Tensor | None, p: Precision) -> Tensor:
    """F.linear in this precision: (m, n) p.store; gradients of W and b in W's precision."""
    return Product.apply(x, weight, bias, p)
