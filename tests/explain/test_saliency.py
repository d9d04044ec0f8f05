"""Gradients of a score: against captum, against their definition, and against what they promise to add up to."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from legato.errors import UsageError
from legato.explain import gradient, gradient_times_input, integrated_gradients, saliency, smooth_gradient
from legato.explain.guided import guided_gradient
from legato.explain.integrated import complete_gradients
from legato.explain.rectified import rectifying
from legato.layers.residual import BasicBlock
from legato.networks.registry import NETWORKS
from legato.networks.squeezenet import Fire
from tests.contract import LIGHT, smallest
from tests.explain.subjects import network, of_class, pictures

attr = pytest.importorskip("captum.attr")


def test_saliency_is_captums():
    net, x = network(), pictures()
    theirs = attr.Saliency(net).attribute(x.clone().requires_grad_(), target=1)
    torch.testing.assert_close(saliency(of_class(net), x), theirs.amax(1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(gradient(of_class(net), x).abs(), theirs, atol=1e-4, rtol=1e-4)


def test_gradient_times_input_is_captums_and_exact_for_a_linear_score():
    net, x = network(), pictures()
    theirs = attr.InputXGradient(net).attribute(x.clone().requires_grad_(), target=1).sum(1)
    torch.testing.assert_close(gradient_times_input(of_class(net), x), theirs, atol=1e-4, rtol=1e-4)
    w = torch.randn(3, 12, 12, generator=torch.Generator().manual_seed(3))
    linear = lambda x: (w * x).sum(dim=(1, 2, 3)) + 7
    torch.testing.assert_close(gradient_times_input(linear, x), (w * x).sum(1))


def test_integrated_gradients_are_captums():
    net, x = network(), pictures()
    grey = torch.full_like(x, 0.5)
    for baseline in (None, grey):
        oracle = attr.IntegratedGradients(net, multiply_by_inputs=True)
        theirs = oracle.attribute(x, baseline if baseline is not None else 0, target=1, n_steps=50)
        ours = integrated_gradients(of_class(net), x, baseline, steps=50)
        torch.testing.assert_close(ours, theirs.float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["lenet5", "lenet5_1998", "cifarnet"])
def test_integrated_gradients_add_up_to_the_difference_within_one_percent(name):
    torch.manual_seed(1)
    entry = NETWORKS[name]
    net = entry.build().eval()
    size = entry.size
    x = torch.rand(1, entry.channels, size, size)
    score = lambda x: 10 * entry.read(net(x))[:, 3]  # scaled, so that one percent is not lost in rounding
    with torch.no_grad():
        difference = float(score(x) - score(torch.zeros_like(x)))
    found = complete_gradients(score, x)
    assert abs(difference) > 1e-3
    assert float(found.values.sum()) == pytest.approx(difference, rel=0.01)
    assert found.missing <= 0.01


def test_an_integral_that_needs_more_steps_gets_them():
    kinked = lambda x: F.relu(x.sum(dim=(1, 2, 3)) - 0.97 * 27)  # Gauss misses 12 % in 50 steps, 2 % in 100, by NumPy
    found = complete_gradients(kinked, torch.ones(1, 3, 3, 3))
    assert found.steps == 200
    assert float(found.sums) == pytest.approx(0.03 * 27, rel=0.01)


def test_smoothgrad_is_the_mean_over_noise_and_nothing_else():
    x = pictures()
    square = lambda x: x.square().sum(dim=(1, 2, 3))  # gradient 2 x: the mean over x + ε goes to 2 x
    sharp = smooth_gradient(square, x, noise=0.0, samples=2)
    torch.testing.assert_close(sharp, 2 * x)
    noise = 0.2 * float(x[0].max() - x[0].min())
    off = (smooth_gradient(square, x, noise=0.2, samples=64) - 2 * x)[0]
    assert float(off.std()) == pytest.approx(2 * noise / 8, rel=0.15)  # σ of the mean of 64
    assert torch.equal(smooth_gradient(square, x, samples=3), smooth_gradient(square, x, samples=3))


def test_guided_backpropagation_is_captums():
    net, x = network(), pictures()
    with pytest.warns(UserWarning, match="hooks"):
        theirs = attr.GuidedBackprop(net).attribute(x.clone().requires_grad_(), target=1)
    torch.testing.assert_close(guided_gradient(of_class(net), x), theirs, atol=1e-4, rtol=1e-4)


class Modular(nn.Module):
    """A block written with F.relu, again with modules for every rectifier, as an oracle needs them."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block, self.inner, self.outer = block, nn.ReLU(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b = self.block
        if isinstance(b, Fire):
            x = self.inner(b.squeeze(x))
            return self.outer(torch.cat([b.expand1x1(x), b.expand3x3(x)], dim=1))
        return self.outer(b.branch(x) + b.shortcut(x))


@pytest.mark.parametrize("block", [Fire(3, 4, 6), BasicBlock(3, 8, 1)], ids=["fire", "residual"])
def test_guided_backpropagation_reaches_rectifiers_that_are_no_modules(block):
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12 if isinstance(block, Fire) else 8, 4))
    x = pictures()
    written, modular = nn.Sequential(block, head).eval(), nn.Sequential(Modular(block), head).eval()
    with pytest.warns(UserWarning, match="hooks"):
        theirs = attr.GuidedBackprop(modular).attribute(x.clone().requires_grad_(), target=1)
    ours = guided_gradient(of_class(written), x)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(ours, gradient(of_class(written), x))


def test_the_rule_ends_with_the_block():
    net, x = network(), pictures()
    before = gradient(of_class(net), x)
    with pytest.raises(ZeroDivisionError), rectifying("guided"):
        raise ZeroDivisionError
    assert torch.equal(gradient(of_class(net), x), before)


def test_an_answer_without_a_gradient_is_refused_with_a_way_out():
    for score in (lambda x: x.detach().sum(dim=(1, 2, 3)), lambda x: torch.ones(len(x), requires_grad=True)):
        with pytest.raises(UsageError, match="occlusion needs none"):
            gradient(score, pictures())


def every(light: bool):
    quick = {"lenet5", "lenet5_1998", "linear", "mlp", "quicknet", "resnet20", "locally_connected"}
    return [e for name, e in NETWORKS.items() if e.params <= LIGHT and (name in quick) == light]


def check_gradients_of(entry):
    torch.manual_seed(0)
    net, size = entry.build().eval(), smallest(entry)
    x = torch.rand(1, entry.channels, size, size).contiguous(memory_format=torch.channels_last)
    score = lambda x: entry.read(net(x))[:, 0]
    for found in (gradient(score, x), guided_gradient(score, x), integrated_gradients(score, x, steps=2)):
        assert found.shape == x.shape
        assert found.isfinite().all()
    assert gradient(score, x).any()


@pytest.mark.parametrize("entry", every(light=True), ids=lambda e: e.name)
def test_gradients_of_classifiers_of_every_kind(entry):
    check_gradients_of(entry)


@pytest.mark.slow
@pytest.mark.parametrize("entry", every(light=False), ids=lambda e: e.name)
def test_gradients_of_every_other_classifier(entry):
    check_gradients_of(entry)
