import pytest
import torch

from legato.recurrent.cells import GRU, LSTM, RNN
from legato.recurrent.gradient_flow import (
    jacobian_norms,
    largest_singular_value,
    recurrent_weights,
    set_singular_value,
)


def test_norms_are_those_of_the_product_of_jacobians():
    cell, xs = RNN(3, 4).double(), torch.randn(6, 1, 3).double()
    W, product, h, hs = cell.h.weight[:, :4].detach(), torch.eye(4).double(), torch.zeros(1, 4).double(), []
    for x in xs:
        (h,) = cell(x, (h,))
        hs.append(h.detach())
    expected = [1.0]
    for h in reversed(hs[1:]):  # ∂h_t/∂h_{t−1} = diag(1 - h_t²) W
        product = product @ (torch.diag(1 - h[0] ** 2) @ W)
        expected.insert(0, float(torch.linalg.matrix_norm(product, 2)))
    torch.testing.assert_close(jacobian_norms(cell, xs), torch.tensor(expected).double())


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_singular_value_is_set_and_watched(kind):
    cell = kind(3, 8)
    set_singular_value(cell, 1.25)
    assert all(value == pytest.approx(1.25, rel=1e-5) for value in largest_singular_value(cell).values())
    assert all(weight.shape[1] == 8 for weight in recurrent_weights(cell).values())
