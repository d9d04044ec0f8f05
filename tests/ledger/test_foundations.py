"""The foundations of the lectures as `legato demo` shows them: what each says, against formulas and other libraries."""

from math import comb, log, pi

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch
import torch.nn.functional as F
from sklearn.datasets import load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import nn

from legato.demos import (
    activations,
    approximation,
    autoencoder,
    backprop,
    boundary,
    clipping,
    convolution,
    crossentropy,
    deblur,
    depth,
    descent,
    dropout,
    equivariance,
    exploding,
    features,
    folding,
    hello,
    hidden,
    invariance,
    kernels,
    matched_filter,
    maxout,
    pointwise,
    pooling,
    predictor,
    projections,
    receptive,
    sizes,
    sliding,
    solver,
    stamps,
    surface,
    unrolled,
)
from legato.demos.learning import digits
from legato.layers import fold_linear
from legato.layers.hand_kernels import HAND_KERNELS
from legato.recurrent.cells import Euler, RungeKutta
from tests.demos.ran import shown


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


# --- 003: features, boundaries, predictors


def test_F1_least_squares_is_numpys_and_the_learnt_features_err_least():
    x = torch.linspace(-2, 2, 50).double()
    y = features.truth(x)
    cubic = features.PHI["[1, x, x², x³]"](x) @ features.fitted(features.PHI["[1, x, x², x³]"](x), y)
    np.testing.assert_allclose(cubic, np.polyval(np.polyfit(x, y, 3), x), atol=1e-10)
    sine = 2 - 3 * x + 4 * (3 * x).sin()  # what φ holds is found exactly
    phi = features.PHI["[1, x, sin 3x]"](x)
    torch.testing.assert_close(features.fitted(phi, sine), torch.tensor([2.0, -3, 4]).double())
    errors = shown("features").numbers
    assert errors["learnt"] < 0.5 * min(error for name, error in errors.items() if name != "learnt")


def test_F2_on_the_boundary_both_classes_are_as_probable_and_six_features_find_the_ellipse():
    x = 4 * torch.rand(400, 2).double() - 2
    name = "[1, x₁, x₂, x₁², x₁x₂, x₂²]"
    w = boundary.fitted(boundary.PHI[name](x), boundary.is_boat(x))
    t = torch.linspace(0, 2 * pi, 60).double()
    rim = torch.stack([0.8 + 1.7 * t.cos(), -0.7 + 1.1 * t.sin()], 1)
    rim = rim[(rim.abs() < 2).all(1)]
    gradient = torch.func.vmap(torch.func.grad(lambda p: (boundary.PHI[name](p[None]) @ w)[0]))(rim)
    distance = (boundary.PHI[name](rim) @ w).abs() / gradient.norm(dim=1)  # to first order
    assert distance.mean() < 0.1
    right = shown("boundary").numbers
    assert right[name] > 0.95 > right["[1, x₁, x₂]"] + 0.05


def test_F3_network_matrix_indices_and_explicit_bias_are_equal():
    assert max(shown("predictor").numbers.values()) < 1e-6
    W = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
    edges = predictor.network_of(W)
    assert len(edges) == 3 * 2  # fitting parameters
    inputs = dict(zip(predictor.INPUTS, (1.0, -1.0, 2.0)))
    assert predictor.as_network(edges, inputs) == {"ŷ₁": 1 - 2 + 6, "ŷ₂": 4 - 5 + 12}
    assert predictor.as_indices(W, torch.tensor([1.0, -1, 2])) == [5, 11]


def test_F4_activations_die_where_they_are_flat_and_only_bounded_ones_stay_bounded():
    low, high = activations.live("logistic")  # σ′ = ¼ · 1 % where cosh²(x/2) = 100
    assert high == pytest.approx(2 * np.arccosh(10), abs=0.01) == -low
    assert activations.live("relu") == (pytest.approx(0, abs=0.011), 10.0)
    ends = shown("activations").numbers
    assert ends["relu"] == pytest.approx(1.2**20)
    assert ends["tanh"] == pytest.approx(scipy.optimize.brentq(lambda h: np.tanh(1.2 * h) - h, 0.1, 1), abs=1e-3)


