import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.layers.conv import ConvRelu
from legato.layers.stages import stages
from legato.layers.tracing import on_meta
from legato.networks import fcn as f
from legato.networks import registry


def halve() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def small() -> nn.Sequential:
    """A SqueezeNet in small: windows that do not pad, and an end at stride 16."""
    return stages(
        conv1=ConvRelu(3, 8, 3, stride=2, padding=0),
        pool1=halve(),
        conv2=ConvRelu(8, 8, 3),
        pool2=halve(),
        conv3=ConvRelu(8, 8, 3),
        pool3=halve(),
        conv4=ConvRelu(8, 8, 3),
        classify=nn.Conv2d(8, 2, 1),
        average=nn.AdaptiveAvgPool2d(1),
        flat=nn.Flatten(),
    )


def drawn(name: str, classes: int = 5) -> f.FCN:
    torch.manual_seed(0)
    net = f.fcn(name, f.fully_convolutional(small(), (3, 96, 96)), classes).eval()
    for layer in net.scores.values():
        nn.init.normal_(layer.weight)  # type: ignore[arg-type]
    return net


@pytest.mark.parametrize("name", ["fcn8s", "fcn16s", "fcn32s"])
@pytest.mark.parametrize("size", [(67, 93), (180, 130)])
def test_a_score_for_every_pixel_of_any_picture(name: str, size: tuple[int, int]) -> None:
    assert drawn(name)(torch.rand(2, 3, *size)).shape == (2, 5, *size)


def test_each_network_taps_one_stage_more() -> None:
    taps = [drawn(name).taps for name in ("fcn32s", "fcn16s", "fcn8s")]
    assert taps == [["conv32"], ["conv4", "conv32"], ["conv3", "conv4", "conv32"]]


def test_vgg16_is_tapped_where_the_paper_does_and_has_its_134_million_parameters() -> None:
    with torch.device("meta"):
        vgg = registry.NETWORKS["vgg16"].build(2, 3)
        trunk = f.fully_convolutional(vgg, (3, 224, 224))
        net = f.fcn("fcn8s", trunk, 21)
    assert net.taps[:2] == ["pool3", "pool4"]
    assert list(net.trunk._modules)[-3:] == ["fc7", "relu7", "drop7"]
    # table 1 says 134M; by hand: the convolutions, fc6, fc7, three scores, and the kernels of two enlargements by 2
    by_hand = 14_714_688 + (25_088 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 512 + 256 + 3) * 21 + 2 * 21 * 21 * 4 * 4
    assert sum(p.numel() for p in net.parameters()) == by_hand
    assert round(by_hand / 1e6) == 134
    assert on_meta(net, torch.empty(1, 3, 130, 97, device="meta")).shape == (1, 21, 130, 97)


@pytest.mark.parametrize("name", ["squeezenet", "resnet18"])
def test_registered_trunks(name: str) -> None:
    with torch.device("meta"):
        trunk = f.fully_convolutional(registry.NETWORKS[name].build(2, 3), (3, 224, 224))
        net = f.fcn("fcn8s", trunk, 4)
    strides = [f.places(net.trunk, 3)[tap].stride for tap in net.taps]
    assert strides == [8, 16, 32]
    assert on_meta(net, torch.empty(1, 3, 130, 97, device="meta")).shape == (1, 4, 130, 97)


def ramp(place: f.Place, length: int) -> torch.Tensor:
    """A map that holds, at each position, where in the picture it looks."""
    across = place.centre + place.stride * torch.arange(float(length))
    return across.expand(1, 3, length, length).contiguous()


@pytest.mark.parametrize(
    ("coarse", "fine"),
    [((16, 15.0), (8, 7.0)), ((16, 7.5), (8, 3.5)), ((32, 31.0), (16, 15.0)), ((16, 7.5), (8, 0.0))],
)
def test_enlarging_a_ramp_gives_the_ramp_at_the_finer_places(
    coarse: tuple[int, float], fine: tuple[int, float]
) -> None:
    here, there = f.Place(3, *coarse, 0.0), f.Place(3, *fine, 0.0)
    got = f.Enlarge(3, here, there)(ramp(here, 9), 18, 18)[0, 0, 9]
    inside = slice(4, 14)  # beyond the last place the last score goes on
    shift = (coarse[1] - fine[1]) / fine[0]
    tolerance = fine[0] * abs(shift - round(2 * shift) / 2) + 1e-4  # half places at most
    torch.testing.assert_close(got[inside], ramp(there, 18)[0, 0, 9][inside], atol=tolerance, rtol=0)


@pytest.mark.parametrize("centre", [3.5, 7.0])
def test_the_last_enlargement_is_bilinear_and_goes_on_at_the_edge(centre: float) -> None:
    place = f.Place(3, 8, centre, 0.0)
    pixels = torch.arange(72.0)
    got = f.interpolated(ramp(place, 9), place, 72, 72)[0, 0, 40]
    torch.testing.assert_close(got, pixels.clamp(centre, centre + 64))


def test_a_finer_stage_says_nothing_at_first() -> None:
    torch.manual_seed(0)
    trunk = f.fully_convolutional(small(), (3, 96, 96))
    fine, coarse = f.fcn("fcn8s", trunk, 2).eval(), f.fcn("fcn32s", trunk, 2).eval()
    nn.init.normal_(fine.scores["conv32"].weight)  # type: ignore[arg-type]
    coarse.scores["conv32"].load_state_dict(fine.scores["conv32"].state_dict())
    x = torch.rand(1, 3, 128, 128)
    difference = (fine(x) - coarse(x)).abs()
    assert difference.max() < 0.3 * coarse(x).abs().max()  # bilinear by 2, 2, 8 is nearly bilinear by 32


def test_what_cannot_be_done_is_said() -> None:
    trunk = stages(conv=ConvRelu(3, 4, 3, stride=2))
    with pytest.raises(UsageError, match="no stage of stride 32: its strides are 2"):
        f.fcn("fcn32s", trunk, 2)
