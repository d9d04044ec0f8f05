"""The lecture's scheme of a network in one line: INPUT → [CONV → RELU (→ CONV → RELU) → POOL]·N → [FC → RELU]·M → FC.

    [conv64-relu-conv64-relu-pool]*2-[fc256-relu]*1-fc

Parts stand in a row, joined by `-`; `[…]*n` is n times what stands between the brackets. The parts:

    conv64      64 filters of 3×3, padded so that maps keep their size; conv64k5s2p0: 5×5, stride 2, no padding
    pool        the largest of each 2×2; pool3s2: of each 3×3, stride 2; avgpool, avgpool3s2: the mean
    gap         the mean of each map (global average)
    fc256       256 units that see everything; fc: as many as there are classes, at the end
    relu tanh sigmoid    bn: batch normalisation    drop0.5: dropout of half

Stages are called conv1, relu1, conv2, … pool1, … fc1, … in their order.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from legato.errors import UsageError, nearest
from legato.layers.conv import rectified
from legato.layers.pooling import GlobalAverage
from legato.layers.size import output_size
from legato.layers.stages import stages

Shape = tuple[int, ...]  # (channels, size) of maps, or (units,)
PART = re.compile(r"(?P<kind>[a-z]+)(?P<number>\d+(?:\.\d+)?)?(?:k(?P<k>\d+))?(?:s(?P<s>\d+))?(?:p(?P<p>\d+))?")
REPEAT = re.compile(r"\*(\d+)")
MOST = 1000  # parts of a network


class Part(NamedTuple):
    """One part, and where it stands: the first character is number 1."""

    text: str
    at: int
    kind: str
    number: str | None
    k: str | None
    s: str | None
    p: str | None


def is_pattern(name: str) -> bool:
    """Whether this is a pattern rather than the name of a network, in which there is neither `-` nor `[`."""
    return "-" in name or "[" in name


def parse(spec: str) -> list[Part]:
    """The parts of a pattern, repetitions written out. Raises UsageError with the place where it breaks off."""
    parts, at = row(spec, 0)
    if at < len(spec):
        raise broken(spec, at, f"unexpected {spec[at]!r}")
    if not parts:
        raise broken(spec, 0, "nothing is left when all repetitions are written out")
    if parts[-1].text != "fc":
        raise broken(spec, parts[-1].at - 1, f"{parts[-1].text} cannot be the last part: a classifier ends in fc")
    for part in parts[:-1]:
        if part.text == "fc":
            raise broken(spec, part.at - 1, "fc without a number of units belongs at the end; write fc256")
    return parts


def row(spec: str, at: int) -> tuple[list[Part], int]:
    """Parts joined by `-` from `at` on, and where they end."""
    parts, at = item(spec, at)
    while spec[at : at + 1] == "-":
        more, at = item(spec, at + 1)
        parts += more
    if len(parts) > MOST:
        raise broken(spec, at - 1, f"that makes {len(parts)} parts, more than {MOST}")
    return parts, at


def item(spec: str, at: int) -> tuple[list[Part], int]:
    """One part, or a bracket with its repetition."""
    if spec[at : at + 1] == "[":
        inside, end = row(spec, at + 1)
        if end == len(spec):
            raise broken(spec, at, "this bracket is not closed")
        if spec[end] != "]":
            raise broken(spec, end, f"unexpected {spec[end]!r}")
        times = REPEAT.match(spec, end + 1)
        return (inside * min(int(times[1]), MOST + 1), times.end()) if times else (inside, end + 1)
    found = PART.match(spec, at)
    if found is None:
        raise broken(spec, at, "a part is missing")
    return [checked(spec, Part(found[0], at + 1, **found.groupdict()))], found.end()


def checked(spec: str, part: Part) -> Part:
    if part.kind not in LAYERS:
        raise broken(spec, part.at - 1, f"no part called {part.kind!r}{nearest(part.kind, LAYERS)}")
    for field, known_as in (("number", "number"), ("k", "k (size)"), ("s", "s (stride)"), ("p", "p (padding)")):
        if getattr(part, field) is not None and field not in TAKES[part.kind]:
            raise broken(spec, part.at - 1, f"{part.kind} takes no {known_as}, but {part.text} has one")
    return part


def broken(spec: str, at: int, why: str) -> UsageError:
    return UsageError(f"pattern {spec}, character {at + 1}: {why}")


def pattern(spec: str, classes: int, channels: int, size: int) -> nn.Sequential:
    """x (b, channels, size, size) → logits (b, classes). Raises UsageError with the part that does not fit."""
    shape: Shape = (channels, size)
    named: dict[str, nn.Module] = {}
    counts: Counter[str] = Counter()
    for part in parse(spec):
        if part.kind == "fc" and len(shape) == 2:
            named["flat"], shape = nn.Flatten(), (shape[0] * shape[1] ** 2,)
        try:
            layer, shape = LAYERS[part.kind](part, shape, classes)
        except UsageError as error:
            raise broken(spec, part.at - 1, f"{part.text} {error}") from error
        counts[part.kind] += 1
        named[f"{part.kind}{counts[part.kind]}"] = layer
    return stages(**named)


# --- a function a part: (part, shape of what comes, classes) → layer, shape of what leaves


def conv(part: Part, shape: Shape, classes: int) -> tuple[nn.Module, Shape]:
    channels, size = maps(shape)
    filters, k, s = units(part), int(part.k or 3), int(part.s or 1)
    p = k // 2 if part.p is None else int(part.p)
    return rectified(nn.Conv2d(channels, filters, k, s, p)), (filters, output_size(size, k, s, p))


def max_pool(part: Part, shape: Shape, classes: int) -> tuple[nn.Module, Shape]:
    k, s, p, left = window(part, shape)
    return nn.MaxPool2d(k, s, p), left


def mean_pool(part: Part, shape: Shape, classes: int) -> tuple[nn.Module, Shape]:
    k, s, p, left = window(part, shape)
    return nn.AvgPool2d(k, s, p), left


def global_average(part: Part, shape: Shape, classes: int) -> tuple[nn.Module, Shape]:
    return GlobalAverage(), (maps(shape)[0],)


def dense(part: Part, shape: Shape, classes: int) -> tuple[nn.Module, Shape]:
    if part.number is None:
        return nn.Linear(shape[0], classes), (classes,)
    return rectified(nn.Linear(shape[0], units(part))), (units(part),)


def batch_norm(part: Part, shape: Shape, classes: int) -> tuple[nn.Module, Shape]:
    return (nn.BatchNorm2d if len(shape) == 2 else nn.BatchNorm1d)(shape[0]), shape


def dropout(part: Part, shape: Shape, classes: int) -> tuple[nn.Module, Shape]:
    p = float(part.number or 0.5)
    if p >= 1:
        raise UsageError(f"drops everything: give a share below 1, not {p:g}")
    return nn.Dropout(p), shape


def pointwise(layer: Callable[[], nn.Module]) -> Callable[[Part, Shape, int], tuple[nn.Module, Shape]]:
    return lambda part, shape, classes: (layer(), shape)


LAYERS = {
    "conv": conv,
    "pool": max_pool,
    "avgpool": mean_pool,
    "gap": global_average,
    "fc": dense,
    "relu": pointwise(nn.ReLU),
    "tanh": pointwise(nn.Tanh),
    "sigmoid": pointwise(nn.Sigmoid),
    "bn": batch_norm,
    "drop": dropout,
}
TAKES = dict.fromkeys(LAYERS, "") | {"conv": "number k s p", "fc": "number", "drop": "number"}
TAKES |= dict.fromkeys(("pool", "avgpool"), "number s p")


def maps(shape: Shape) -> tuple[int, int]:
    if len(shape) == 1:
        raise UsageError("needs maps, but what comes before it has none")
    return shape[0], shape[1]


def window(part: Part, shape: Shape) -> tuple[int, int, int, Shape]:
    channels, size = maps(shape)
    k = int(float(part.number or 2))
    s, p = int(part.s or k), int(part.p or 0)
    return k, s, p, (channels, output_size(size, k, s, p))


def units(part: Part) -> int:
    if part.number is None or not part.number.isdigit() or int(part.number) == 0:
        raise UsageError(f"needs a whole number behind it, such as {part.kind}64")
    return int(part.number)
