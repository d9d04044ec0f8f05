import time

import pytest
import torch
from torch import nn

from legato.layers.tracing import receptive_field
from legato.networks import scene_parsing as s


@pytest.mark.parametrize("build", [s.multiscale, s.recurrent])
@pytest.mark.parametrize("size", [(48, 64), (37, 51)])
def test_a_score_for_every_pixel(build: type[nn.Module], size: tuple[int, int]) -> None:
    net = build(5)
    out = net(torch.rand(2, 3, *size))
    assert out.shape == (2, 5, *size)
    out.square().mean().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_the_patch_of_a_place_is_46_pixels() -> None:
    """Farabet et al., section 5: each 256-dimensional feature sees 46 × 46 pixels of its scale."""
    assert receptive_field(s.multiscale(5).features, (3, 96, 96)) == 46


def test_recurrence_adds_no_weights_and_sees_what_was_said() -> None:
    net = s.recurrent(5).eval()
    counted = 25 * (3 + 5) * 64 + 25 + 50 * 25 * 64 + 50 + 5 * 50 + 5
    assert sum(p.numel() for p in net.parameters()) == counted
    x = torch.rand(1, 3, 64, 64)
    deaf = s.recurrent(5).eval()
    deaf.load_state_dict(net.state_dict())
    with torch.no_grad():
        deaf.look.conv1.weight[:, 3:] = 0  # type: ignore[union-attr, index]
    assert not torch.allclose(net(x), deaf(x))


def test_a_network_that_slides_says_the_same_as_patch_by_patch_and_sooner() -> None:
    torch.manual_seed(0)
    convolution = nn.Sequential(nn.Conv2d(3, 8, 5), nn.Tanh(), nn.Conv2d(8, 4, 5))
    on_patch = lambda patches: convolution(patches).flatten(1)
    x = torch.rand(1, 3, 40, 40)
    began = time.process_time()
    slow = s.patch_by_patch(on_patch, x, 9)
    middle = time.process_time()
    fast = convolution(nn.functional.pad(x, (4, 4, 4, 4)))
    assert time.process_time() - middle < (middle - began) / 3
    torch.testing.assert_close(slow, fast, atol=1e-5, rtol=1e-4)
