"""What is traced on the meta device, against the same networks run on numbers."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from legato.layers.locally_connected import LocallyConnected2d
from legato.layers.pooling import LearnedNormPool2d, PNormPool2d
from legato.layers.tracing import on_meta, receptive_field, tracing
from legato.layers.transposed import bilinear_upsampling


class Do(nn.Module):
    """A function as a stage."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Crop(nn.Module):
    """What is cut off is padding to the layers behind, which the theory of receptive fields does not know."""

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def forward(self, x):
        return x[:, :, self.rows]


def positive(layer):
    """All weights 1 and no bias, so that nothing cancels out."""
    nn.init.ones_(layer.weight)
    return layer


def conv(size, stride, padding, dilation):
    return positive(nn.Conv2d(1, 1, (size, 1), (stride, 1), (padding, 0), (dilation, 1), bias=False))


def transposed(size, stride, padding):
    size = max(size, stride)
    return positive(nn.ConvTranspose2d(1, 1, (size, 1), (stride, 1), (min(padding, size - 1), 0), bias=False))


small = st.integers(1, 3)
LAYERS = st.one_of(
    st.builds(conv, st.integers(1, 4), small, st.integers(0, 2), st.integers(1, 2)),
    st.builds(transposed, st.integers(1, 4), small, st.integers(0, 1)),
    st.builds(lambda k, s: nn.AvgPool2d((k, 1), (s, 1), (k // 2, 0), ceil_mode=True), st.integers(1, 3), small),
    st.builds(lambda f: nn.Upsample(scale_factor=(f, 1)), small),
    st.builds(lambda f: nn.Upsample(scale_factor=(f, 1), mode="bilinear"), small),
    st.builds(lambda n: nn.ZeroPad2d((0, 0, n, 1)), small),
    st.builds(lambda n: Crop(slice(n, None)), small),
    st.builds(lambda n: Crop(slice(-n, None, 2)), small),
    st.builds(lambda n: Do(lambda x: x[:, :, ::n]), small),
    st.just(Do(lambda x: F.relu(x) + F.conv2d(x, torch.ones(1, 1, 5, 1).to(x), padding=(2, 0)))),
    st.just(Do(lambda x: x + x.mean((2, 3), keepdim=True))),
    st.just(nn.AdaptiveAvgPool2d((2, 1))),
)  # fmt: skip


def seen_by_numbers(net, length):
    """Which of `length` pixels reach each output: the columns of a linear network's matrix."""
    pixels = torch.eye(length).view(length, 1, length, 1)
    return net(pixels)[:, 0, :, 0].T > 1e-6  # what is less is rounding


@settings(deadline=None, max_examples=40)
@given(layers=st.lists(LAYERS, min_size=1, max_size=4), length=st.integers(8, 13))
def test_sees_exactly_the_pixels_that_reach_it(layers, length):
    net = nn.Sequential(*layers)
    try:
        reached = seen_by_numbers(net, length)
    except RuntimeError:
        return  # a window larger than its map
    with tracing(net) as trace:
        down, across = trace.reaches(on_meta(net, trace.picture((1, length, 1))))
    assert across.at(0) == (0, 0)
    exact = not any(isinstance(layer, (Crop, nn.AdaptiveAvgPool2d)) for layer in layers)
    for position, pixels in enumerate(reached):
        first, last = down.at(position)
        found = pixels.nonzero().flatten().tolist()
        assert all(first <= pixel <= last for pixel in found)
        if exact and first >= 0 and last < length and found:
            assert (first, last) == (found[0], found[-1])


# published receptive fields: Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural networks",
# distill.pub, table of architectures
def vgg16_trunk():
    layers, channels = [], 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.ways = nn.Sequential(
            *(nn.Conv2d(inputs, width, 1), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, width, 3, stride, 1), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, 4 * width, 1), nn.BatchNorm2d(4 * width)),
        )
        self.skip = nn.MaxPool2d(1, stride) if inputs == 4 * width else nn.Conv2d(inputs, 4 * width, 1, stride)

    def forward(self, x):
        return F.relu(self.ways(x) + self.skip(x))


def resnet_trunk(*depths):
    """The ResNet that was measured (TensorFlow-Slim's) has the strides at the end of each group."""
    layers, channels = [nn.Conv2d(3, 64, 7, 2, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
    for group, depth in enumerate(depths):
        for block in range(depth):
            layers.append(Bottleneck(channels, 64 << group, 2 if group < 3 and block == depth - 1 else 1))
            channels = 4 * (64 << group)
    return nn.Sequential(*layers)


def test_published_receptive_fields():
    with torch.device("meta"):
        vgg, resnet50, resnet152 = vgg16_trunk(), resnet_trunk(3, 4, 6, 3), resnet_trunk(3, 8, 36, 3)
        alexnet = nn.Sequential(  # conv1 … pool5
            *(nn.Conv2d(3, 96, 11, 4), nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(96, 256, 5, padding=2), nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(256, 384, 3, padding=1), nn.Conv2d(384, 384, 3, padding=1), nn.Conv2d(384, 256, 3, padding=1)),
            nn.MaxPool2d(3, 2),
        )
    assert receptive_field(alexnet, (3, 227, 227)) == 195
    assert receptive_field(vgg, (3, 224, 224)) == 212
    assert receptive_field(resnet50, (3, 224, 224)) == 483
    assert receptive_field(resnet152, (3, 224, 224)) == 1507


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (LocallyConnected2d(1, 2, 15, 15, 5), 5 + 2),
        (PNormPool2d(4, 2, 3.0), 4 + 2),
        (LearnedNormPool2d(1, 4, 2), 4 + 2),
    ],
)
def test_layers_of_ours_that_cut_windows_out(layer, expected):
    net = nn.Sequential(nn.Conv2d(1, 1, 3), layer)
    assert receptive_field(net, (1, 17, 17)) == expected


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d(2), nn.GroupNorm(1, 2)])
def test_norms_over_the_map_see_all_of_it(norm):
    assert receptive_field(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), norm), (1, 20, 30)) == 30 + 2


def test_upsampled_positions_see_their_neighbours():
    assert receptive_field(nn.Sequential(nn.MaxPool2d(8), bilinear_upsampling(1, 8)), (1, 64, 64)) == 16


def test_nothing_of_the_network_is_touched():
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 2, 3))
    before = {name: (tensor.clone(), tensor.data_ptr()) for name, tensor in net.state_dict().items()}
    with tracing(net) as trace:
        y = on_meta(net, trace.picture((3, 8, 8)))
    assert y.is_meta
    assert net.training
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name][0])
        assert tensor.data_ptr() == before[name][1]
