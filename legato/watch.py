"""What came out of a named stage, every time it was called: the one way to look inside a network."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from legato.errors import UsageError, nearest


@contextmanager
def watch(net: nn.Module, *names: str) -> Iterator[dict[str, list[Any]]]:
    """Yield {name: outputs}, which fills as net runs: one entry a *call*, so a cell called t times gives t.

        with watch(net, "conv1", "inception4a.three") as seen:
            net(x)
        seen["conv1"][0]  # (b, 64, 112, 112), still part of the graph: gradients can be taken with respect to it

    A name is a path of attributes, as in `net.named_modules()`; "" is net itself. Nothing is left behind in net after
    the block, whatever was raised inside. Raises UsageError when there is no such stage.
    """
    modules = dict(net.named_modules(remove_duplicate=False))
    for name in names:
        if name not in modules:
            raise UsageError(f"no stage called {name!r} in {type(net).__name__}{nearest(name, filter(None, modules))}")
    seen: dict[str, list[Any]] = {name: [] for name in names}
    hooks = [modules[name].register_forward_hook(collect(outputs)) for name, outputs in seen.items()]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def collect(outputs: list[Any]) -> Callable[[nn.Module, Any, Any], None]:
    """A forward hook that only remembers."""

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        outputs.append(output)

    return hook
