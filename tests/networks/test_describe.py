"""A network as a table, against counting by hand and against published numbers."""

import time
from itertools import pairwise

import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.layers.inception import Inception
from legato.layers.locally_connected import LocallyConnected2d
from legato.layers.stages import Sided, stages
from legato.networks.describe import describe, lecture_table, short


def vgg16():
    """Configuration D of Simonyan & Zisserman 2014, table 1."""
    layers, channels = {}, 3
    for group, (width, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
        for i in range(1, depth + 1):
            layers[f"conv{group}_{i}"] = nn.Conv2d(channels, width, 3, padding=1)
            layers[f"relu{group}_{i}"] = nn.ReLU()
            channels = width
        layers[f"pool{group}"] = nn.MaxPool2d(2)
    return stages(
        **layers,
        flat=nn.Flatten(),
        fc6=nn.Linear(512 * 7 * 7, 4096),
        relu6=nn.ReLU(),
        drop6=nn.Dropout(),
        fc7=nn.Linear(4096, 4096),
        relu7=nn.ReLU(),
        drop7=nn.Dropout(),
        fc8=nn.Linear(4096, 1000),
    )


@pytest.fixture(scope="module")
def vgg():
    with torch.device("meta"):
        return vgg16()


def test_vgg16_has_its_published_size_cost_and_receptive_fields(vgg):
    rows = {row.name: row for row in describe(vgg, (3, 224, 224))}
    assert list(rows) == [name for name, _ in vgg.named_children()]
    assert sum(row.params for row in rows.values()) == 138_357_544
    assert sum(row.macs for row in rows.values()) == 15_470_264_320  # 15.5 G, e.g. Canziani et al. 2016, figure 3
    assert rows["pool5"].shape == (512, 7, 7)
    assert rows["pool5"].receptive_field == 212  # Araujo et al. 2019
    assert rows["fc7"].receptive_field == 404  # Long et al. 2015, table 2
    assert rows["conv1_1"].macs == 64 * 224 * 224 * 3 * 9
    assert rows["conv1_1"].bytes == 4 * (64 * 224 * 224 + 64 * 3 * 9 + 64)


def test_tracing_vgg16_takes_far_less_than_a_second(vgg):
    describe(vgg, (3, 224, 224))  # PyTorch imports what it needs
    began = time.process_time()
    describe(vgg, (3, 224, 224))
    assert time.process_time() - began < 0.5


def test_parts_of_a_block_are_summed_or_shown():
    block = Inception(192, 64, 96, 128, 16, 32, 32)  # 3a of GoogLeNet's table 1
    net = stages(inception3a=block, fc=nn.Conv2d(256, 10, 1))
    summed, _ = describe(net, (192, 28, 28))
    assert summed.params == sum(p.numel() for p in block.parameters())
    assert summed.macs == 28 * 28 * sum(p.numel() for p in block.parameters() if p.dim() == 4)
    assert summed.shape == (256, 28, 28)
    assert summed.receptive_field == 5
    parts = describe(net, (192, 28, 28), depth=2)
    assert len(parts) > 4
    assert all(row.name.startswith("inception3a.") for row in parts[:-1])
    for quantity in ("params", "macs"):
        assert sum(getattr(row, quantity) for row in parts[:-1]) == getattr(summed, quantity)


def test_every_depth_adds_up_to_the_same():
    net = stages(a=Inception(16, 4, 4, 8, 2, 4, 4), b=stages(c=stages(d=nn.Conv2d(20, 3, 3), e=nn.BatchNorm2d(3))))
    totals = [
        (sum(row.params for row in rows), sum(row.macs for row in rows))
        for rows in (describe(net, (16, 8, 8), depth) for depth in range(1, 6))
    ]
    assert all(a == b for a, b in pairwise(totals))
    assert totals[0][0] == sum(p.numel() for p in net.parameters())


class Loop(nn.Module):
    """Calls one stage twice, holds a weight of its own, and multiplies without a stage."""

    def __init__(self):
        super().__init__()
        self.again, self.scale = nn.Linear(4, 4, bias=False), nn.Parameter(torch.ones(4, 4))

    def forward(self, x):
        return self.again(self.again(x)) @ self.scale


def test_shared_weights_count_once_and_what_is_outside_stages_is_not_lost():
    first, second, rest = describe(Loop(), (4,))
    assert [first.name, second.name, rest.name] == ["again", "again", "Loop"]
    assert [row.params for row in (first, second, rest)] == [16, 0, 16]
    assert [row.macs for row in (first, second, rest)] == [16, 16, 16]
    assert rest.receptive_field is None  # no picture went in


def test_a_trunk_that_is_walked_rather_than_called_shows_its_stages():
    trunk = stages(conv1=nn.Conv2d(3, 4, 3), conv2=nn.Conv2d(4, 4, 3), mean=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten())
    net = Sided(trunk, {"conv1": stages(flat=nn.Flatten(), fc=nn.Linear(144, 2))})
    names = [row.name for row in describe(net, (3, 8, 8))]
    assert names == ["trunk.conv1", "trunk.conv2", "trunk.mean", "trunk.flat", "sides.conv1"]


def test_multiplications_of_all_kinds_of_layers_by_hand():
    net = stages(
        grouped=nn.Conv2d(4, 8, 3, groups=2),  # → 8×6×6
        transposed=nn.ConvTranspose2d(8, 2, 4, stride=2),  # → 2×14×14
        local=LocallyConnected2d(2, 3, 14, 14, 5),  # → 3×10×10
        flat=nn.Flatten(),
        fc=nn.Linear(300, 7),
    )
    macs = {row.name: row.macs for row in describe(net, (4, 8, 8))}
    assert macs["grouped"] == 6 * 6 * 8 * 2 * 9
    assert macs["transposed"] == 6 * 6 * 8 * 2 * 16
    assert macs["local"] == 10 * 10 * 3 * 2 * 25
    assert macs["fc"] == 300 * 7


def test_a_module_without_parts_is_one_row():
    (row,) = describe(nn.Linear(3, 2), (3,))
    assert (row.name, row.shape, row.params, row.macs, row.activations) == ("Linear", (2,), 8, 6, 2)


def test_half_precision_takes_half_the_bytes():
    whole, half = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3).half()
    weights = 4 * 3 * 9 + 4
    assert describe(whole, (3, 8, 8))[0].bytes - describe(half, (3, 8, 8))[0].bytes == 2 * (weights + 4 * 36)