def test_F5_the_hidden_layer_makes_exclusive_or_linear():
    right = shown("hidden").numbers
    assert right["hidden"] > 0.97
    assert right["line"] < 0.7
    x, y = hidden.CORNERS, torch.tensor([0.0, 1, 1, 0]).double()
    net = hidden.learnt(x, y)
    v = net[:2](x).detach()  # in v, a hyperplane: least squares in v alone tells the classes apart
    w = torch.linalg.lstsq(F.pad(v, (0, 1), value=1.0), 2 * y[:, None] - 1).solution
    assert ((F.pad(v, (0, 1), value=1.0) @ w > 0)[:, 0] == y.bool()).all()


def test_F6_a_step_by_hand_and_the_largest_step_that_converges():
    phi, y = torch.tensor([[1.0, 0], [1, 2]]).double(), torch.tensor([1.0, 3]).double()
    (_, first) = descent.path(torch.zeros(2).double(), 0.1, 1, phi, y)
    # ŷ = (0, 0), residuals (−1, −3): ∂L/∂w = ½ (−1 − 3, −1·0 − 3·2) = (−2, −3)
    torch.testing.assert_close(first, torch.tensor([0.2, 0.3]).double(), atol=1e-6, rtol=0)
    limit = 2 / float(np.linalg.eigvalsh(phi.T.numpy() @ phi.numpy() / 2).max())
    for factor, falls in ((0.99, True), (1.01, False)):
        ws = descent.path(torch.zeros(2).double(), factor * limit, 2000, phi, y)
        assert (descent.risk(ws[-1], phi, y) < 1e-6) == falls
    ends = shown("descent").numbers
    assert ends["good"] < ends["too small"] < ends["too large"]


def test_F7_the_linear_risk_has_no_hills_and_the_networks_has():
    assert shown("surface").numbers["linear"] == 0
    assert shown("surface").numbers["network"] > 0.05
    ends = torch.randn(200, 2, 3)
    assert surface.hills(lambda w: w.square().sum(), ends) == 0
    assert surface.hills(lambda w: -w.square().sum(), ends) == 1
    w, x = torch.randn(3, 4), torch.randn(20, 2)
    torch.testing.assert_close(surface.network(w.roll(1, 0), x), surface.network(w, x))  # units in another order


# --- 003: backpropagation


def test_F8_F9_scalar_backpropagation_equals_torch_and_differences():
    assert shown("backprop").numbers["x"] == 4 * 1.5**3

    def formula(w1, x1, w2, x2, b):
        return (w1 * x1 + w2 * x2 + b) * w1 + x2  # w₁ and x₂ are used twice

    values = [2.0, -1.0, -3.0, -2.0, -3.0]
    ours = [backprop.Value(v, "") for v in values]
    end = formula(*ours).logistic()
    end.backward()
    theirs = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    torch.sigmoid(formula(*theirs)).backward()
    np.testing.assert_allclose([v.grad for v in ours], theirs.grad, rtol=1e-12)
    f = lambda *v: 1 / (1 + np.exp(-formula(*v)))
    for i, v in enumerate(ours):
        up, down = ([*values[:i], values[i] + h, *values[i + 1 :]] for h in (1e-6, -1e-6))
        assert v.grad == pytest.approx((f(*up) - f(*down)) / 2e-6, abs=1e-6)


def test_F9_the_drawn_graph_carries_what_flows_on_its_edges():
    x = backprop.Value(2.0, "x")
    z = (x * x) * (x * x)
    z.backward()
    graph = backprop.drawn(z, "")
    into_z = [edge for edge in graph.edges if graph.nodes[edge.target].note]
    assert {(e.above, e.below) for e in into_z} == {("4.00", "4.00")}  # y = x², ∂z/∂y = y on either side
    assert sum(float(e.below) for e in graph.edges if graph.nodes[e.source].label == "x") == x.grad == 4 * 2**3


def test_F8_E1_the_gradient_is_autograds_and_as_printed_its_negative():
    W, v, y = torch.randn(2, 4).double().requires_grad_(), torch.rand(4).double(), torch.tensor([1.0, 0]).double()
    value = crossentropy.loss(y, (W @ v).sigmoid())
    torch.testing.assert_close(value, F.binary_cross_entropy((W @ v).sigmoid(), y, reduction="sum"))
    (expected,) = torch.autograd.grad(value, W)
    torch.testing.assert_close(crossentropy.gradient(W, v, y), expected)
    torch.testing.assert_close(crossentropy.printed(W, v, y), -expected)
    ends = shown("crossentropy").numbers
    assert ends["true sign"] < ends["start"] < ends["as printed"]


