"""legato list networks | tasks | cells | formats."""

from dataclasses import dataclass
from typing import Literal

import tyro

from legato.cli import arguments, show


@dataclass
class List:
    """What there is."""

    what: tyro.conf.Positional[Literal["networks", "tasks", "cells", "formats"]] = "networks"
    """networks, tasks, cells or formats."""
    json: bool = False
    """Print JSON, and nothing else, on stdout."""


def main(args: list[str]) -> None:
    options = arguments.parse(List, args, "list")
    rows = {"networks": networks, "tasks": tasks, "cells": cells, "formats": formats}[options.what]()
    show.as_json(rows) if options.json else show.table(rows)


def networks() -> list[dict[str, object]]:
    from legato.networks.registry import NETWORKS

    return [{"name": n, "paper": e.paper, "params": e.params, "size": e.size} for n, e in sorted(NETWORKS.items())]


def tasks() -> list[dict[str, object]]:
    from legato import tasks as tasks
    from legato.task import TASKS

    return [
        {"name": n, "takes": " + ".join(t.__name__ for t in k.takes), "what": (k.__doc__ or "").split("\n")[0]}
        for n, k in sorted(TASKS.items())
    ]


def cells() -> list[dict[str, object]]:
    from legato.recurrent.cells import CELLS

    return [{"name": n, "state": c.memories, "sees": str(c.sees)} for n, c in sorted(CELLS.items())]


def formats() -> list[dict[str, object]]:
    from legato.data import (
        coco,
        conllu,
        masks,
        poses_coco,
        poses_csv,
        poses_lsp,
        sentences,
        text_files,
        text_pairs,
        voc,
        yolo_txt,
    )
    from legato.data.detect import READERS

    modules = {
        "whole pictures": READERS.values(),
        "boxes and outlines": (voc, coco, yolo_txt),
        "pixels": (masks,),
        "joints": (poses_coco, poses_csv, poses_lsp),
        "text": (text_files, sentences, conllu, text_pairs),
    }
    return [
        {"name": module.__name__.rpartition(".")[2], "of": use, "what": (module.__doc__ or "").partition("\n")[0]}
        for use, of_this_use in modules.items()
        for module in of_this_use
    ]
