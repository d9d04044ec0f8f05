"""Rows of the ledger that are networks: counts, shapes and depths of the lectures' own slides."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from legato.errors import UsageError
from legato.layers import Sided, walk
from legato.layers.size import output_size
from legato.networks import weights
from legato.networks.pattern import pattern
from legato.networks.registry import check_size, lookup


def on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return lookup(name).build()


def count(name: str) -> int:
    return sum(p.numel() for p in on_meta(name).parameters())


def shapes(name: str, size: int, channels: int = 3) -> dict[str, tuple[int, ...]]:
    """Width × height × maps after each stage, as the slides write them."""
    net = on_meta(name)
    seen = walk(net, torch.empty(1, channels, size, size, device="meta"), [n for n, _ in net.named_children()])
    return {stage: (*x.shape[2:], x.shape[1]) for stage, x in seen.items()}


class Depths(TorchDispatchMode):
    """How many layers with weights lie on the longest way from the input to each tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[int, tuple[Tensor, int]] = {}  # by id; held, so that no id is given twice

    def of(self, values: Any) -> int:
        if isinstance(values, Tensor):
            return self.held[id(values)][1] if id(values) in self.held else 0
        return max(map(self.of, values), default=0) if isinstance(values, (list, tuple)) else 0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = op(*args, **(kwargs or {}))
        weighs = any(word in str(op) for word in ("convolution", "addmm", "mm.default"))
        for tensor in result if isinstance(result, tuple) else (result,):
            if isinstance(tensor, Tensor):
                self.held[id(tensor)] = tensor, self.of(args) + weighs
        return result


def layers_deep(name: str) -> int:
    net, size = on_meta(name).eval(), lookup(name).size
    with torch.no_grad(), Depths() as depths:
        out = net(torch.empty(1, 3, size, size, device="meta"))
        return depths.of(out)


# --- LeNet and the lecture's Net