# --- 001: one layer, several layers


def test_F11_one_layer_interpolates_and_its_error_falls_with_the_square_of_its_units():
    x = torch.linspace(0, 1, 513).double()
    np.testing.assert_allclose(
        approximation.output(approximation.f, 16, x),
        np.interp(x, t := np.linspace(0, 1, 17), approximation.f(torch.from_numpy(t))),
        atol=1e-12,
    )
    errors = shown("approximation").numbers
    assert all(errors[str(n)] <= approximation.BEND / (8 * n**2) for n in (4, 8, 16, 32, 64, 128, 256))
    assert errors["64"] / errors["128"] == pytest.approx(4, rel=0.05)


def test_F11_layers_fold_exponentially_often():
    for k in range(1, 9):
        assert folding.pieces(folding.folded(folding.X, k)) == 2**k
    tent = lambda x: 1 - abs(1 - 2 * x)  # Telgarsky's mirror map
    np.testing.assert_allclose(folding.folded(folding.X, 3), tent(tent(tent(folding.X.numpy()))), atol=1e-12)


def test_F11_the_deep_network_is_the_shape_of_the_function():
    x = torch.randn(5, 8)
    pairs = [1.3 * (x[:, i] + x[:, i + 1]) for i in (0, 2, 4, 6)]
    a, b, c, d = (p.sin() for p in pairs)
    expected = (1.3 * ((1.3 * (a + b)).sin() + (1.3 * (c + d)).sin())).sin()
    torch.testing.assert_close(depth.composed(x)[:, 0], expected)
    level = depth.Level(2, 3)
    y = level(torch.randn(5, 4))
    x = torch.randn(1, 4)
    jacobian = torch.autograd.functional.jacobian(level, x)[0, :, 0]
    assert ((jacobian != 0) == torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1]]).bool()).all()  # a node sees its pair alone
    assert y.shape == (5, 2)
    assert [sum(p.numel() for p in depth.deep(n).parameters()) for n in (14, 56)] == [14 * 4, 56 * 4]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_F11_deep_errs_less_than_shallow_with_as_many_units(seed):
    errors = shown("depth", seed).numbers
    assert all(errors[f"deep {n}"] < 0.7 * errors[f"shallow {n}"] for n in (14, 28, 56))


@pytest.mark.slow
def test_F12_what_is_learnt_reads_digits_better_than_rules_and_each_stage_is_measured():
    right = shown("paradigms").numbers
    assert right["rules"] > 0.4  # a tenth by guessing
    assert min(right[n] for n in ("classic machine learning", "representation learning", "deep learning")) > 0.93
    assert right["a linear map from simple features"] > right["a linear map from pixels"]


# --- 004: projections; 003: autoencoder


def test_F13_fishers_projection_is_scikit_learns_and_layers_merge_unless_bent():
    data, target = load_wine(return_X_y=True)
    x, y = torch.from_numpy(data).double(), torch.from_numpy(target).long()
    x = (x - x.mean(0)) / x.std(0)
    ours = x @ projections.fisher(x, y, 2)
    theirs = torch.from_numpy(LinearDiscriminantAnalysis(n_components=2).fit_transform(x, y))
    for k in range(2):
        correlation = torch.corrcoef(torch.stack([ours[:, k], theirs[:, k]]))[0, 1].abs()
        assert correlation == pytest.approx(1, abs=1e-9)
    found = shown("projections").numbers
    assert found["apart"] < 1e-12
    assert found["linear"] < 1e-20 < 0.01 < found["relu"]
    W, V = projections.principal(x, 8), projections.fisher(x @ projections.principal(x, 8), y, 2)
    net = nn.Sequential(nn.Linear(13, 8, bias=False), nn.Linear(8, 2, bias=False)).double()
    net[0].weight.data, net[1].weight.data = W.T.contiguous(), V.T.contiguous()
    torch.testing.assert_close(fold_linear(net).weight, (W @ V).T)