def test_an_input_that_does_not_fit_is_a_line_for_the_user():
    with pytest.raises(UsageError, match=r"Sequential does not take an input of shape \(3, 16, 16\)") as raised:
        describe(stages(conv=nn.Conv2d(3, 4, 3), flat=nn.Flatten(), fc=nn.Linear(7, 2)), (3, 16, 16))
    assert "\n" not in str(raised.value)


def test_nothing_is_left_behind():
    net = stages(conv=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4))
    describe(net, (3, 8, 8))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert net.training
    assert net.norm.num_batches_tracked == 0


@pytest.mark.parametrize(
    ("n", "printed"), [(150, "150"), (1728, "1.7k"), (36_864, "37k"), (4_000_000, "4M"), (102_760_448, "103M")]
)
def test_short(n, printed):
    assert short(n) == printed


def test_the_lectures_table_of_another_network():
    net = stages(
        conv=nn.Conv2d(1, 6, 5), relu=nn.ReLU(), pool=nn.AvgPool2d(2), flat=nn.Flatten(), fc=nn.Linear(864, 10)
    )
    columns = lecture_table(net, (1, 28, 28))
    assert [c.name for c in columns] == ["input", "conv5-6", "AP", "FC-10", "softmax"]
    assert [c.weights for c in columns] == [0, 150, 0, 8640, 0]
    assert [c.shape for c in columns] == [(1, 28, 28), (6, 24, 24), (6, 12, 12), (10,), (10,)]
