import torch
from torch import nn

from legato.layers.tracing import on_meta
from legato.networks import fcn as f
from legato.networks import registry
from legato.networks.fpn import fpn, relative
from legato.tasks.tiles import tiled

from .test_fcn import small


def drawn() -> nn.Module:
    torch.manual_seed(0)
    return fpn(f.fully_convolutional(small(), (3, 96, 96)), 5).eval()


def test_a_score_for_every_pixel_of_any_picture_and_nothing_that_does_not_learn() -> None:
    net = drawn()
    for size in ((67, 93), (180, 130)):
        assert net(torch.rand(2, 3, *size)).shape == (2, 5, *size)
    net(torch.rand(2, 3, 64, 64)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_on_squeezenet_as_many_parameters_as_by_hand() -> None:
    with torch.device("meta"):
        net = fpn(f.fully_convolutional(registry.NETWORKS["squeezenet"].build(2, 3), (3, 224, 224)), 2)
        trunk = sum(p.numel() for p in net.trunk.parameters())  # type: ignore[union-attr]
    lateral = sum(64 * (channels + 1) + 2 * 64 for channels in (128, 256, 512, 512))
    assert sum(p.numel() for p in net.parameters()) - trunk == lateral + 2 * (64 * (64 * 9 + 1) + 2 * 64) + 2 * 65
    assert on_meta(net, torch.empty(1, 3, 130, 97, device="meta")).shape == (1, 2, 130, 97)


def test_vgg_is_tapped_at_its_pools() -> None:
    with torch.device("meta"):
        net = fpn(f.fully_convolutional(registry.NETWORKS["vgg16"].build(2, 3), (3, 224, 224)), 2)
    assert net.taps[:3] == ["pool2", "pool3", "pool4"]


def test_a_coarse_ramp_lies_on_the_fine_one() -> None:
    coarse, fine = f.Place(1, 16, 7.5, 0.0), f.Place(1, 8, 3.0, 0.0)
    ramp = (7.5 + 16 * torch.arange(9.0)).expand(1, 1, 9, 9)
    got = f.interpolated(ramp, relative(coarse, fine), 18, 18)[0, 0, 9]
    torch.testing.assert_close(got[2:16], 3.0 + 8 * torch.arange(18.0)[2:16])


def test_tiles_agree_with_the_whole() -> None:
    net, picture = drawn(), torch.rand(1, 3, 96, 320)
    with torch.inference_mode():
        whole, parts = net(picture), tiled(net, picture, core=96)
    torch.testing.assert_close(parts, whole, atol=1e-4, rtol=1e-4)