def test_F15_the_autoencoder_finds_the_subspace_of_the_svd():
    found = shown("autoencoder").numbers
    assert found["angle"] < 1e-3
    assert found["error"] == pytest.approx(found["tail"], rel=1e-6)
    centred = digits()[0].flatten(1).double()
    centred = centred - centred.mean(0)
    eigenvalues = np.linalg.eigvalsh(centred.T.numpy() @ centred.numpy())[::-1]
    assert found["tail"] == pytest.approx(eigenvalues[autoencoder.CODE :].sum())
    P, Q = torch.eye(3)[:1].double(), torch.tensor([[1.0, 1, 0]]).double()
    assert autoencoder.largest_angle(P, Q) == pytest.approx(pi / 4)


# --- 001, 004: convolution


def test_C4_shifting_and_filtering_can_be_exchanged_unless_weights_differ_or_strides_skip():
    found = shown("equivariance").numbers
    assert found["convolution"] < 1e-5 > found["even"]
    assert found["convolution, stride 2"] > 0.05
    assert found["no shared weights"] > 0.5
    assert "28 parameters" in shown("equivariance").lines[0]
    x = torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        assert equivariance.broken(nn.Conv2d(3, 1, 5, padding=2), x, 3) < 1e-5


def test_C6_the_gallery_prints_the_lectures_matrices_and_filters_as_scipy_does():
    printed = {
        "identity": "[0 0 0 | 0 1 0 | 0 0 0]",
        "edges, diagonal": "[1 0 −1 | 0 0 0 | −1 0 1]",
        "edges, 4 neighbours": "[0 1 0 | 1 −4 1 | 0 1 0]",
        "edges, 8 neighbours": "[−1 −1 −1 | −1 8 −1 | −1 −1 −1]",
        "sharpen": "[0 −1 0 | −1 5 −1 | 0 −1 0]",
        "box blur": "[1 1 1 | 1 1 1 | 1 1 1] / 9",
        "gaussian blur": "[1 2 1 | 2 4 2 | 1 2 1] / 16",
    }
    assert {name: kernels.printed(kernel) for name, kernel in HAND_KERNELS.items()} == printed
    x = torch.rand(1, 3, 20, 30)
    for kernel in HAND_KERNELS.values():
        y = kernels.filter_image(x, kernel)[0, 1]
        np.testing.assert_allclose(
            y, scipy.ndimage.convolve(x[0, 1].numpy(), kernel.numpy(), mode="nearest"), atol=1e-5
        )


def test_C8_C15_C16_the_printed_matrix_its_gradient_and_p_norms():
    y, gradient = pooling.pooled(pooling.PRINTED)
    assert y.tolist() == [[2, 5, 4], [5, 5, 4], [3, 4, 5]]
    assert F.avg_pool2d(gradient[None], 2).mul(4).eq(1).all()  # one place in each window
    assert (pooling.PRINTED[gradient == 1].sort().values == y.flatten().sort().values).all()
    for name, window in pooling.WINDOWS.items():
        assert shown("pooling").numbers[name] == pytest.approx(np.linalg.norm(window, 10**1.7))


def test_C15_maxout_of_the_printed_patch_and_of_tangents():
    found = shown("maxout").numbers
    assert (found["filter"], found["maximum"]) == (32, 6)
    for k in (1, 2, 3, 6, 12, 24):  # at the ends of [−1, 1] the last tangent touches 2 / (k + 1) away
        assert found[str(k)] == pytest.approx((2 / (k + 1)) ** 2, abs=1e-6)
    assert maxout.chosen(torch.tensor([6.0, 6, 4])) == [1, 0, 0]


def test_C12_convolution_is_numpys_and_equal_to_correlation_for_even_kernels():
    f, g = torch.randn(30).double(), torch.randn(7).double()
    np.testing.assert_allclose(convolution.convolve(f, g), np.convolve(f.numpy(), g.numpy()), atol=1e-12)
    np.testing.assert_allclose(convolution.correlate(f, g), np.correlate(f.numpy(), g.numpy(), "full"), atol=1e-12)
    found = shown("convolution").numbers
    assert found["bell"] < 1e-12 > found["flipped"]
    assert found["decay"] > 0.5


