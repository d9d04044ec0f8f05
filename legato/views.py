"""One answer out of several looks: the mean of the outputs for views of the same inputs."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from legato.device import Device
from legato.task import Task


def looked_at(
    task: Task[Any, Any, Any], net: nn.Module, device: Device, inputs: Sequence[Any], numbers: Sequence[int], views: int
) -> Tensor:
    """Outputs for these inputs: the mean over `views` of them, the first as they are (`Task.view`).

    numbers: of the examples, by which their variations are drawn. Raises UsageError if the task has one view only.
    """
    found = []
    for k in range(views):
        encoded, back = task.view(inputs, numbers, k)
        with device.autocast():
            found.append(back(task.outputs(net, device.move(encoded), None)[0]))
    return torch.stack(found).mean(0)
