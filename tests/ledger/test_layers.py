"""The lectures' statements about layers: numbers, matrices and equalities as they stand on the slides."""

from itertools import product
from math import exp, inf, log, prod, tanh

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from legato.errors import UsageError
from legato.layers.activations import ACTIVATIONS, slope
from legato.layers.convolutional import to_convolutional
from legato.layers.dropout import LectureDropout, monte_carlo
from legato.layers.fold import fold_linear
from legato.layers.hand_kernels import HAND_KERNELS, filter_image
from legato.layers.locally_connected import LocallyConnected2d
from legato.layers.maxout import Maxout
from legato.layers.pooling import GlobalMax, PNormPool2d, max_pool_where, max_unpool
from legato.layers.rearrange import conv_matrix, conv_to_dense, dense_to_conv
from legato.layers.size import explain_size, output_size
from legato.layers.stages import stages
from legato.layers.tracing import receptive_field
from legato.layers.transposed import adjoint
from legato.layers.true_conv import TrueConv2d
from legato.networks.describe import describe, lecture_table


def count(layer):
    return sum(p.numel() for p in layer.parameters())


def matrix(*rows):
    return torch.tensor(rows, dtype=torch.float32).view(1, 1, len(rows), -1)


# --- 001: from dense to convolutional


def test_C1_fully_connected_32x32_to_32x32_has_a_million_parameters():
    assert count(nn.Linear(32**2, 32**2)) == 1_049_600 == 32**2 * (32**2 + 1)


def test_C2_locally_connected_has_9k():
    layer = LocallyConnected2d(1, 1, 32, 32, size=3)
    assert count(layer) == 9000 == 30**2 * (3**2 + 1)
    assert layer(torch.zeros(1, 1, 32, 32)).shape == (1, 1, 30, 30)


def test_C3_locally_connected_with_colours_has_25k():
    assert count(LocallyConnected2d(3, 1, 32, 32, size=3)) == 25_200 == 30**2 * (3 * 3**2 + 1)


def test_C4_one_shared_filter_has_28_and_is_equivariant_to_translation():
    conv, x = nn.Conv2d(3, 1, 3), torch.randn(1, 3, 16, 16)
    assert count(conv) == 28

    def shift(maps):
        return maps.roll((2, 5), dims=(-2, -1))

    inside = (..., slice(2, None), slice(5, None))  # where nothing was rolled in from the other side
    torch.testing.assert_close(conv(shift(x))[inside], shift(conv(x))[inside])
    local = LocallyConnected2d(3, 1, 16, 16, 3)
    assert not torch.allclose(local(shift(x))[inside], shift(local(x))[inside], atol=1e-2)


def test_C5_four_filters_have_112_and_turn_a_volume_into_a_volume():
    conv = nn.Conv2d(3, 4, 3)
    assert count(conv) == 112 == 4 * 28
    assert conv(torch.zeros(1, 3, 32, 32)).shape == (1, 4, 30, 30)