def test_C13_the_peak_is_where_the_pattern_is_and_trials_follow_the_formula():
    found = [shown("matched_filter", seed).numbers for seed in range(3)]
    assert all(abs(n["peak"] - matched_filter.AT) <= 1 for n in found)
    assert all((n["row"], n["column"]) == (matched_filter.ROW, matched_filter.COLUMN) for n in found)
    rates = torch.tensor([0.01, 0.1, 0.5]).double()
    for d in (0.5, 2.0, 3.0):
        expected = scipy.stats.norm.sf(scipy.stats.norm.isf(rates) - d)
        np.testing.assert_allclose(matched_filter.hits(d, rates), expected, atol=1e-9)
        alarms, hit = matched_filter.counted(torch.randn(20).double(), d, trials=20_000)
        some = (alarms > 0.02) & (alarms < 0.98)
        theory = scipy.stats.norm.sf(scipy.stats.norm.isf(alarms[some]) - d)
        assert np.abs(hit[some].numpy() - theory).max() < 0.03


def test_C14_a_maximum_over_places_does_not_care_where_and_the_metre_measures_it():
    net = nn.Sequential(*invariance.NETWORKS["convolution, global max"]()).eval()
    x, y = F.pad(digits()[0][:40], (4, 4, 4, 4)), digits()[1][:40]
    assert invariance.metre(net, x, y, pixels=1).change < 1e-5
    assert invariance.metre(net, x, y, degrees=20).change > 1e-4
    torch.testing.assert_close(invariance.moved(x, pixels=3)[..., 3:], x[..., :-3])
    torch.testing.assert_close(invariance.moved(x, degrees=90).rot90(-1, (2, 3)), x, atol=1e-5, rtol=0)
    sure = nn.Sequential(nn.Flatten(), nn.Linear(256, 10))  # all probability moves: change is 1
    sure[1].weight.data.zero_()
    sure[1].weight.data[0, :128], sure[1].weight.data[1, 128:] = 1e3, 1e3
    dot = torch.zeros(1, 1, 16, 16)
    dot[0, 0, 7, 3] = 1
    assert invariance.metre(sure, dot, torch.tensor([0]), degrees=180).change == pytest.approx(1)


@pytest.mark.slow
def test_C14_digits_moved_are_read_by_the_global_maximum_alone():
    right = shown("invariance").numbers
    for name in invariance.NETWORKS:
        assert right[f"{name}, shift 0"] > 0.88
    assert right["convolution, global max, shift 4"] > 0.88
    assert right["dense, shift 4"] < 0.5 > right["convolution, pooling, shift 4"]


def test_C17_E4_sizes_are_those_of_torch_for_both_roundings():
    assert shown("sizes").numbers == {"conv": 98, "floor": 32, "ceil": 33}
    for width in range(6, 40):
        x = torch.zeros(1, 1, width, width)
        for size, stride in ((2, 2), (3, 3), (3, 2)):
            assert F.max_pool2d(x, size, stride).shape[-1] == sizes.floor_size(width, size, stride)
            assert F.max_pool2d(x, size, stride, ceil_mode=True).shape[-1] == sizes.ceil_size(width, size, stride)


def test_C18_a_1x1_convolution_is_a_dense_layer_at_each_pixel():
    found = shown("pointwise").numbers
    assert found["apart"] < 1e-6
    assert found["saved"] == pytest.approx(9 * 256**2 / (2 * 256 * 64 + 9 * 64**2))
    W, x = torch.randn(5, 3), torch.rand(3, 4, 6)
    expected = F.linear(x.movedim(0, -1), W).movedim(-1, 0)
    torch.testing.assert_close(pointwise.per_pixel(W, x), expected)
    torch.testing.assert_close(pointwise.conv1x1(W)(x[None])[0], expected)


def test_C20_stamps_are_torchs_transposed_convolution_and_overlap_as_the_slide_says():
    found = shown("stamps").numbers
    assert found["apart"] == 0
    assert found["overlap"] == stamps.A * stamps.F[1][2] + stamps.B * stamps.F[1][0]
    assert (found["uneven"], found["even"]) == (3, 1)
    for stride, size in ((1, 3), (2, 3), (2, 4), (3, 2)):
        x, kernel = torch.randn(4, 5), torch.randn(size, size)
        expected = F.conv_transpose2d(x[None, None], kernel[None, None], stride=stride)[0, 0]
        torch.testing.assert_close(stamps.stamped(x, kernel, stride), expected)


