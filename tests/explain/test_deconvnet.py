"""The deconvnet against one written out as the paper has it, and on patterns that were planted."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from legato.errors import UsageError
from legato.explain.deconvnet import deconvnet
from legato.explain.rectified import rectifying
from legato.explain.windows import Box, seen_by
from legato.layers.conv import ConvRelu
from legato.layers.inception import Inception
from legato.layers.normalize import LocalResponseNorm
from legato.layers.residual import BasicBlock
from legato.layers.stages import stages
from legato.networks import registry
from legato.networks.squeezenet import Fire
from legato.picture import patches


def written_out(net: nn.Sequential, x: Tensor, channel: int) -> Tensor:
    """Zeiler & Fergus 2013, section 2.1: forwards with switches; then unpool, rectify, filter by the transpose."""
    way = []
    for layer in (part for stage in net for part in (stage if isinstance(stage, nn.Sequential) else [stage])):
        before = x
        if isinstance(layer, nn.MaxPool2d):
            x, switches = F.max_pool2d(
                x, layer.kernel_size, layer.stride, ceil_mode=layer.ceil_mode, return_indices=True
            )
            way.append((layer, before.shape, switches))
        else:
            x = layer(x)
            way.append((layer, before.shape, None))
    flat = x[0, channel].flatten()
    signal = torch.zeros_like(x)
    signal[0, channel].view(-1)[flat.argmax()] = flat.max()
    for layer, shape, switches in reversed(way):
        signal = back(layer, shape, switches, signal)
    return signal


def back(layer: nn.Module, shape: torch.Size, switches: Tensor, signal: Tensor) -> Tensor:
    """Through one layer, to what had this shape before it."""
    match layer:
        case nn.MaxPool2d():
            unpooled = torch.zeros(*shape[:2], shape[2] * shape[3], dtype=signal.dtype)
            return unpooled.scatter_add(2, switches.flatten(2), signal.flatten(2)).view(shape)
        case nn.ReLU():
            return signal.relu()
        case nn.Conv2d():
            (stride, _), (padding, _), (size, _) = layer.stride, layer.padding, layer.kernel_size
            left = [n - ((y - 1) * stride - 2 * padding + size) for n, y in zip(shape[2:], signal.shape[2:])]
            return F.conv_transpose2d(signal, layer.weight, None, stride, padding, left)
        case nn.Linear():
            return signal @ layer.weight
    return signal.view(shape)


@pytest.mark.parametrize(
    ("name", "stage", "size"),
    [("lenet5", "conv3", 28), ("lenet5", "fc7", 28), ("cifarnet", "conv2", 32), ("alexnet_torchvision", "conv5", 67)],
)
def test_is_the_deconvnet_of_the_paper_written_out(name: str, stage: str, size: int) -> None:
    torch.manual_seed(0)
    entry = registry.lookup(name)
    net = entry.build(10, entry.channels) if name != "alexnet_torchvision" else alexnet_features()
    net = net[: [n for n, _ in net.named_children()].index(stage) + 1].double()
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.normal_(layer.bias, std=0.1)  # which the way back ignores
    x = torch.rand(1, entry.channels, size, size, dtype=torch.float64)
    net.eval()
    strongest = net(x)[0].flatten(1).amax(1) if net(x).dim() == 4 else net(x)[0]
    channel = int(strongest.argmax())
    found, expected = deconvnet(net, stage, x, torch.tensor([channel])), written_out(net, x, channel)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def alexnet_features() -> nn.Sequential:
    """AlexNet's shape with a tenth of its channels: strides, padding and pools that overlap."""
    return stages(
        conv1=ConvRelu(3, 6, 11, stride=4, padding=2), pool1=nn.MaxPool2d(3, 2), conv2=ConvRelu(6, 19, 5),
        pool2=nn.MaxPool2d(3, 2), conv3=ConvRelu(19, 38, 3), conv4=ConvRelu(38, 25, 3), conv5=ConvRelu(25, 25, 3),
    )  # fmt: skip


def test_equals_max_unpool_where_windows_do_not_overlap() -> None:
    """The same with PyTorch's own `MaxUnpool2d` and `conv_transpose2d`, all units of one map at once."""
    torch.manual_seed(1)
    conv, x = nn.Conv2d(2, 3, 5, padding=2, bias=False), torch.randn(1, 2, 12, 12)
    net = stages(conv=conv, relu=nn.ReLU(), pool=nn.MaxPool2d(2))
    y, where = F.max_pool2d(conv(x).relu(), 2, return_indices=True)
    place = int(y[0, 1].argmax())
    alone = torch.zeros_like(y)
    alone[0, 1].view(-1)[place] = y[0, 1].max()
    expected = F.conv_transpose2d(nn.MaxUnpool2d(2)(alone, where).relu(), conv.weight, padding=2)
    torch.testing.assert_close(deconvnet(net, "pool", x, torch.tensor([1])), expected)


