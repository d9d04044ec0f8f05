"""The lecture's scheme in one line: what it builds, and what it answers to a slip of the pen."""

import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.networks.pattern import parse, pattern


def names(net: nn.Sequential) -> str:
    return " ".join(name for name, _ in net.named_children())


def test_repetitions_are_written_out_and_stages_counted():
    net = pattern("[conv8-relu-conv8-relu-pool]*2-[fc32-relu]*1-fc", classes=5, channels=3, size=20)
    assert names(net) == "conv1 relu1 conv2 relu2 pool1 conv3 relu3 conv4 relu4 pool2 flat fc1 relu5 fc2"
    assert net(torch.rand(2, 3, 20, 20)).shape == (2, 5)
    weights = 3 * 9 * 8 + 8 + 3 * (8 * 9 * 8 + 8) + (8 * 5 * 5 * 32 + 32) + (32 * 5 + 5)
    assert sum(p.numel() for p in net.parameters()) == weights


def test_brackets_nest_and_may_repeat_no_times():
    texts = " ".join(part.text for part in parse("[[conv4-relu]*2-pool]*2-[fc9-relu]*0-fc"))
    assert texts == "conv4 relu conv4 relu pool conv4 relu conv4 relu pool fc"


def test_parts_take_size_stride_and_padding():
    net = pattern("conv6k5s2p0-pool3s2p1-avgpool-fc", classes=2, channels=1, size=28)
    conv, pool, mean = net.conv1, net.pool1, net.avgpool1
    assert (conv.kernel_size, conv.stride, conv.padding) == ((5, 5), (2, 2), (0, 0))
    assert (pool.kernel_size, pool.stride, pool.padding) == (3, 2, 1)
    assert (mean.kernel_size, mean.stride) == (2, 2)
    assert net(torch.rand(1, 1, 28, 28)).shape == (1, 2)


def test_maps_and_units_can_be_normalised_and_dropped():
    net = pattern("conv4-bn-relu-gap-fc8-bn-tanh-drop0.3-fc-sigmoid-fc".replace("-fc-sigmoid", ""), 2, 1, 8)
    kinds = " ".join(type(layer).__name__ for layer in net)
    assert kinds == "Conv2d BatchNorm2d ReLU GlobalAverage Linear BatchNorm1d Tanh Dropout Linear"
    assert net.drop1.p == 0.3


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("[conv64-rlu]*2-fc", r"character 9: no part called 'rlu'; did you mean relu\?"),
        ("[conv64-relu*2-fc", "character 13: unexpected '\\*'"),
        ("[conv64-relu-fc", "character 1: this bracket is not closed"),
        ("conv64-relu", "character 8: relu cannot be the last part: a classifier ends in fc"),
        ("fc-relu-fc", "character 1: fc without a number of units belongs at the end; write fc256"),
        ("conv64--fc", "character 8: a part is missing"),
        ("conv64-relu-", "character 13: a part is missing"),
        ("conv64-relu5-fc", "character 8: relu takes no number, but relu5 has one"),
        ("conv64-bnk3-fc", "character 8: no part called 'bnk'"),
        ("conv64-pool2k3-fc", r"character 8: pool takes no k \(size\), but pool2k3 has one"),
        ("[conv4]*0-[fc3]*0", "character 1: nothing is left"),
        ("[[conv4]*900]*900-fc", "more than 1000"),
        ("conv4-fc]", "character 9: unexpected ']'"),
    ],
)
def test_a_slip_is_answered_with_its_place(spec: str, complaint: str):
    with pytest.raises(UsageError, match=complaint):
        parse(spec)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("conv-fc", "character 1: conv needs a whole number behind it, such as conv64"),
        ("conv2.5-fc", "character 1: conv2.5 needs a whole number"),
        ("fc10-conv4-fc", "character 6: conv4 needs maps, but what comes before it has none"),
        ("[conv4-pool]*4-fc", "character 8: pool "),
        ("conv4k9p0-fc", "character 1: conv4k9p0 "),
        ("conv4-drop1-fc", "character 7: drop1 drops everything: give a share below 1, not 1"),
    ],
)
def test_a_part_that_does_not_fit_is_named(spec: str, complaint: str):
    with pytest.raises(UsageError, match=complaint):
        pattern(spec, classes=3, channels=1, size=8)
