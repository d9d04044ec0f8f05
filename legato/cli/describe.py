"""legato describe NETWORK: the lecture's table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from legato import api, picture
from legato.cli import arguments, show
from legato.errors import UsageError
from legato.networks.describe import Row
from legato.record import to_json
from legato.run import Run


@dataclass
class Describe:
    """Shape, parameters, activations, multiply-adds, bytes and receptive field of each stage."""

    name: tyro.conf.Positional[str]
    """A network from `legato list networks`, a pattern, or the folder of a run."""
    classes: int = 0
    """Classes to tell apart; 0: as published."""
    channels: int = 0
    """1 grey, 3 colour; 0: as published."""
    size: int = 0
    """Side of the picture, pixels; 0: as published."""
    picture: str = ""
    """Draw the stages into this PNG file."""
    json: bool = False
    """Print one JSON object, and nothing else, on stdout."""


def main(args: list[str]) -> None:
    options = arguments.parse(Describe, args, "describe")
    if Path(options.name, "run.json").is_file() and not has_one_shape(Run(options.name).task()):
        in_parts(options)
        return
    rows = api.describe(options.name, options.classes, options.channels, options.size)
    _, shape = api.named(options.name, options.classes, options.channels, options.size)
    total = sum(row.params for row in rows)
    if options.picture:
        picture.save(picture.stage_diagram(rows, options.name), options.picture)
    if options.json:
        show.as_json({"name": options.name, "params": total, "stages": [to_json(row) for row in rows]})
        return
    show.table([readable(row) for row in rows], f"{options.name}, for a picture of {' × '.join(map(str, shape))}")
    if options.name.startswith("vgg"):
        lecture(options)
    macs, bytes_ = sum(row.macs for row in rows), 4 * sum(row.activations for row in rows)
    print(f"{total:,} parameters, {macs:,} multiply-adds, {bytes_ / 1e6:.3g} MB of activations a picture in float32")


def has_one_shape(task: api.AnyTask) -> bool:
    """Whether all inputs are alike, so that stages have shapes."""
    try:
        return bool(task.input_shape)
    except UsageError:
        return False


def in_parts(options: Describe) -> None:
    """A network whose inputs have no one shape, texts for one: there are no shapes, but parts and their weights."""
    net = Run(options.name).task().build()
    rows: list[dict[str, Any]] = [
        {
            "part": name,
            "what": type(part).__name__,
            "weights": [list(p.shape) for p in part.parameters(recurse=False)],
            "params": sum(p.numel() for p in part.parameters(recurse=False)),
        }
        for name, part in net.named_modules()
        if any(True for _ in part.parameters(recurse=False))
    ]
    total = sum(p.numel() for p in net.parameters())
    if options.json:
        show.as_json({"name": options.name, "params": total, "parts": rows})
        return
    shapes = [", ".join(" × ".join(map(str, shape)) for shape in row["weights"]) for row in rows]
    show.table([row | {"weights": shape} for row, shape in zip(rows, shapes)], options.name)
    print(f"{total:,} parameters; what else a table would show depends on the input")


def readable(row: Row) -> dict[str, object]:
    return {k: " × ".join(map(str, v)) if isinstance(v, list) else v for k, v in to_json(row).items()}


def lecture(options: Describe) -> None:
    """Layers, parameters without biases, and activations, as lecture 001 prints them."""
    columns = api.describe_for_lecture(options.name, options.classes, options.channels, options.size)
    rows = [{"layer": c.name, "parameters": c.weights_printed, "activations": c.activations_printed} for c in columns]
    print()
    show.table(rows, "as the lecture prints it")