def test_reconstructs_the_pattern_it_was_built_to_find() -> None:
    """A unit two convolutions deep that adds up a bar and a dot 6 pixels right of it: exactly these come back."""
    first, second = nn.Conv2d(1, 2, 3, padding=1, bias=False), nn.Conv2d(2, 1, (1, 7), padding=(0, 3), bias=False)
    with torch.no_grad():
        first.weight.zero_()
        first.weight[0, 0, :, 1] = 1  # a bar, three pixels high
        first.weight[1, 0, 1, 1] = 1  # a dot
        second.weight.zero_()
        second.weight[0, 0, 0, 0] = second.weight[0, 1, 0, 6] = 1  # the bar 3 to the left, the dot 3 to the right
    net = stages(one=nn.Sequential(first, nn.ReLU()), two=nn.Sequential(second, nn.ReLU()))
    x = torch.zeros(1, 1, 20, 20)
    x[0, 0, 9:12, 5] = 1
    x[0, 0, 10, 11] = 1
    x[0, 0, 2, 17] = 1  # beside it, and no part of the pattern
    signal = deconvnet(net, "two", x, torch.tensor([0]))
    expected = torch.zeros_like(x)
    expected[0, 0, 9:12, 5] = expected[0, 0, 10, 11] = 4  # what the unit gives: three of the bar and the dot
    torch.testing.assert_close(signal, expected)


def test_only_what_a_rectifier_is_sent_decides_and_guided_needs_both() -> None:
    x = torch.tensor([[2.0, -2.0, 2.0, -2.0]], requires_grad=True)
    sent = torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    expected = {"deconvnet": [1, 1, 0, 0], "guided": [1, 0, 0, 0], "redirected": [1, 0, -1, 0]}
    for rule, passed in expected.items():
        for rectify in (F.relu, torch.relu, nn.ReLU(), Tensor.relu, lambda t: F.relu(t.clone(), inplace=True)):
            with rectifying(rule):  # type: ignore[arg-type]
                y = rectify(x)
            torch.testing.assert_close(y, x.clamp(min=0))
            assert torch.autograd.grad(y, x, sent)[0].tolist() == [passed]
    y = nn.ReLU()(x)  # and nothing stays behind
    assert torch.autograd.grad(y, x, sent)[0].tolist() == [[1, 0, -1, 0]]
    with rectifying("redirected"):
        silent = torch.relu(x - 5)
    assert torch.autograd.grad(silent, x, sent)[0].tolist() == [[1, 1, 0, 0]]  # what would wake it


MODULES = {
    "inception": lambda: Inception(8, 4, 4, 8, 2, 4, 4),
    "residual": lambda: BasicBlock(8, 12, stride=2),
    "fire": lambda: Fire(8, 4, 8),
    "response norm": lambda: nn.Sequential(LocalResponseNorm(), ConvRelu(8, 8, 3)),
}


@pytest.mark.parametrize("kind", MODULES)
def test_goes_back_through_modules_and_only_to_what_the_unit_sees(kind: str) -> None:
    torch.manual_seed(0)
    net, stage, size = (
        stages(conv=ConvRelu(3, 8, 5, stride=2), pool=nn.MaxPool2d(2), module=MODULES[kind]()),
        "module",
        48,
    )
    x = torch.rand(1, 3, size, size)
    box = seen_by(net, stage, (3, size, size))
    with torch.no_grad():
        part = net.eval()(x)[0]
    net.train()
    channel, width = int(part.amax((1, 2)).argmax()), part.shape[2]
    place = (part.shape[1] // 2) * width + width // 2
    if part[channel].flatten()[place] <= 0:
        place = int(part[channel].flatten().argmax())
    signal = deconvnet(net, stage, x, torch.tensor([channel]), torch.tensor([place]))[0]
    assert signal.abs().max() > 0
    outside = torch.ones(size, size, dtype=torch.bool)
    top, left, bottom, right = box(place)
    outside[top:bottom, left:right] = False
    assert signal[:, outside].abs().max() == 0
    assert net.training  # as it was


def test_the_window_is_the_receptive_field_moved_inside() -> None:
    net = stages(conv=ConvRelu(1, 2, 5, stride=2, padding=2), pool=nn.MaxPool2d(2))  # sees 7 pixels, every 4
    box = seen_by(net, "pool", (1, 32, 40))
    assert box(0) == Box(0, 0, 7, 7)  # −2 … 4, moved
    assert box(10 * 2 + 3) == Box(6, 10, 13, 17)
    assert box(10 * 7 + 9) == Box(25, 33, 32, 40)  # 26 … 32, moved
    assert seen_by(net, "pool", (1, 6, 40))(0) == Box(0, 0, 6, 7)


def test_says_what_is_wrong() -> None:
    net, x = registry.lookup("lenet5").build(10, 1), torch.rand(1, 1, 28, 28)
    with pytest.raises(UsageError, match="conv3 has channels 0 to 15, not 16"):
        deconvnet(net, "conv3", x, torch.tensor([16]))
    with pytest.raises(UsageError, match="no stage called 'conv4' in Sequential; did you mean conv"):
        deconvnet(net, "conv4", x, torch.tensor([0]))


def test_blocks_are_as_wide_as_a_slide_and_zero_is_grey() -> None:
    signal, picture = torch.zeros(1, 8, 8), torch.zeros(1, 8, 8)
    signal[0, 0, 0] = 3
    unit = patches.Block("channel 0", [signal] * 9, [picture] * 9, [(0, 0, 4, 4)] * 9)
    drawn = patches.blocks([unit] * 12, "t")
    assert drawn.width > 1.5 * drawn.height
    bright = patches.contrast(signal)
    assert bright[0, 0, 0] == 1
    assert (bright.flatten()[1:] == 0.5).all()
