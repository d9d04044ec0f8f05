"""Classifiers as trunks of networks that say where: their stages, and published weights to begin with."""

from pathlib import Path

from torch import nn

from legato.errors import UsageError
from legato.layers.stages import Sided
from legato.networks import registry, weights
from legato.networks.fcn import fully_convolutional
from legato.run import Run
from legato.tasks.transfer import copy_fitting


def trunk(name: str, channels: int) -> nn.Sequential:
    """The registered classifier of this name without its last layer, every stage making a map."""
    return fully_convolutional(classifier(name, channels), (channels, side(name), side(name)))


def classifier(name: str, channels: int) -> nn.Sequential:
    """The network with a last layer for two classes. Raises UsageError if it is no row of stages."""
    net = registry.build(name, 2, channels, side(name))
    net = net.trunk if isinstance(net, Sided) else net
    if not isinstance(net, nn.Sequential):
        raise UsageError(f"--trunk {name}: not a row of stages, so nothing can be tapped; take another")
    return net


def side(name: str) -> int:
    """Of the pictures it was drawn for, pixels."""
    return registry.lookup(name).size or 224


def published(name: str, start_from: str) -> weights.Published | None:
    """The published weights that `start_from` names; None for none, or for a run."""
    if not start_from or Path(start_from, "run.json").is_file():
        return None
    return weights.published(name, start_from)


def initialise(net: nn.Module, own: str, name: str, channels: int, start_from: str) -> str:
    """Weights for the whole net from a run, or published ones for `own`, its submodule made by `trunk`; what was done.

    Raises UsageError if nothing fits.
    """
    if not start_from:
        return ""
    if (found := published(name, start_from)) is None:
        return f"{start_from}: {copy_fitting(net, Run(start_from).best(), start_from)}"
    donor = classifier(name, channels)
    taken = copy_fitting(donor, found.tensors, start_from).loaded
    slid = fully_convolutional(donor, (channels, side(name), side(name)))
    copy_fitting(net.get_submodule(own), slid.state_dict(), start_from)
    return f"{start_from}: {len(taken)} tensors taken over into the trunk; everything behind it is new"
