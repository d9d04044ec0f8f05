"""Stages: tapped, stopped at, and with heads hung on them, by name."""

import pytest
import torch
from torch import Tensor, nn

from legato.errors import UsageError
from legato.layers import Sided, stages, walk


class Counted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x + 1


def row() -> nn.Sequential:
    return stages(first=Counted(), second=Counted(), third=Counted())


def test_stages_keep_their_names_and_order():
    net = row()
    assert [name for name, _ in net.named_children()] == ["first", "second", "third"]
    assert net(torch.zeros(2)).tolist() == [3, 3]


def test_walk_brings_back_what_comes_out_of_the_taps_and_stops_after_the_last():
    net = row()
    seen = walk(net, torch.zeros(1), ["second", "first"])
    assert {name: x.item() for name, x in seen.items()} == {"first": 1, "second": 2}
    assert net.third.calls == 0
    assert walk(net, torch.zeros(1), []) == {}
    assert net.first.calls == 1


def test_an_unknown_stage_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match=r"no stage called 'secnd'; did you mean second\?"):
        walk(row(), torch.zeros(1), ["secnd"])


def test_side_heads_see_their_stage_in_training_and_out_of_it():
    trunk = stages(a=nn.Conv2d(1, 2, 1), flat=nn.Flatten(), classify=nn.Linear(8, 3))
    net = Sided(trunk, {"a": nn.Sequential(nn.Flatten(), nn.Linear(8, 3))})
    x = torch.rand(4, 1, 2, 2)
    for mode in (True, False):
        main, side = net.train(mode)(x)
        torch.testing.assert_close(main, trunk(x))
        torch.testing.assert_close(side, net.sides["a"](trunk.a(x)))
