"""Which cell wins? Every cell with as many parameters and as many characters to read: `python -m bench.cells`.

One layer on two texts, the same recipe for all, the width of each cell such that its network has as many parameters as
that of an LSTM of 128. Through the command line as a user types it. What is done is kept in results/cells.json and not
repeated; the table goes to docs/results.md. About a minute and a half a cell and text on one core.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from legato.recurrent.cells import CELLS, lookup
from legato.recurrent.stack import Stack

HERE = Path(__file__).parent
STORE, TABLE = HERE / "results" / "cells.json", HERE.parent / "docs" / "results.md"
MARKS = "<!-- cells: begin -->\n", "<!-- cells: end -->"
TEXTS = {"tinyshakespeare": 65, "algebra_latex": 97}  # characters each knows, about: they decide the width
RECIPE = "--depth 1 --dropout 0 --epochs 3 --batch-size 32 --lr 3e-3 --seed 0 --precision fp32"
EMBEDDED = ("mut1", "mut2")  # add what they are given as it is: it is as wide as their state
SIZE = 128  # of the LSTM that all are as large as


def parameters(cell: str, width: int, units: int) -> int:
    """Of the layer, of what comes before it unless that is one-hot, and of what comes behind."""
    stack = Stack(lookup(cell), width if cell in EMBEDDED else units, width, 1)
    embed = units * width if cell in EMBEDDED else 0
    return embed + sum(p.numel() for p in stack.parameters()) + (stack.outputs + 1) * units


def width_of(cell: str, units: int) -> int:
    """The width with which the network comes nearest to the LSTM's parameters."""
    aim = parameters("lstm", SIZE, units)
    return min(range(32, 400), key=lambda width: abs(parameters(cell, width, units) - aim))


def trained(cell: str, text: str, data: str) -> dict[str, float]:
    """What `legato train` says of its best epoch, and how long it took."""
    width = width_of(cell, TEXTS[text])
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        embed = width if cell in EMBEDDED else 0
        flags = f"{data}/text/{text} --cell {cell} --width {width} --embed {embed} {RECIPE} --to {run} --json".split()
        done = subprocess.run([sys.executable, "-m", "legato", "train", *flags], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            return {"nats": float("nan"), "width": width}  # a gradient that is no number
        report = json.loads(done.stdout)
        seconds = [json.loads(line)["seconds"] for line in (run / "timing.jsonl").read_text().splitlines()]
    return {"nats": report["valid/nats_per_character"], "width": width, "seconds": sum(seconds)}


def main(names: list[str]) -> None:
    data = os.environ.get("LEGATO_DATA") or sys.exit("cells: set LEGATO_DATA to the folder of real data sets")
    found = json.loads(STORE.read_text()) if STORE.exists() else {}
    for text in TEXTS:
        for cell in names or sorted(CELLS):
            if text not in found.get(cell, {}):
                found.setdefault(cell, {})[text] = trained(cell, text, data)
                print(cell, text, found[cell][text], flush=True)
                STORE.write_text(json.dumps(found, indent=1))
                write_table(found)
    write_table(found)


def write_table(found: dict[str, dict[str, dict[str, float]]]) -> None:
    """The part of docs/results.md between the marks, best on the first text first."""
    first, *_ = TEXTS
    lines = [f"| cell | width | {' | '.join(TEXTS)} | seconds an epoch |", "|---|---|---|---|---|"]
    for cell in sorted(found, key=lambda c: found[c][first]["nats"]):
        row = found[cell]
        nats = [f"{row[text]['nats']:.3f}" if text in row else "*not run*" for text in TEXTS]
        lines.append(f"| {cell} | {row[first]['width']} | {' | '.join(nats)} | {row[first]['seconds'] / 3:.0f} |")
    before, _, rest = TABLE.read_text().partition(MARKS[0])
    TABLE.write_text(before + MARKS[0] + "\n".join(lines) + "\n" + MARKS[1] + rest.partition(MARKS[1])[2])


if __name__ == "__main__":
    main(sys.argv[1:])