def test_C20_wiener_and_richardson_lucy_undo_a_blur_and_the_adjoint_does_not():
    found = shown("deblur").numbers
    assert found["Wiener"] > found["blurred"] + 1 < found["Richardson–Lucy"]
    assert found["transposed convolution"] < found["blurred"]
    x, H = torch.rand(24, 30).double(), deblur.bell(24, 30, 0.6)
    blurred = deblur.through(x, H)
    sigma = scipy.ndimage.gaussian_filter(x.numpy(), 0.6, mode="wrap", truncate=8)
    np.testing.assert_allclose(blurred, sigma, atol=1e-4)
    torch.testing.assert_close(deblur.wiener(blurred, H, 0.0), x, atol=1e-9, rtol=0)  # no noise: the inverse
    y = torch.rand(24, 30).double()
    torch.testing.assert_close((blurred * y).sum(), (x * deblur.through(y, H.conj())).sum())  # the adjoint
    error = lambda steps: (deblur.richardson_lucy(blurred, H, steps) - x).square().mean()
    assert error(100) < error(10) < (blurred - x).square().mean()
    one = deblur.richardson_lucy(blurred, H, 1)
    assert one.sum() == pytest.approx(float(blurred.sum()))  # it keeps the light


def test_C20_wiener_and_richardson_lucy_are_scikit_images():
    restoration = pytest.importorskip("skimage.restoration", reason="scikit-image is an oracle for tests alone")
    x = torch.from_numpy(scipy.ndimage.gaussian_filter(np.random.default_rng(0).random((48, 48)), 2)).clamp(0.05, 1)
    H = deblur.bell(48, 48, 1.0)
    kernel = torch.fft.fftshift(torch.fft.ifft2(H).real)[16:33, 16:33].numpy()
    y = deblur.through(x, H)
    theirs = restoration.richardson_lucy(y.numpy(), kernel / kernel.sum(), num_iter=20, clip=False)
    ours = deblur.richardson_lucy(y, H, 20).numpy()
    np.testing.assert_allclose(ours[18:-18, 18:-18], theirs[18:-18, 18:-18], rtol=0.02)  # theirs stops at the edge
    flat = restoration.wiener(y.numpy(), kernel / kernel.sum(), 0.01, reg=np.ones((1, 1)), clip=False)
    np.testing.assert_allclose(deblur.wiener(y, H, 0.01).numpy(), flat, atol=2e-3)


def test_C22_the_sliding_classifier_equals_each_window():
    assert shown("sliding").numbers["apart"] < 1e-4
    assert shown("sliding").numbers["right"] >= 0.6
    net, page = sliding.network().eval(), torch.rand(1, 1, 11, 13)
    found = sliding.by_windows(net, page)
    torch.testing.assert_close(found[0, :, 2, 4], net(page[:, :, 2:10, 4:12])[0])


def test_N10_stacks_see_what_one_filter_sees_with_fewer_weights():
    found = shown("receptive").numbers
    assert [found[f"{k} of 3×3"] for k in (1, 2, 3)] == [3, 5, 7] == [3, 5, found["one 7×7"]]
    assert (found["three"], found["seven"]) == (27 * 8**2, 49 * 8**2)
    row = [sum(comb(3, j) * comb(3 - j, i - 2 * j) for j in range(4) if 0 <= i - 2 * j <= 3 - j) for i in range(7)]
    ways = np.array(row) / 27  # (1 + z + z²)³, by the multinomial theorem
    field = receptive.seen(receptive.stack(3))
    np.testing.assert_allclose(field[1:-1, 1:-1], np.outer(ways, ways), atol=1e-12)


