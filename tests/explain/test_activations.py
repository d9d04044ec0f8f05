"""Feature maps: those of the stage, of the channel, the strongest first."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from legato import picture
from legato.errors import UsageError
from legato.explain.activations import one_stage, overview, show_activations, top_channels
from legato.explain.stages import maps, outline
from tests.explain.subjects import subject


def test_a_stages_maps_are_what_comes_out_of_it():
    one = subject(stage="relu1")
    expected = one.net[:3](one.pixels)[0].detach()  # normalize, conv1, relu1
    torch.testing.assert_close(one_stage(one), expected)


def test_the_strongest_channels_come_first():
    maps = torch.zeros(5, 3, 3)
    for channel, largest in enumerate((1.0, 4.0, 2.0, 0.0, 3.0)):
        maps[channel, channel % 3, 1] = largest
    assert top_channels(maps, 3) == [1, 4, 2]
    assert top_channels(maps, 9) == [1, 4, 2, 0, 3]


def test_a_stage_shows_all_its_maps_and_the_strongest_over_the_picture():
    everything, strongest = show_activations(subject(stage="relu2"))
    assert (everything.name, strongest.name) == ("all", "top")
    assert everything.lines[0].startswith("relu2: 8 channels of 8 × 8; strongest ")
    assert all(np.asarray(shown.picture).std() > 5 for shown in (everything, strongest))


def test_without_a_stage_those_with_maps_are_walked_through_in_order(monkeypatch):
    seen = {}
    monkeypatch.setattr(picture, "ladder", lambda image, rows, title: seen.update(rows=rows))
    overview(subject())
    names = [text.partition("\n")[0] for text, _ in seen["rows"]]
    assert names == ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2"]
    assert all(len(maps) == 8 for _, maps in seen["rows"])


def test_stages_and_channels_that_are_not_there():
    with pytest.raises(UsageError, match="no stage called 'relu7'; did you mean relu"):
        show_activations(subject(stage="relu7"))
    with pytest.raises(UsageError, match=r"fc1 makes no map of places; these do: .*conv1.*pool2"):
        show_activations(subject(stage="fc1"))
    with pytest.raises(UsageError, match="relu1 has channels 0 to 7"):
        show_activations(subject(stage="relu1", channel=8))


def test_a_wrapper_is_opened_until_there_are_stages_to_tell_of():
    inner = subject().net
    net = nn.Sequential(OrderedDict(network=nn.Sequential(OrderedDict(trunk=inner[:7]))))  # ends with pool2
    found = maps(net, lambda: net(torch.rand(1, 3, 16, 16)))
    names = ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2"]
    assert outline(net, found) == [f"network.trunk.{name}" for name in names]
    assert outline(inner, maps(inner, lambda: inner(torch.rand(1, 3, 16, 16)))) == names
