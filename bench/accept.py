"""The trainings behind docs/results.md: `make accept`. Prints what it will cost, does what is not done yet, writes the table.

Everything goes through the command line as a user types it. Rows that are done are kept in bench/results/accept.json
and not repeated; delete a row there to do it again. `python bench/accept.py NAME …` does only these.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev

HERE = Path(__file__).parent
STORE = HERE / "results" / "accept.json"
TABLE = HERE.parent / "docs" / "results.md"
RUNS = Path(os.environ.get("LEGATO_RUNS", "runs/accept"))
MARK = ("<!-- accept: begin -->", "<!-- accept: end -->")


@dataclass(frozen=True)
class Row:
    """One line of the table: a training, once a seed, read once on its split."""

    name: str
    what: str
    train: str  # arguments of `legato train`; {data} is the folder of data sets
    minutes: float  # expected, for all seeds, on two cores
    seeds: tuple[int, ...] = (0,)
    split: str = "test"
    score: str = "accuracy"
    members: tuple[str, ...] = field(default=())  # rows whose runs make an ensemble, instead of a training


MNIST = "{data}/mnist"
ROWS = [
    Row("mnist-quicknet", "MNIST, quicknet, one epoch: 99 % after seconds", f"{MNIST} --network quicknet --epochs 1", 1, (0, 1, 2)),
    Row("mnist-lenet5", "MNIST, modern LeNet-5, default recipe (the lecture's: 82 errors)", f"{MNIST} --network lenet5", 5, (0, 1, 2), score="errors"),
]


def main(names: list[str]) -> None:
    data = os.environ.get("LEGATO_DATA")
    if not data:
        sys.exit("accept: set LEGATO_DATA to the folder of real data sets")
    done = json.loads(STORE.read_text()) if STORE.exists() else {}
    rows = [row for row in ROWS if not names or row.name in names]
    todo = [row for row in rows if row.name not in done]
    print(f"{len(rows) - len(todo)} rows done; {len(todo)} to do, about {sum(r.minutes for r in todo):.0f} minutes on two cores")
    for row in todo:
        print(f"— {row.name}: {row.what} (about {row.minutes:g} min)", flush=True)
        done[row.name] = measure(row, data)
        STORE.parent.mkdir(exist_ok=True)
        STORE.write_text(json.dumps(done, indent=1))
        write_table(done)
    write_table(done)


def measure(row: Row, data: str) -> dict[str, object]:
    """Train where a run is not there or not finished, evaluate once, and say with what."""
    if row.members:
        folders = [RUNS / f"{member}-{seed}" for member in row.members for seed in by_name(member).seeds]
        found = legato(f"evaluate {' '.join(map(str, folders))} --split {row.split} --json")
        return {"scores": [found], "minutes": 0.0, "commit": commit(), "n": found["count"]}
    scores, minutes = [], 0.0
    for seed in row.seeds:
        run = RUNS / f"{row.name}-{seed}"
        verb = f"resume {run}" if (run / "run.json").exists() else f"train {row.train.format(data=data)} --seed {seed} --to {run}"
        legato(verb)
        timing = (run / "timing.jsonl").read_text().splitlines()
        minutes += sum(json.loads(line)["seconds"] for line in timing) / 60
        scores.append(legato(f"evaluate {run} --split {row.split} --json"))
    return {"scores": scores, "minutes": round(minutes / len(row.seeds), 2), "commit": commit(), "n": scores[0]["count"]}


def legato(arguments: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-m", "legato", *shlex.split(arguments)], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"accept: legato {arguments} ended with {done.returncode}")
    return json.loads(done.stdout) if "--json" in arguments else {}


def by_name(name: str) -> Row:
    return next(row for row in ROWS if row.name == name)


def commit() -> str:
    return subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()


def write_table(done: dict[str, dict]) -> None:
    """The part of docs/results.md between the marks."""
    lines = ["| row | what | score | n | seeds | minutes each | commit |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for row in ROWS:
        found = done.get(row.name)
        if found is None:
            lines.append(f"| {row.name} | {row.what} | *not run* | | | about {row.minutes:g} in all | |")
            continue
        values = [s[row.score] for s in found["scores"]]
        lines.append(
            f"| {row.name} | {row.what} | {shown(row.score, values)} | {found['n']} | {len(values)} "
            f"| {found['minutes']} | {found['commit']} |"
        )
    commands = [f"legato train {row.train.format(data='$LEGATO_DATA')}" if row.train else f"legato evaluate {' '.join(row.members)}" for row in ROWS]
    lines += ["", "Commands:", "", "```", *(f"{row.name:24} {command}" for row, command in zip(ROWS, commands)), "```"]
    text = TABLE.read_text()
    before, rest = text.split(MARK[0])
    TABLE.write_text(before + MARK[0] + "\n" + "\n".join(lines) + "\n" + MARK[1] + rest.split(MARK[1])[1])


def shown(score: str, values: list[float]) -> str:
    percent = score in ("accuracy", "f1", "miou")
    one = (lambda v: f"{v:.2%}") if percent else (lambda v: f"{v:g}")
    if len(values) == 1:
        return f"{one(values[0])} {score}"
    middle, spread = mean(values), stdev(values)
    return f"{middle:.2%} ± {spread:.2%} {score}" if percent else f"{middle:.1f} ± {spread:.1f} {score}"


if __name__ == "__main__":
    main(sys.argv[1:])
