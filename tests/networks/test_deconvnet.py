from itertools import pairwise

import torch

from legato.layers.tracing import on_meta
from legato.networks.deconvnet import deconvnet, deconvnet_small


def test_as_published() -> None:
    """By hand from table 2, with batch normalisation's two numbers a channel: VGG-16's convolutions and their mirror
    with one output of 64 channels where VGG has 3 inputs, fc6, fc7, deconv-fc6, and 21 scores."""
    with torch.device("meta"):
        net = deconvnet().eval()
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    down = sum(9 * i * o + 3 * o for i, o in pairwise(widths))
    back = [64, *widths[1:]][::-1]
    up = sum(9 * i * o + 3 * o for i, o in pairwise(back))
    middle = 49 * 512 * 4096 * 2 + 4096 * 4096 + 3 * (4096 + 4096 + 512)
    assert sum(p.numel() for p in net.parameters()) == down + up + middle + 64 * 21 + 21
    assert on_meta(net, torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 21, 224, 224)


def test_unpooling_puts_the_maximum_back_where_it_stood() -> None:
    torch.manual_seed(0)
    net = deconvnet_small(4).eval()
    x = torch.rand(2, 3, 64, 96)
    assert net(x).shape == (2, 4, 64, 96)
    assert net(x[..., :51, :70]).shape == (2, 4, 51, 70)
    torch.testing.assert_close(net(x)[:1], net(x[:1]), atol=1e-5, rtol=1e-4)


def test_gradient_reaches_everything() -> None:
    net = deconvnet_small(4)
    net(torch.rand(2, 3, 32, 32)).square().mean().backward()
    assert all(p.grad is not None for p in net.parameters())
