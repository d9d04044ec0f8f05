"""A network as a table: what comes out of each stage, and what it costs; also as the lecture prints it for VGG.

Nothing is computed: the network is traced on the meta device, where wide layers and large pictures cost nothing.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor, nn

from legato.errors import UsageError
from legato.layers.pooling import GlobalAverage
from legato.layers.tracing import Trace, on_meta, tensors, tracing


@dataclass(frozen=True)
class Row:
    """A stage, for one example. Rows add up: shared weights count where they are used first."""

    name: str  # as in net.named_modules()
    shape: tuple[int, ...]  # of what comes out, without the batch
    params: int
    activations: int  # numbers that come out of the stage, and errors to store for them (lecture 001, C7)
    macs: int  # multiply-accumulates of convolutions and matrix products; twice as many floating-point operations
    bytes: int  # of the parameters and activations, as they are stored
    receptive_field: int | None  # pixels, the longer side, padding included; None for inputs that are no picture

    @property
    def sharing(self) -> float:
        """How often a weight is used for an example: 1 in a dense layer, h·w in a convolution, t in a recurrent one."""
        return self.macs / self.params if self.params else 0.0


def describe(net: nn.Module, shape: tuple[int, ...], depth: int = 1) -> list[Row]:
    """The stages of net in the order they run, on one example of this shape: (c, h, w) for pictures.

    `depth` is how many calls deep a row may lie: 1 gives the stages net itself calls, with their parts summed, 2 the
    parts of these, and so on. What a network does outside its stages follows in a row named after it.
    """
    with tracing(net) as trace:
        meter = Meter(net, trace, depth)
        hooks = [module.register_forward_pre_hook(meter.enter) for module in net.modules()]
        hooks += [module.register_forward_hook(meter.leave) for module in net.modules()]
        try:
            on_meta(net, trace.picture(shape))
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise UsageError(f"{type(net).__name__} does not take an input of shape {shape}: {reason}") from error
        finally:
            for hook in hooks:
                hook.remove()
    return meter.rows


class Meter:
    """Makes a row of every call that lies `depth` deep, or has no calls inside; the rest goes to whoever called."""

    def __init__(self, net: nn.Module, trace: Trace, depth: int) -> None:
        self.names = {module: name or type(net).__name__ for name, module in net.named_modules()}
        self.trace, self.depth = trace, depth
        self.rows: list[Row] = []
        self.running: list[tuple[int, int]] = []  # for each module being called: macs and rows when it was entered
        self.counted: set[Tensor] = set()

    def enter(self, _module: nn.Module, _inputs: Any) -> None:
        self.running.append((self.trace.macs, len(self.rows)))

    def leave(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        macs_before, rows_before = self.running.pop()
        if len(self.running) > self.depth:
            return
        inside = self.rows[rows_before:]
        macs = self.trace.macs - macs_before - sum(row.macs for row in inside)
        params: list[Tensor] = [p for p in module.parameters() if p not in self.counted]
        if macs or params or not inside:
            self.rows.append(self.row(self.names[module], macs, params, list(tensors(output))))
            self.counted.update(params)

    def row(self, name: str, macs: int, params: list[Tensor], outputs: list[Tensor]) -> Row:
        reaches = self.trace.reaches(outputs[0]) if outputs else None
        return Row(
            name,
            shape=tuple(outputs[0].shape[1:]) if outputs else (),
            params=sum(p.numel() for p in params),
            activations=sum(y.numel() for y in outputs),
            macs=macs,
            bytes=sum(t.numel() * t.element_size() for t in [*params, *outputs]),
            receptive_field=max(reach.size for reach in reaches) if reaches else None,
        )


# --- the lecture's table (001, VGGNet 2014)

CUT = {16_777_216: "16.7M", 4_096_000: "4M"}  # weights that the slide cuts off; it rounds all others


@dataclass(frozen=True)
class Column:
    """A column of the lecture's table: a convolution, a pool or a dense layer. `weights` leaves out the biases."""

    name: str  # conv3-64, MP, FC-4096
    shape: tuple[int, ...]
    weights: int
    activations: int

    @property
    def weights_printed(self) -> str:
        """1.7k, 37k, 103M: one decimal below ten. Empty where there are none."""
        return CUT.get(self.weights) or (short(self.weights) if self.weights else "")

    @property
    def activations_printed(self) -> str:
        """150k, 3.2M, 800k: two digits, the rest rounded away; below 5000 all of them."""
        n = self.activations
        return str(n) if n < 5000 else short(round(n, 2 - len(str(n))))


def lecture_table(net: nn.Module, shape: tuple[int, int, int]) -> list[Column]:
    """What the lecture lists of VGG, for any classifier: input, convolutions, pools, dense layers and softmax."""
    modules = dict(net.named_modules())
    rows = [(row, modules.get(row.name, net)) for row in describe(net, shape, depth=len(modules))]
    first = Column("input", shape, 0, prod(shape))
    columns = [Column(t, row.shape, weights_of(m), row.activations) for row, m in rows if (t := title(m))]
    last = Column("softmax", rows[-1][0].shape, 0, rows[-1][0].activations)
    return [first, *columns, last]


def title(module: nn.Module) -> str | None:
    match module:
        case nn.Conv2d():
            return f"conv{module.kernel_size[0]}-{module.out_channels}"
        case nn.Linear():
            return f"FC-{module.out_features}"
        case nn.MaxPool2d():
            return "MP"
        case nn.AvgPool2d() | nn.AdaptiveAvgPool2d() | GlobalAverage():
            return "AP"
        case _:
            return None


def weights_of(module: nn.Module) -> int:
    return module.weight.numel() if isinstance(module, (nn.Conv2d, nn.Linear)) else 0


def short(n: int) -> str:
    """150, 1728 → 1.7k, 36 864 → 37k, 102 760 448 → 103M: one decimal below ten, and none that is 0."""
    if n < 1000:
        return str(n)
    size, unit = (n / 1e6, "M") if n >= 1e6 else (n / 1e3, "k")
    return f"{size:.0f}{unit}" if size >= 10 else f"{size:.1f}".removesuffix(".0") + unit
