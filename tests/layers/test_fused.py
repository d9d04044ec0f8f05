"""A network read for speed is the same network: outputs, gradients, statistics, and who looks at its stages."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from legato.kernels import maps
from legato.layers.conv import ConvNormRelu, ConvRelu
from legato.layers.fused import FastConv, FusedNorm, FusedPool, FusedResidual, FusedRow, fused
from legato.layers.residual import BasicBlock
from legato.layers.stages import stages, walk
from legato.networks import registry

CHANNELS_LAST = torch.channels_last
NETWORKS = [
    ("lenet5", 1, 28), ("digitnet", 1, 28), ("cifarnet", 3, 32), ("resnet20", 3, 32), ("plain20", 3, 32),
    ("resnet18", 3, 64), ("resnet50", 3, 64), ("resnet50_torchvision", 3, 64), ("squeezenet", 3, 64),
    ("googlenet_torchvision", 3, 64), ("[conv8-relu-pool]*2-fc", 3, 32),
]  # fmt: skip


def pair(name: str, channels: int, size: int) -> tuple[nn.Module, nn.Module]:
    """A network in float64 without dropout, and a copy of it, fused."""
    torch.manual_seed(0)
    net = registry.build(name, 10, channels, size).double().to(memory_format=CHANNELS_LAST)
    for layer in net.modules():
        if isinstance(layer, nn.Dropout | nn.Dropout2d):
            layer.p = 0.0
    return net, fused(deepcopy(net))


def answers(net: nn.Module, x: Tensor) -> list[Tensor]:
    """The loss, the input's gradient, then every parameter's gradient and every statistic after a step of training."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    found = net.train()(x)
    outputs = found if isinstance(found, tuple) else (found,)
    loss = sum((y * torch.arange(y.numel()).view_as(y).cos()).sum() for y in outputs)
    loss.backward()
    return [loss.detach(), x.grad, *(p.grad for p in net.parameters()), *net.buffers()]


@pytest.mark.parametrize(("name", "channels", "size"), NETWORKS)
def test_trains_as_the_plain_network_does(name, channels, size):
    net, quick = pair(name, channels, size)
    assert any(isinstance(m, FusedRow | FusedResidual) for m in quick.modules())
    x = torch.rand(3, channels, size, size, dtype=torch.float64).to(memory_format=CHANNELS_LAST)
    for a, b in zip(answers(net, x), answers(quick, x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("name", "channels", "size"), NETWORKS[:5])
def test_out_of_training_it_is_the_plain_network(name, channels, size):
    net, quick = pair(name, channels, size)
    x = torch.rand(3, channels, size, size, dtype=torch.float64).to(memory_format=CHANNELS_LAST)
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(x), quick.eval()(x), rtol=1e-9, atol=1e-11)


def test_shares_every_weight_statistic_and_name():
    net = registry.build("resnet20", 10, 3, 32)
    quick = fused(net)
    mine = {p.data_ptr() for p in net.parameters()} | {b.data_ptr() for b in net.buffers()}
    assert {p.data_ptr() for p in quick.parameters()} | {b.data_ptr() for b in quick.buffers()} == mine
    assert sum(p.numel() for p in quick.parameters()) == sum(p.numel() for p in net.parameters())


def test_a_stage_is_seen_as_it_is():
    """A rectified stage in front of a pool is still rectified for who taps it."""
    net = stages(conv=ConvRelu(3, 8, 3), pool=nn.MaxPool2d(2))
    x = torch.randn(2, 3, 8, 8).to(memory_format=CHANNELS_LAST)
    seen = walk(fused(net), x, ["conv", "pool"])
    assert seen["conv"].min() >= 0
    torch.testing.assert_close(seen["pool"], net(x))


def test_a_watched_layer_is_not_passed_over():
    net = stages(conv=ConvNormRelu(3, 8, 3))
    seen = []
    quick = fused(net)
    net.conv.norm.register_forward_hook(lambda *about: seen.append(about[2]))
    quick.train()(torch.randn(2, 3, 8, 8).to(memory_format=CHANNELS_LAST))
    assert len(seen) == 1


def test_frozen_networks_and_those_without_neighbours_stay_themselves():
    frozen = ConvNormRelu(3, 8, 3)
    frozen.conv.requires_grad_(False)
    assert fused(frozen) is frozen
    dense = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert fused(dense) is dense


def test_every_rectifier_before_a_pool_goes_with_it():
    """LeNet-5's convolutions have kernels of their own, and still no rectifier stands alone."""
    quick = fused(registry.build("lenet5", 10, 1, 28))
    pools = [step for step in quick.steps if isinstance(step, FusedPool)]
    assert [pool.rectify for pool in pools] == [True, True]
    reached = [layer for step in quick.steps for layer in step.modules()]
    assert sum(isinstance(layer, FastConv) for layer in reached) == 2
    assert sum(isinstance(layer, nn.ReLU) for layer in reached) == 2  # those between dense layers


def test_a_fast_convolution_is_the_same_layer():
    conv = nn.Conv2d(8, 16, 3, padding=1)
    quick = FastConv.of(conv)
    assert quick.weight is conv.weight
    assert list(quick.state_dict()) == list(conv.state_dict())
    seen = []
    conv.register_forward_hook(lambda *about: seen.append(about[2].shape))
    quick(torch.rand(2, 8, 16, 16).to(memory_format=CHANNELS_LAST))
    assert seen == [(2, 16, 16, 16)]


def test_a_block_takes_its_shortcut_along():
    block = BasicBlock(8, 8)
    quick = fused(block)
    assert isinstance(quick, FusedResidual)
    assert isinstance(quick.tail, FusedNorm)
    assert quick.tail.norm is block.branch.b.norm


def test_without_a_compiler_it_is_slower_and_the_same(monkeypatch):
    net, quick = pair("digitnet", 1, 28)
    monkeypatch.setattr(maps, "there", lambda *_: False)
    x = torch.rand(2, 1, 28, 28, dtype=torch.float64).to(memory_format=CHANNELS_LAST)
    for a, b in zip(answers(net, x), answers(quick, x), strict=True):
        torch.testing.assert_close(a, b)


def test_a_network_learns_the_same_under_autocast():
    """bfloat16 maps between float32 weights: as near to float64 as torch's own bfloat16."""
    torch.manual_seed(0)
    net = registry.build("digitnet", 10, 1, 28).to(memory_format=CHANNELS_LAST)
    net.dropout.p = 0.0
    x = torch.rand(8, 1, 28, 28).to(memory_format=CHANNELS_LAST)
    true = answers(deepcopy(net).double(), x.double())
    with torch.autocast("cpu", torch.bfloat16):
        plain, quick = answers(deepcopy(net), x), answers(fused(deepcopy(net)), x)
    far = lambda found: torch.stack([(a - t).double().norm() / (t.double().norm() + 1e-9) for a, t in zip(found, true)])
    assert (far(quick) <= 1.5 * far(plain) + 0.02).all()


def test_pools_that_are_no_squares_of_neighbours_are_left_alone():
    for pool in (nn.MaxPool2d((2, 3)), nn.MaxPool2d(2, dilation=2), nn.MaxPool2d(2, return_indices=True)):
        assert not any(isinstance(m, FusedPool) for m in getattr(fused(nn.Sequential(pool)), "steps", []))
