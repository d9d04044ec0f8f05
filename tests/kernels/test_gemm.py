import pytest
import torch

from legato.kernels.gemm import BF16, F32, F64, linear, packed, product

SIZES = [(50, 37, 19), (7, 64, 64), (100, 512, 200), (3, 2, 1), (1, 301, 77), (130, 5, 16)]
TOLERANCE = {F64: 1e-14, F32: 2e-6, BF16: 2e-6}


def near(found, true, tolerance):
    return float((found.double() - true).abs().max() / true.abs().max()) < tolerance


@pytest.mark.parametrize("p", [F64, F32, BF16], ids=lambda p: p.name)
@pytest.mark.parametrize("size", SIZES)
def test_equals_torch_in_float64(p, size):
    m, k, n = size
    a, b, bias = torch.randn(m, k).to(p.store), torch.randn(k, n, dtype=p.real), torch.randn(n, dtype=p.real)
    true = a.double() @ b.to(p.store).double() + bias
    assert near(product(a, b, p, bias=bias, wide=True), true, TOLERANCE[p])
    assert near(product(a, b.t().contiguous().t(), p, bias=bias, wide=True), true, TOLERANCE[p])
    assert near(product(a, b, p, bias=bias), true, TOLERANCE[p] if p is not BF16 else 2**-8)
    turned = product(a.t().contiguous(), b, p, transpose=True, wide=True)
    assert near(turned, true - bias, TOLERANCE[p])
    total = torch.ones(m, n, dtype=p.real)
    product(a.t().contiguous(), b, p, transpose=True, wide=True, add_to=total)
    assert near(total, turned.double() + 1, TOLERANCE[p])


@pytest.mark.parametrize("p", [F64, F32, BF16], ids=lambda p: p.name)
def test_bits_of_a_row_do_not_depend_on_its_neighbours(p):
    a, b = torch.randn(40, 700).to(p.store), torch.randn(700, 40, dtype=p.real)
    whole = product(a, b, p, wide=True)
    assert all(torch.equal(product(a[r : r + 1], b, p, wide=True)[0], whole[r]) for r in range(40))


def test_panels_hold_columns_line_by_line():
    n = F32.lanes
    b = torch.arange(2.0 * (n + 4)).view(2, n + 4)
    panels = packed(b, F32).view(2, 2, n)
    assert torch.equal(panels[0], b[:, :n])
    assert torch.equal(panels[1, :, :4], b[:, n:])
    assert not panels[1, :, 4:].any()
    b = torch.arange(3.0 * n).view(3, n)
    pairs = packed(b, BF16).view(2, n, 2).float()  # two rows side by side, the last one with zeros
    assert torch.equal(pairs[0], b[:2].t())
    assert torch.equal(pairs[1, :, 0], b[2])
    assert not pairs[1, :, 1].any()


def test_linear_learns_as_torch_does():
    x, w, b = (torch.randn(*size, dtype=torch.float64, requires_grad=True) for size in ((7, 5), (9, 5), (9,)))
    assert torch.autograd.gradcheck(lambda x, w, b: linear(x, w, b, F64), (x, w, b))
    torch.testing.assert_close(linear(x, w, b, F64), torch.nn.functional.linear(x, w, b))