class Net(nn.Module):
    """The lecture's code (003), line by line."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


def test_C11_cifarnet_is_the_lecture_s_net_with_62006_weights_of_the_same_names():
    theirs, ours = Net(), lookup("cifarnet").build()
    assert sum(p.numel() for p in ours.parameters()) == 62_006
    ours.load_state_dict(theirs.state_dict())
    x = torch.rand(4, 3, 32, 32)
    torch.testing.assert_close(ours(x), theirs(x))
    theirs.load_state_dict(ours.state_dict())


def test_N1_lenet_5_counts():
    net = on_meta("lenet5_1998")
    counted = {name: sum(p.numel() for p in stage.parameters()) for name, stage in net.named_children()}
    published = {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48_120, "f6": 10_164}  # the paper, section II-B
    assert {name: n for name, n in counted.items() if n} == published
    assert sum(published.values()) == 60_000
    assert count("lenet5") == 61_706


def test_C2_without_weight_sharing_lenet_has_a_weight_for_each_connection():
    local = on_meta("locally_connected").local1
    assert sum(p.numel() for p in local.parameters()) == 122_304  # connections of C1, says the paper


def test_C19_the_common_scheme():
    n, m = 2, 1
    net = pattern(f"[conv8-relu-conv8-relu-pool]*{n}-[fc20-relu]*{m}-fc", classes=10, channels=3, size=32)
    kinds = [type(layer).__name__ for layer in net]
    assert kinds == (
        ["Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d"] * n + ["Flatten"] + ["Linear", "ReLU"] * m + ["Linear"]
    )
    assert net(torch.rand(1, 3, 32, 32)).shape == (1, 10)


# --- AlexNet


def test_E7_only_227_gives_55():
    assert [size for size in range(11, 400) if (size - 11) / 4 + 1 == 55] == [227]
    assert output_size(227, 11, 4) == 55
    check_size("alexnet", 227)
    with pytest.raises(UsageError, match="give --size 227"):
        check_size("alexnet", 224)


def test_N3_alexnet_has_the_shapes_of_the_slide():
    slide = {
        "conv1": (55, 55, 96), "pool1": (27, 27, 96), "norm1": (55, 55, 96), "conv2": (27, 27, 256),
        "pool2": (13, 13, 256), "norm2": (27, 27, 256), "conv3": (13, 13, 384), "conv4": (13, 13, 384),
        "conv5": (13, 13, 256), "pool5": (6, 6, 256), "fc6": (4096,), "fc7": (4096,), "fc8": (1000,),
    }  # fmt: skip  # normalised before pooling, as in the paper
    for name in ("alexnet", "alexnet_grouped"):
        found = shapes(name, 227)
        assert {stage: found[stage] for stage in slide} == slide


def test_N3_sixty_million_parameters_are_those_of_two_streams():
    assert count("alexnet_grouped") == 60_965_224
    assert count("alexnet") == 62_378_344
    net = on_meta("alexnet_grouped")
    assert [net.get_submodule(f"conv{i}.conv").groups for i in (1, 2, 3, 4, 5)] == [1, 2, 1, 2, 2]
    assert [stage.p for stage in net if isinstance(stage, nn.Dropout)] == [0.5, 0.5]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def test_N4_zfnet_begins_with_7x7_at_stride_2():
    conv = on_meta("zfnet").conv1.conv
    assert (conv.kernel_size, conv.stride) == ((7, 7), (2, 2))
    found = shapes("zfnet", 224)  # figure 3 of the paper
    sizes = {"conv1": 110, "pool1": 55, "conv2": 26, "pool2": 13, "conv3": 13, "conv4": 13, "conv5": 13, "pool5": 6}
    assert {stage: found[stage][0] for stage in sizes} == sizes
    assert [shapes("zfnet_wide", 224)[f"conv{i}"][2] for i in (3, 4, 5)] == [512, 1024, 512]  # "more depth"


# --- VGG, GoogLeNet, ResNet


def test_N5_vgg_16_counts_and_nothing_but_3x3():
    assert count("vgg16") == 138_357_544
    net = on_meta("vgg16")
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    assert {(c.kernel_size, c.stride, c.padding) for c in convolutions} == {((3, 3), (1, 1), (1, 1))}
    assert {(p.kernel_size, p.stride) for p in net.modules() if isinstance(p, nn.MaxPool2d)} == {(2, 2)}
    weights = [c.weight.numel() for c in convolutions] + [d.weight.numel() for d in net if isinstance(d, nn.Linear)]
    assert weights == [
        1_728, 36_864, 73_728, 147_456, 294_912, 589_824, 589_824, 1_179_648, 2_359_296, 2_359_296,
        2_359_296, 2_359_296, 2_359_296, 102_760_448, 16_777_216, 4_096_000,
    ]  # fmt: skip  # 1.7k 37k 74k 147k 295k 590k 590k 1.2M 2.4M×5 103M 16.7M 4M


def test_N5_from_8_layers_to_16_and_19():
    assert [layers_deep(name) for name in ("alexnet", "vgg11", "vgg13", "vgg16", "vgg19")] == [8, 11, 13, 16, 19]


def test_E9_googlenet_has_not_5_million_parameters():
    assert count("googlenet") == 6_998_552
    assert count("googlenet_auxiliary") == 13_378_280
    assert count("googlenet_torchvision") == 6_624_904


def test_N6_the_last_layer_before_average_pooling_is_7x7x1024():
    found = shapes("googlenet", 224)
    assert found["inception5b"] == (7, 7, 1024)
    assert found["average"] == (1024,)
    auxiliary = on_meta("googlenet_auxiliary")
    assert isinstance(auxiliary, Sided)
    assert list(auxiliary.sides) == ["inception4a", "inception4d"]


def test_N7_residual_networks_normalise_instead_of_dropping_out():
    counts = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}
    for depth, params in counts.items():
        net = on_meta(f"resnet{depth}")
        assert sum(p.numel() for p in net.parameters()) == params
        kinds = {type(module) for module in net.modules()}
        assert nn.BatchNorm2d in kinds
        assert nn.Dropout not in kinds
        assert layers_deep(f"resnet{depth}") == depth


@pytest.mark.parametrize(("depth", "millions"), [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.7")])
def test_N7_plain_networks_are_their_residual_twins_without_shortcuts(depth: int, millions: str):
    digits = len(millions.partition(".")[2])
    assert f"{count(f'resnet{depth}') / 1e6:.{digits}f}" == millions  # table 6 of the paper
    assert count(f"plain{depth}") == count(f"resnet{depth}")
    assert layers_deep(f"plain{depth}") == layers_deep(f"resnet{depth}") == depth


def test_N8_the_winners_are_8_8_19_22_and_152_layers_deep():
    winners = ["alexnet", "zfnet", "vgg19", "googlenet", "resnet152"]  # 2012 to 2015
    assert [layers_deep(name) for name in winners] == [8, 8, 19, 22, 152]


def test_X5_every_winning_architecture_can_start_from_published_weights():
    for family in ("alexnet", "vgg16", "vgg19", "googlenet", "resnet152", "squeezenet"):
        assert {family, f"{family}_torchvision"} & set(weights.FILES)