def test_N11_E3_scaling_stands_for_all_subnetworks():
    found = shown("dropout").numbers
    assert found["linear"] < 1e-12 > found["geometric"]
    assert 1e-4 < found["plain"] < 0.2
    p = torch.tensor([0.3]).double()
    P = dropout.probability(p)
    assert P.sum() == pytest.approx(1)
    kept = dropout.MASKS.sum(1)
    for k in range(dropout.N + 1):
        assert P[0, kept == k].sum() == pytest.approx(scipy.stats.binom.pmf(k, dropout.N, 0.3))
    quarter = next(line for line in shown("dropout").lines if line.startswith("¼"))
    mean, scaled, printed = (float(word.strip(",;")) for word in quarter.split() if word[0].isdigit())
    assert mean == scaled
    assert printed == pytest.approx(3 * mean, abs=2e-3)


# --- 000, 003: through time


def test_R2_orders_of_the_solvers_and_a_learnt_pendulum():
    found = shown("solver").numbers
    assert found["Euler"] == pytest.approx(2, rel=0.1)
    assert found["RungeKutta"] == pytest.approx(16, rel=0.1)
    assert found["off"] < 0.5
    assert solver.error(RungeKutta, 40, pi / 2) < 1e-6 < solver.error(Euler, 40, pi / 2)
    swing = solver.solve(solver.Pendulum(1, 2).double(), torch.tensor([[1.0, 0.0]]).double(), 20)[:, 0]
    right = lambda t, h: [h[1], -np.sin(h[0]) - 0.1 * h[1]]
    exact = scipy.integrate.solve_ivp(right, (0, 2), [1.0, 0.0], t_eval=[2], rtol=1e-10, atol=1e-12).y[:, -1]
    np.testing.assert_allclose(swing[-1], exact, atol=1e-5)


def test_R4_the_gradient_of_the_shared_matrix_is_the_sum_over_its_uses():
    assert max(shown("unrolled").numbers.values()) < 1e-12
    W, xs = torch.randn(2, 4).double(), torch.randn(4, 2).double()
    for every, losses in ((False, 1), (True, 4)):
        graph = unrolled.drawn(unrolled.gradients(W, xs, every), every)
        assert sum(edge.source == "W" for edge in graph.edges) == 4  # one W, an edge to each step
        assert sum(name.startswith("y") for name in graph.nodes) == losses


def test_R6_gradients_go_with_powers_of_the_singular_value_and_an_open_memory_keeps_them():
    ends = shown("exploding").numbers
    for value in (1.2, 1.0, 0.8):
        assert ends[f"σ = {value}, rotation"] == pytest.approx(value**49)
    assert ends["σ = 1.2, random"] < 1.2**49  # the largest singular value only bounds it
    assert ends["tanh, σ = 0.5"] <= 0.5**49
    assert ends["LSTM's c, f ≈ 0.95"] > 1e6 * ends["tanh, σ = 0.5"]
    W = torch.randn(4, 4).double()
    assert exploding.linear_norms(W, 4)[3] == pytest.approx(np.linalg.norm(np.linalg.matrix_power(W.numpy(), 3), 2))


def test_E2_as_printed_the_norm_becomes_the_threshold_over_the_norm():
    for size in (0.5, 2.0, 50.0):
        g = size * F.normalize(torch.randn(5).double(), dim=0)
        parameter = nn.Parameter(torch.zeros(5).double())
        parameter.grad = g.clone()
        nn.utils.clip_grad_norm_([parameter], clipping.THRESHOLD)
        torch.testing.assert_close(clipping.meant(g), parameter.grad, rtol=1e-5, atol=0)
        assert clipping.printed(g).norm() == pytest.approx(min(size, 1 / size))
    ends = shown("clipping").numbers
    assert ends["meant"] < 0.3 < 3 < ends["printed"]


def test_L1_hello_is_written_letter_after_letter():
    found = shown("hello").numbers
    assert found["written"] == 1
    assert found["least"] > 0.9
    assert found["loss"] < 0.1 < log(4)
    net = hello.network()
    x, h, p = hello.inside(net)
    assert (x.argmax(0) == hello.ids("hell")[:, 0]).all()
    weight, bias = net.stack.cells[0].h.weight, net.stack.cells[0].h.bias  # sees (h; x)
    state = torch.zeros(3)
    for t in range(4):
        state = torch.tanh(weight @ torch.cat([state, x[:, t]]) + bias)
        torch.testing.assert_close(h[:, t], state)
        torch.testing.assert_close(p[:, t], (net.out(state)).softmax(0))