def test_C6_the_seven_printed_kernels():
    printed = [
        [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
        [[1, 0, -1], [0, 0, 0], [-1, 0, 1]],
        [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
        [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
        [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
        [[1 / 9] * 3] * 3,
        [[1 / 16, 2 / 16, 1 / 16], [2 / 16, 4 / 16, 2 / 16], [1 / 16, 2 / 16, 1 / 16]],
    ]
    assert [kernel.tolist() for kernel in HAND_KERNELS.values()] == [torch.tensor(k).float().tolist() for k in printed]
    x = torch.rand(1, 3, 8, 8)
    assert torch.equal(filter_image(x, HAND_KERNELS["identity"]), x)


@pytest.mark.parametrize(
    ("W", "C", "D", "F_", "S", "P"), [(32, 3, 10, 5, 1, 2), (227, 3, 96, 11, 4, 0), (7, 1, 2, 3, 2, 1)]
)
def test_C7_size_weights_and_activations_of_a_convolution(W, C, D, F_, S, P):
    conv = nn.Conv2d(C, D, F_, S, P)
    out = (W - F_ + 2 * P) // S + 1
    assert output_size(W, F_, S, P) == out == conv(torch.zeros(1, C, W, W)).shape[-1]
    assert conv.weight.numel() == F_**2 * C * D
    assert conv.bias.numel() == D
    (row,) = describe(stages(conv=conv), (C, W, W))
    assert row.activations == out * out * D


def test_C7_combinations_that_do_not_work_are_explained():
    with pytest.raises(UsageError, match="does not fit"):
        output_size(5, 7)
    assert "floor gives 3 and drops 2" in explain_size(10, 2, 3)


def test_C8_max_pool_of_the_printed_matrix():
    x = matrix(
        *([2, 2, 0, 4, 3, 4], [0, 0, 5, 0, 4, 1], [4, 5, 2, 5, 1, 4]),
        *([5, 2, 1, 0, 2, 1], [2, 3, 3, 3, 5, 3], [0, 3, 0, 4, 0, 1]),
    )
    expected = matrix([2, 5, 4], [5, 5, 4], [3, 4, 5])
    assert torch.equal(F.max_pool2d(x, 2), expected)
    assert torch.equal(PNormPool2d(2, 2, inf)(x), expected)


def test_C9_max_pool_of_the_printed_matrix():
    x = matrix([1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4])
    assert torch.equal(F.max_pool2d(x, 2, 2), matrix([6, 8], [3, 4]))
    assert torch.equal(max_pool_where(x, 2, 2)[0], matrix([6, 8], [3, 4]))


def test_C10_six_filters_of_5x5x3_make_28x28x6():
    conv = nn.Conv2d(3, 6, 5)
    assert conv.weight[0].shape == (3, 5, 5)  # through the full depth
    assert conv(torch.zeros(1, 3, 32, 32)).shape == (1, 6, 28, 28)


# --- 004: convolution, pooling, and back


@pytest.mark.parametrize("symmetric", [True, False])
def test_C12_convolution_is_cross_correlation_exactly_when_the_kernel_is_even(symmetric):
    true, cross, x = TrueConv2d(1, 1, 3, bias=False), nn.Conv2d(1, 1, 3, bias=False), torch.randn(1, 1, 9, 9)
    kernel = torch.randn(1, 1, 3, 3)
    kernel = kernel + kernel.flip(-2, -1) if symmetric else kernel
    with torch.no_grad():
        true.weight.copy_(kernel)
        cross.weight.copy_(kernel)
    assert torch.allclose(true(x), cross(x), atol=1e-6) == symmetric
    impulse = F.pad(torch.ones(1, 1, 1, 1), (2, 2, 2, 2))
    assert torch.equal(true(impulse), kernel)  # flip and shift brings the kernel back as it is
    assert torch.equal(cross(impulse), kernel.flip(-2, -1))


def test_C15_a_filter_and_a_maximum_over_the_same_patch():
    patch, weights = matrix([4, 5, 6]), matrix([1, 2, 3])
    assert F.conv2d(patch, weights).item() == 32 == 4 * 1 + 5 * 2 + 6 * 3
    assert Maxout(3)(patch.flatten(1)).item() == 6


@pytest.mark.parametrize(
    ("values", "gradient"), [([4, 5, 6], [0, 0, 1]), ([6, 5, 6], [1, 0, 0]), ([2, 2, 2], [1, 0, 0])]
)
def test_C15_gradient_goes_to_the_maximum_and_to_the_first_of_equals(values, gradient):
    for layer, shape in ((Maxout(3), (1, 3)), (nn.MaxPool2d((1, 3)), (1, 1, 1, 3))):
        x = torch.tensor(values, dtype=torch.float32).view(shape).requires_grad_()
        layer(x).sum().backward()
        assert x.grad.flatten().tolist() == gradient


def test_C16_p_norm_pooling_becomes_max_pooling():
    x = matrix([3, -4, 0, 1], [0, 0, -2, 2])
    torch.testing.assert_close(PNormPool2d(2, 2, 1)(x), matrix([7, 5]))
    torch.testing.assert_close(PNormPool2d(2, 2, 2)(x), matrix([5, 3]))
    torch.testing.assert_close(PNormPool2d(2, 2, 500.0)(x), matrix([4, 2]), rtol=0.003, atol=0)
    assert torch.equal(PNormPool2d(2, 2, inf)(x), matrix([4, 2]))


def test_C17_and_E4_a_hundred_pixels_become_98_and_then_32_or_33():
    net = nn.Sequential(nn.Conv2d(1, 1, 3), nn.MaxPool2d(3))
    assert output_size(100, 3) == 98
    assert output_size(98, 3, 3) == 32 == net(torch.zeros(1, 1, 100, 100)).shape[-1]
    net[1].ceil_mode = True
    assert output_size(98, 3, 3, ceil=True) == 33 == net(torch.zeros(1, 1, 100, 100)).shape[-1]
    assert "floor gives 32" in explain_size(98, 3, 3)
    assert "ceil gives 33" in explain_size(98, 3, 3)


def test_C18_a_1x1_convolution_is_a_dense_layer_at_each_pixel_and_saves_multiplications():
    conv, x = nn.Conv2d(8, 3, 1), torch.randn(2, 8, 5, 6)
    linear = conv_to_dense(conv, 1, 1)
    torch.testing.assert_close(conv(x), linear(x.movedim(1, -1)).movedim(-1, 1))
    torch.testing.assert_close(dense_to_conv(linear, 8, 1, 1)(x), conv(x))
    straight = stages(conv=nn.Conv2d(256, 256, 3, padding=1))
    reduced = stages(reduce=nn.Conv2d(256, 64, 1), conv=nn.Conv2d(64, 64, 3, padding=1), expand=nn.Conv2d(64, 256, 1))
    macs = [sum(row.macs for row in describe(net, (256, 14, 14))) for net in (straight, reduced)]
    assert macs == [14 * 14 * 9 * 256**2, 14 * 14 * (2 * 64 * 256 + 9 * 64**2)]
    assert macs[0] / macs[1] > 8


def test_C20_a_transposed_convolution_stamps_its_kernel():
    stamp = torch.randn(3, 3)
    layer = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(stamp)
    a, b = 2.0, -3.0
    y = layer(matrix([a, b]))[0, 0]
    assert y.shape == (1, 3)
    assert y[0, 0].item() == pytest.approx((a * stamp[1, 1]).item())
    assert y[0, 1].item() == pytest.approx((a * stamp[1, 2] + b * stamp[1, 0]).item())  # where the stamps overlap
    assert y[0, 2].item() == pytest.approx((b * stamp[1, 1]).item())


def test_C20_a_transposed_convolution_is_the_backward_pass_of_a_convolution():
    conv, x = nn.Conv2d(2, 3, 3, stride=2, padding=1), torch.randn(1, 2, 8, 8, requires_grad=True)
    y = conv(x)
    g = torch.randn_like(y)
    torch.testing.assert_close(adjoint(conv)(g, output_size=[8, 8]), torch.autograd.grad(y, x, g)[0])


def test_C20_stamps_overlap_unevenly_where_the_stride_does_not_divide_the_kernel():
    ones = torch.ones(1, 1, 8, 8)
    for size, even in ((3, False), (4, True)):
        y = F.conv_transpose2d(ones, torch.ones(1, 1, size, size), stride=2)[0, 0, 4:-4, 4:-4]
        assert (len(y.unique()) == 1) == even  # otherwise a chequerboard


def test_C21_unpooling_puts_maxima_back_where_they_were():
    x = torch.rand(2, 3, 8, 8) + 0.1
    pooled, where = max_pool_where(x, 2, 2)
    back = max_unpool(pooled, where, 8, 8)
    assert torch.equal(F.max_pool2d(back, 2), pooled)
    assert torch.equal(back[back != 0], x[back != 0])
    assert back.count_nonzero() == pooled.numel()


def test_C22_a_convolution_is_a_sparse_dense_layer_and_a_dense_layer_a_convolution():
    conv, x = nn.Conv2d(2, 3, 3, stride=2, padding=1), torch.randn(4, 2, 9, 9)
    weights = conv_matrix(conv, 9, 9)
    assert weights.is_sparse
    assert weights._nnz() < 0.1 * prod(weights.shape)
    torch.testing.assert_close(conv_to_dense(conv, 9, 9)(x.flatten(1)), conv(x).flatten(1))
    dense = nn.Linear(2 * 9 * 9, 10)
    torch.testing.assert_close(dense_to_conv(dense, 2, 9, 9)(x).flatten(1), dense(x.flatten(1)))


def test_C22_the_converted_network_equals_the_classifier_on_every_window():
    trunk = [nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)]
    head = [nn.Flatten(), nn.Linear(16 * 25, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)]
    lenet, picture = nn.Sequential(*trunk, *head), torch.randn(1, 1, 48, 44)
    sliding = to_convolutional(lenet, (1, 32, 32))
    heat = sliding.net(picture)
    assert sliding.exact
    assert sliding.stride == (4, 4)
    assert heat.shape == (1, 10, 5, 4)
    for i, j in product(range(5), range(4)):
        window = picture[:, :, 4 * i : 4 * i + 32, 4 * j : 4 * j + 32]
        torch.testing.assert_close(heat[:, :, i, j], lenet(window), rtol=0, atol=1e-5)


def test_C23_weights_are_shared_over_places_by_convolutions_and_over_time_by_recurrent_layers():
    conv, rnn = nn.Conv2d(3, 8, 3), nn.RNN(4, 6, bias=False)
    for size in (8, 16):
        (row,) = describe(stages(conv=conv), (3, size, size))
        assert row.params == 8 * 28
        assert row.macs / conv.weight.numel() == (size - 2) ** 2  # uses of each weight
        (local,) = describe(stages(local=LocallyConnected2d(3, 8, size, size, 3)), (3, size, size))
        assert local.params == 8 * 28 * (size - 2) ** 2
        assert local.sharing < 1  # a bias is not multiplied
    for steps in (5, 50):
        cells = nn.Sequential(*[nn.Linear(10, 6, bias=False)] * steps)  # one layer, called again and again
        assert count(cells) == count(rnn) == 6 * (4 + 6)


# --- dropout


def test_E3_omitting_with_probability_p_and_scaling_by_p_only_agree_at_one_half():
    torch.manual_seed(0)
    x = torch.ones(200_000)
    for keep in (0.5, 0.8):
        layer, inverted = LectureDropout(keep), nn.Dropout(1 - keep)
        mean = layer(x).mean().item()
        layer.eval()
        assert mean == pytest.approx(layer(x).mean().item(), abs=0.005)  # in expectation it is what is used
        assert mean / keep == pytest.approx(inverted(x).mean().item(), abs=0.01)
        inverted.eval()
        torch.testing.assert_close(layer(x) / keep, inverted(x))  # the two differ by this factor alone
        omitting_with_p_then_scaling_by_p = (1 - keep) * x
        assert torch.allclose(omitting_with_p_then_scaling_by_p, layer(x)) == (keep == 0.5)


def subnetworks(n, keep):
    """All 2ⁿ masks and their probabilities."""
    masks = torch.tensor(list(product((0.0, 1.0), repeat=n)), dtype=torch.float64)
    return masks, (keep**masks * (1 - keep) ** (1 - masks)).prod(1)


def test_N11_scaling_gives_a_linear_unit_the_mean_of_all_its_subnetworks():
    w, x, keep = torch.randn(10, dtype=torch.float64), torch.randn(10, dtype=torch.float64), 0.5
    masks, probabilities = subnetworks(10, keep)
    assert len(masks) == 2**10
    torch.testing.assert_close((probabilities * (masks * w * x).sum(1)).sum(), keep * (w * x).sum())

    net = nn.Sequential(LectureDropout(keep), nn.Linear(10, 1)).double()
    mean, deviation = monte_carlo(net, x.unsqueeze(0), 3000)
    net.eval()
    assert abs(mean - net(x.unsqueeze(0))) < 5 * deviation / 3000**0.5


def test_N11_for_a_logistic_unit_scaling_gives_the_normalised_geometric_mean():
    # Baldi & Sadowski 2014, section 3: NWGM(σ(s)) = G / (G + G') = σ(E(s)), exactly
    w, x, keep = torch.randn(8, dtype=torch.float64), torch.randn(8, dtype=torch.float64), 0.7
    masks, probabilities = subnetworks(8, keep)
    outputs = torch.sigmoid((masks * w * x).sum(1))
    geometric, of_complement = ((probabilities * values.log()).sum().exp() for values in (outputs, 1 - outputs))
    torch.testing.assert_close(geometric / (geometric + of_complement), torch.sigmoid(keep * (w * x).sum()))
    assert abs((probabilities * outputs).sum() - torch.sigmoid(keep * (w * x).sum())) < 0.05  # the mean: nearly


# --- 003: predictors, activations, losses, gradients


def logistic(x):
    return 1 / (1 + exp(-x))


FORMULAS = {  # (value, derivative)
    "logistic": (logistic, lambda x: logistic(x) * (1 - logistic(x))),
    "tanh": (tanh, lambda x: 1 - tanh(x) ** 2),
    "relu": (lambda x: x * (x > 0), lambda x: float(x > 0)),
    "leaky relu": (lambda x: x if x > 0 else 0.01 * x, lambda x: 1.0 if x > 0 else 0.01),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_F4_activations_and_their_derivatives(name):
    assert FORMULAS.keys() == ACTIVATIONS.keys()
    xs = [-30.0, -2.0, -0.5, 0.25, 1.0, 30.0]
    value, derivative = FORMULAS[name]
    x = torch.tensor(xs, dtype=torch.float64)
    torch.testing.assert_close(ACTIVATIONS[name](x), torch.tensor([value(v) for v in xs], dtype=torch.float64))
    torch.testing.assert_close(
        slope(ACTIVATIONS[name], x), torch.tensor([derivative(v) for v in xs], dtype=torch.float64)
    )


def test_F5_a_hidden_layer_is_a_learned_feature_map():
    W1, W2, W3, x = torch.randn(3, 3), torch.randn(4, 3), torch.randn(2, 4), torch.randn(3)
    net = stages(
        **{"W1": nn.Linear(3, 3, bias=False), "s1": nn.Sigmoid(), "W2": nn.Linear(3, 4, bias=False)},
        **{"s2": nn.Sigmoid(), "W3": nn.Linear(4, 2, bias=False), "s3": nn.Sigmoid()},
    )
    for name, W in (("W1", W1), ("W2", W2), ("W3", W3)):
        getattr(net, name).weight = nn.Parameter(W)
    rows = {row.name: row.shape for row in describe(net, (3,))}
    assert [rows[name] for name in ("s1", "s2", "s3")] == [(3,), (4,), (2,)]  # x3 → v3 → v4 → ŷ2
    torch.testing.assert_close(net(x), torch.sigmoid(W3 @ torch.sigmoid(W2 @ torch.sigmoid(W1 @ x))))
    phi = net[:4]  # all but the last layer: φ(x), whatever the linear predictor behind it does
    torch.testing.assert_close(net(x), torch.sigmoid(W3 @ phi(x)))


def test_F6_a_step_of_gradient_descent_on_squared_error_by_hand():
    # f(x) = W2 σ(W1 x), L = ‖f(x) − y‖², one hidden unit and one input, so that all can be written out
    w1, w2, x, y, rate = 0.5, -1.5, 2.0, 0.3, 0.1
    v = logistic(w1 * x)
    error = 2 * (w2 * v - y)
    expected = (w1 - rate * error * w2 * v * (1 - v) * x, w2 - rate * error * v)

    net = stages(W1=nn.Linear(1, 1, bias=False), s=nn.Sigmoid(), W2=nn.Linear(1, 1, bias=False)).double()
    with torch.no_grad():
        net.W1.weight.fill_(w1)
        net.W2.weight.fill_(w2)
    (net(torch.tensor([x], dtype=torch.float64)) - y).square().sum().backward()
    torch.optim.SGD(net.parameters(), lr=rate).step()
    assert (net.W1.weight.item(), net.W2.weight.item()) == pytest.approx(expected, abs=1e-6)


def test_F8_chain_rule():
    x = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    y = x**2
    z = y**2
    assert torch.autograd.grad(z, x)[0].item() == pytest.approx(4 * 1.7**3)


def test_F8_cross_entropies_by_their_formulas():
    p, y = [0.9, 0.2, 0.6], [1.0, 0.0, 0.0]
    by_hand = -sum(t * log(q) + (1 - t) * log(1 - q) for q, t in zip(p, y))  # the Σ brackets both terms (E1)
    ours = F.binary_cross_entropy(torch.tensor(p), torch.tensor(y), reduction="sum")
    assert ours.item() == pytest.approx(by_hand, rel=1e-6)
    logits = [1.0, -2.0, 0.5]
    softmax = [exp(z) / sum(map(exp, logits)) for z in logits]
    assert torch.tensor(logits).softmax(0).tolist() == pytest.approx(softmax)
    assert F.cross_entropy(torch.tensor([logits]), torch.tensor([2])).item() == pytest.approx(-log(softmax[2]))


def three_layers():
    torch.manual_seed(0)
    W = [
        torch.randn(3, 4, dtype=torch.float64),
        torch.randn(5, 3, dtype=torch.float64),
        torch.randn(1, 5, dtype=torch.float64),
    ]
    return [w.requires_grad_() for w in W], torch.randn(4, 1, dtype=torch.float64)


def loss(W, x, y):
    v1 = torch.sigmoid(W[0] @ x)
    v2 = torch.sigmoid(W[1] @ v1)
    prediction = torch.sigmoid(W[2] @ v2)
    return -(y * prediction.log() + (1 - y) * (1 - prediction).log()).sum(), prediction, v1, v2


def test_F8_gradients_of_the_three_layer_network_by_the_chain_rule():
    W, x = three_layers()
    value, prediction, v1, v2 = loss(W, x, 1.0)
    g1, g2, g3 = torch.autograd.grad(value, W)
    d3 = prediction - 1.0  # ∂L/∂z₃, the term that all gradients have in common and that is kept
    d2 = W[2].T @ d3 * v2 * (1 - v2)
    d1 = W[1].T @ d2 * v1 * (1 - v1)
    torch.testing.assert_close(g3, d3 @ v2.T)
    torch.testing.assert_close(g2, d2 @ v1.T)
    torch.testing.assert_close(g1, d1 @ x.T)


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_E1_the_printed_gradient_has_the_wrong_sign_and_ascends(y):
    W, x = three_layers()
    value, prediction, _, v2 = loss(W, x, y)
    (true,) = torch.autograd.grad(value, W[2])
    printed = (y - prediction) @ v2.T  # as on the slide
    torch.testing.assert_close(printed, -true)  # its own factors give (ŷ − y) vᵀ
    rate = 0.1
    with torch.no_grad():
        after_printed = loss([*W[:2], W[2] - rate * printed], x, y)[0]
        after_true = loss([*W[:2], W[2] - rate * true], x, y)[0]
    assert after_true < value < after_printed


def test_F13_two_projections_are_one_and_a_nonlinearity_prevents_it():
    W, V, x = torch.randn(5, 3), torch.randn(3, 2), torch.randn(5)
    torch.testing.assert_close(V.T @ (W.T @ x), (W @ V).T @ x)
    net = stages(W=nn.Linear(5, 3, bias=False), V=nn.Linear(3, 2, bias=False))
    torch.testing.assert_close(fold_linear(net)(x), net(x))
    torch.testing.assert_close(fold_linear(net).weight, net.V.weight @ net.W.weight)
    with pytest.raises(UsageError, match="non-linearity prevents merging"):
        fold_linear(stages(W=nn.Linear(5, 3), relu=nn.ReLU(), V=nn.Linear(3, 2)))


# --- VGG


def vgg16():
    layers, channels = [], 3
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
        layers.append(nn.Conv2d(channels, width, 3, padding=1) if width else nn.MaxPool2d(2))
        channels = width or channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(25088, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000))


def test_N5_the_table_of_vgg_as_the_slide_prints_it():
    with torch.device("meta"):
        columns = lecture_table(vgg16(), (3, 224, 224))
    names = (
        "input conv3-64 conv3-64 MP conv3-128 conv3-128 MP conv3-256 conv3-256 conv3-256 MP conv3-512 conv3-512 "
        "conv3-512 MP conv3-512 conv3-512 conv3-512 MP FC-4096 FC-4096 FC-1000 softmax"
    )
    parameters = "1.7k 37k 74k 147k 295k 590k 590k 1.2M 2.4M 2.4M 2.4M 2.4M 2.4M 103M 16.7M 4M"
    activations = (
        "150k 3.2M 3.2M 800k 1.6M 1.6M 400k 800k 800k 800k 200k 400k 400k 400k 100k 100k 100k 100k 25k "
        "4096 4096 1000 1000"
    )
    assert " ".join(column.name for column in columns) == names
    assert " ".join(filter(None, (column.weights_printed for column in columns))) == parameters
    assert " ".join(column.activations_printed for column in columns) == activations
    assert [column.weights for column in columns if column.weights] == [
        *(3 * 64 * 9, 64 * 64 * 9, 64 * 128 * 9, 128 * 128 * 9, 128 * 256 * 9, 256 * 256 * 9, 256 * 256 * 9),
        *(256 * 512 * 9, *[512 * 512 * 9] * 5, 7 * 7 * 512 * 4096, 4096 * 4096, 4096 * 1000),
    ]
    sizes = [column.shape for column in columns if column.name in ("input", "MP")]
    assert sizes == [(3, 224, 224), (64, 112, 112), (128, 56, 56), (256, 28, 28), (512, 14, 14), (512, 7, 7)]


@pytest.mark.parametrize("C", [1, 64])
def test_N10_three_3x3_see_what_one_7x7_sees_with_fewer_weights(C):
    three = nn.Sequential(*(nn.Conv2d(C, C, 3, bias=False) for _ in range(3)))
    seven = nn.Conv2d(C, C, 7, bias=False)
    assert receptive_field(three, (C, 32, 32)) == receptive_field(seven, (C, 32, 32)) == 7
    assert (count(three), count(seven)) == (27 * C**2, 49 * C**2)


def test_N10_three_3x3_can_emulate_some_7x7_filter_exactly():
    three, x = nn.Sequential(*(nn.Conv2d(1, 1, 3, bias=False) for _ in range(3))).double(), torch.randn(1, 1, 12, 12)
    impulse = F.pad(torch.ones(1, 1, 1, 1, dtype=torch.float64), (6, 6, 6, 6))
    one = three(impulse).flip(-2, -1)  # the response to an impulse is the kernel, flipped
    torch.testing.assert_close(F.conv2d(x.double(), one), three(x.double()))


def test_C14_the_largest_value_of_a_map_says_that_there_is_a_cat_but_not_where():
    cat = torch.randn(1, 1, 5, 5)
    detector = nn.Sequential(nn.Conv2d(1, 1, 5, bias=False), GlobalMax())
    with torch.no_grad():
        detector[0].weight.copy_(cat)
        found = [detector(F.pad(cat, (left, 11 - left, top, 11 - top))) for left, top in ((0, 0), (3, 9), (11, 6))]
    assert all(torch.allclose(value, cat.square().sum().view(1, 1)) for value in found)
