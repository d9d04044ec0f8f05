"""Watching named stages: one entry a call, and nothing left behind."""

import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.layers.stages import stages
from legato.watch import watch


def net():
    return stages(conv1=nn.Conv2d(3, 4, 3), relu1=nn.ReLU(), block=stages(conv2=nn.Conv2d(4, 2, 3), relu2=nn.ReLU()))


def hooks_of(module):
    return [hook for part in module.modules() for hook in part._forward_hooks.values()]


def test_gives_what_came_out_of_each_named_stage():
    network, x = net(), torch.randn(2, 3, 8, 8)
    with watch(network, "conv1", "block.conv2", "") as seen:
        y = network(x)
    conv1 = network.conv1(x)
    torch.testing.assert_close(seen["conv1"], [conv1])
    torch.testing.assert_close(seen["block.conv2"], [network.block.conv2(conv1.relu())])
    assert seen[""][0] is y
    assert list(seen) == ["conv1", "block.conv2", ""]


def test_a_stage_called_often_gives_an_entry_each_time_in_order():
    cell = nn.RNNCell(3, 3)
    loop = nn.ModuleDict({"cell": cell})
    h = torch.zeros(1, 3)
    states = []
    with watch(loop, "cell") as seen:
        for _ in range(5):
            h = cell(torch.ones(1, 3), h)
            states.append(h)
    assert all(a is b for a, b in zip(seen["cell"], states, strict=True))


def test_entries_stay_in_the_graph():
    network = net()
    with watch(network, "conv1") as seen:
        y = network(torch.randn(1, 3, 8, 8))
    (gradient,) = torch.autograd.grad(y.sum(), seen["conv1"][0])
    assert gradient.shape == (1, 4, 6, 6)


def test_outputs_are_what_the_stage_returned_whatever_that_is():
    lstm = nn.ModuleDict({"lstm": nn.LSTM(2, 3)})
    with watch(lstm, "lstm") as seen:
        outputs, (h, c) = lstm["lstm"](torch.zeros(4, 1, 2))
    assert seen["lstm"][0][0] is outputs
    assert seen["lstm"][0][1] == (h, c)


def test_a_module_under_two_names_answers_to_both():
    shared = nn.Linear(2, 2)
    with watch(stages(first=shared, second=shared), "second") as seen:
        shared(torch.zeros(1, 2))
    assert len(seen["second"]) == 1


def test_nothing_is_left_behind_even_after_an_error():
    network = net()
    with watch(network, "conv1") as seen:
        assert len(hooks_of(network)) == 1
        with watch(network, "conv1", "relu1"):
            assert len(hooks_of(network)) == 3
        assert len(hooks_of(network)) == 1
    assert hooks_of(network) == []
    network(torch.zeros(1, 3, 8, 8))
    assert seen == {"conv1": []}
    with pytest.raises(RuntimeError), watch(network, "block"):
        network(torch.zeros(1, 1, 8, 8))  # three channels are wanted
    assert hooks_of(network) == []


def test_an_unknown_name_is_answered_with_the_nearest_and_adds_no_hook():
    network = net()
    with pytest.raises(UsageError, match=r"no stage called 'conv3' in Sequential; did you mean conv1\?") as raised:
        watch(network, "relu1", "conv3").__enter__()
    assert raised.value.code == 2
    assert hooks_of(network) == []
    with pytest.raises(UsageError, match="there are conv1, relu1, block, block"):
        watch(network, "zzz").__enter__()
