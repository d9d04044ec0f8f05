"""Contracts: what every network owes for having been registered. Failing one names the network and the clause."""

import inspect
import re
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from legato.errors import UsageError
from legato.layers import walk
from legato.networks.registry import Entry, check_size

LIGHT = 30_000_000  # parameters: what is heavier is checked on the meta device only
MARGIN = re.compile(r"^\s+(\w+)=.*#\s*\(b,([\d,\s]+)\)")  # conv1=ConvRelu(…),  # (b, 96, 55, 55)


def check_network(entry: Entry) -> None:
    """As many parameters as published, shapes as promised in the margin, gradients everywhere, batches that do not mix,
    weights that can be saved; for other classes and channels too."""
    net = on_meta(entry)
    assert sum(p.numel() for p in net.parameters()) == entry.params, f"{entry.name}: parameters"
    check_shapes(entry, net)
    check_gradients(entry, net.train(), size_of(entry))
    other = on_meta(entry, 7, 4 - entry.channels)  # 1 for colour, 3 for grey
    logits = entry.read(other.eval()(torch.empty(2, 4 - entry.channels, *2 * [size_of(entry)], device="meta")))
    assert logits.shape == (2, 7), f"{entry.name}: other classes and channels"
    assert entry.about, f"{entry.name}: says nothing of itself"
    if entry.params <= LIGHT:
        check_numbers(entry)


def on_meta(entry: Entry, *facts: int) -> nn.Module:
    with torch.device("meta"):
        return entry.build(*facts)


def size_of(entry: Entry) -> int:
    return entry.size or int(inspect.signature(entry.build).parameters["size"].default)


def promised(entry: Entry) -> dict[str, tuple[int, ...]]:
    """The shapes at the right margin of its source: comments that cannot lie."""
    lines = map(MARGIN.match, inspect.getsource(entry.build).splitlines())
    return {line[1]: tuple(int(n) for n in line[2].split(",")) for line in lines if line}


def check_shapes(entry: Entry, net: nn.Module) -> None:
    shapes = promised(entry)
    if not isinstance(net, nn.Sequential) or not shapes:
        return
    seen = walk(net.eval(), torch.empty(2, entry.channels, *2 * [size_of(entry)], device="meta"), shapes)
    assert {name: tuple(x.shape[1:]) for name, x in seen.items()} == shapes, f"{entry.name}: shapes"


def check_gradients(entry: Entry, net: nn.Module, size: int, device: str = "meta") -> None:
    """With numbers, no gradient may be all zero; without, it must at least be there."""
    x = torch.rand(4, entry.channels, size, size, device=device)
    outputs = net(x)
    loss = torch.nn.functional.cross_entropy if entry.loss is None else entry.loss
    if device == "meta":
        sum(y.sum() for y in tensors(outputs)).backward()
    else:
        loss(outputs, torch.arange(4) % entry.classes).backward()
    for name, p in net.named_parameters():
        assert p.grad is not None, f"{entry.name}: no gradient reaches {name}"
        assert device == "meta" or p.grad.any(), f"{entry.name}: the gradient of {name} is zero"


def check_numbers(entry: Entry) -> None:
    """On pictures as small as it takes: gradients, batches, saving."""
    torch.manual_seed(0)
    size = smallest(entry)
    net = entry.build()
    check_gradients(entry, net, size, "cpu")
    net.eval()
    x = torch.rand(2, entry.channels, size, size)
    with torch.no_grad():
        both = entry.read(net(x))
        alone = torch.cat([entry.read(net(x[:1])), entry.read(net(x[1:]))])
        near = 1e-4 * both.abs().max().item()
        torch.testing.assert_close(both, alone, rtol=1e-3, atol=near, msg=f"{entry.name}: a batch of two")
        copy = entry.build().eval()
        copy.load_state_dict(load(save(net.state_dict())))
        assert torch.equal(entry.read(copy(x)), both), f"{entry.name}: saved and loaded"


def smallest(entry: Entry) -> int:
    """64 pixels do where the network takes any size."""
    if size_of(entry) <= 64:
        return size_of(entry)
    try:
        check_size(entry.name, 64)
    except UsageError:
        return size_of(entry)
    return 64


def tensors(outputs: Any) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
