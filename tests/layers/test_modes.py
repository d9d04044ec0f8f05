"""Using a network leaves it as it was."""

import pytest
from torch import nn

from legato.layers.modes import evaluating


def test_each_module_returns_to_its_own_mode_whatever_happens():
    net = nn.Sequential(nn.BatchNorm2d(2), nn.Sequential(nn.Dropout(), nn.ReLU()))
    net[0].eval()  # a frozen stage
    before = [module.training for module in net.modules()]
    during = []

    def fail():
        with evaluating(net):
            during.extend(module.training for module in net.modules())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not any(during)
    assert [module.training for module in net.modules()] == before
