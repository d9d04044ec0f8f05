"""Contracts: what networks and tasks owe for having been registered. Failing one names which, and the clause."""

import inspect
import json
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, load_file, save
from torch import Tensor, nn

from legato.device import Device, each
from legato.draws import Draws, seed_from
from legato.errors import UsageError
from legato.layers import walk
from legato.networks.registry import Entry, check_size
from legato.progress import Progress
from legato.record import from_json, to_json
from legato.run import Run
from legato.task import Decoding, Task
from legato.training import Interrupted, fit, merged

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


CPU = Device("cpu", "fp32", 1)
AnyTask = Task[Any, Any, Any]


def check_task(task: AnyTask, folder: Path) -> None:
    """Of an adapted task of tensors in batches: batches that are their examples, sums that add up, a record and answers
    in JSON, eight examples learnt by heart, and a training that, cut short and resumed, ends with the same bits.
    Writes into `folder`."""
    record = json.loads(json.dumps(to_json(task)))
    assert from_json(type(task), record, "record") == task, f"{task.name}: the record is not the task"
    check_batches(task)
    net = check_learning(task)
    check_sums(task, net)
    check_resume(task, folder)


def check_batches(task: AnyTask) -> None:
    """With variations and without: every example is its own, whatever batch it is in."""
    examples, indices = task.examples("train"), list(range(min(8, len(task.examples("train")))))
    for draws in (lambda chosen: None, lambda chosen: Draws((0, "augment", 1), chosen)):
        together = task.batch(examples, indices, draws(indices))
        alone = [task.batch(examples, [i], draws([i])) for i in indices]
        for whole, *parts in zip(leaves(together), *map(leaves, alone)):
            torch.testing.assert_close(whole, torch.cat(parts), msg=f"{task.name}: a batch is not its examples")


def check_learning(task: AnyTask) -> nn.Module:
    """The loss on eight examples falls to a half and below."""
    seed_from(0, "weights")
    net, examples = task.build(), task.examples("train")
    inputs, targets = task.batch(examples, range(min(8, len(examples))), None)
    optimizer, losses = torch.optim.AdamW(net.parameters(), 1e-2), []
    for _ in range(60):
        loss = torch.stack(list(task.loss(net, inputs, targets, None).values.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2, f"{task.name}: eight examples are not learnt, {losses[0]:.3g} → {losses[-1]:.3g}"
    return net.eval()


@torch.no_grad()
def check_sums(task: AnyTask, net: nn.Module) -> None:
    """Sums over parts add up to those of the whole; scores are numbers, answers JSON, one for each example."""
    examples = task.examples("train")
    counted = []
    for indices in (range(6), range(4), range(4, 6)):
        inputs, targets = task.batch(examples, indices, None)
        outputs, _ = task.outputs(net, inputs, None)
        counted.append(task.tally(outputs, targets))
        answers = task.predict(outputs, inputs, Decoding())
        assert json.loads(json.dumps(answers)) == answers, f"{task.name}: answers are not JSON"
        assert len(answers) == len(indices), f"{task.name}: an answer for each example"
        assert all(isinstance(task.line(one), str) for one in answers), f"{task.name}: an answer in a line"
    whole, parts = counted[0], merged(counted[1], counted[2])
    for key in whole:
        torch.testing.assert_close(whole[key], parts[key], check_dtype=False, msg=f"{task.name}: sums of {key}")
    assert all(isinstance(v, int | float) for v in task.scores(whole).values()), f"{task.name}: scores are numbers"


def check_resume(task: AnyTask, folder: Path) -> None:
    recipe = replace(task.recipe(), epochs=2, batch_size=8, precision="fp32", workers=0)

    class CtrlC(Progress):
        def advance(self, count: int, note: Callable[[], str] = str) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    whole, cut = (Run.begin(folder / name, task, recipe, CPU) for name in ("whole", "cut"))
    fit(task, recipe, whole, CPU)
    with pytest.raises(Interrupted):
        fit(task, recipe, cut, CPU, show=CtrlC())
    fit(cut.task(), cut.recipe(), cut, CPU)
    a, b = (load_file(run.folder / "state.safetensors") for run in (whole, cut))
    assert a.keys() == b.keys()
    assert [k for k in a if not torch.equal(a[k], b[k])] == [], f"{task.name}: resumed is not undisturbed"


def leaves(nest: Any) -> list[Tensor]:
    """All tensors of a nest of tuples, lists and dicts."""
    found: list[Tensor] = []
    each(nest, lambda t: found.append(t) or t)
    return found
