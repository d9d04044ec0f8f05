"""Recurrent training beside torch's own, JAX's scan and Keras, in one run: `python -m bench.recurrent [--threads 1]`.

Every row of a table is measured in turn, round after round, and the medians are compared, so that what else the machine
does hits all alike. With one thread the measure is CPU time of this process, which waiting does not change; with more
it is wall time, and rounds in which others used more than 6 % of the machine are left out (`busy`: too few remain).
A step is forward, backward and Adam on embedding → stack → linear → cross entropy, random letters, vocabulary of 65.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench import peers
from bench.timing import busy, keep
from legato.device import multiplies_bf16
from legato.recurrent.cells import CELLS, LSTM, Cell
from legato.recurrent.scan import Lookup
from legato.recurrent.stack import Stack

LETTERS = 65
Job = Callable[[], object]


class Torch(nn.Module):
    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(LETTERS, width), nn.Linear(width, LETTERS)
        self.lstm = nn.LSTM(width, width, depth)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.lstm(self.embed(ids))[0])


class Ours(nn.Module):
    def __init__(self, cell: type[Cell], width: int, depth: int, table: bool = True, slow: bool = False) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(LETTERS, width), nn.Linear(width, LETTERS)
        self.stack, self.table = Stack(cell, width, width, depth, slow=slow), table

    def forward(self, ids: Tensor) -> Tensor:
        xs = Lookup(self.embed.weight, ids) if self.table else self.embed(ids)
        return self.head(self.stack(xs)[0])


def training(net: nn.Module, steps: int, rows: int, bf16: bool) -> Job:
    ids, truth = torch.randint(0, LETTERS, (2, steps, rows))
    rule = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            logits = net(ids)
        cross_entropy(logits.float().flatten(0, 1), truth.flatten()).backward()
        rule.step()
        rule.zero_grad()

    return step


def measured(job: Job) -> tuple[float, float]:
    """Seconds, and the share of the machine that others used meanwhile."""
    before, own, start = busy(), time.process_time(), time.perf_counter()
    job()
    wall, own = time.perf_counter() - start, time.process_time() - own
    if torch.get_num_threads() == 1:
        return own, 0.0
    return wall, max(0.0, busy() - before - own) / (wall * (os.cpu_count() or 1))


def race(title: str, jobs: dict[str, Job | None], rounds: int, work: float, unit: str) -> None:
    """A table: milliseconds, the ratio to the first row, and work a second. Who is not installed does not take part."""
    there = {name: job for name, job in jobs.items() if job}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in there}
    for turn in range(rounds + 2):
        for name, job in there.items():
            sample = measured(job)
            if turn >= 2:  # the first two warm up: kernels are compiled, memory is fetched
                found[name].append(sample)
    threads = torch.get_num_threads()
    title = f"{title} ({threads} thread{'s' * (threads > 1)})"
    print(f"\n{title}")
    base, rows = 0.0, {}
    for name, samples in found.items():
        clean = [seconds for seconds, others in samples if others < 0.06]
        note = "" if len(clean) >= 3 else "  busy"
        median = statistics.median(clean if len(clean) >= 3 else [seconds for seconds, _ in samples])
        base = base or median
        rows[name] = {"rate": work / median, "ratio": base / median, "ms": 1e3 * median}
        print(
            f"  {name:28s} {1e3 * median:9.2f} ms  x{base / median:5.2f}  {work / median:10.0f} {unit}{note}",
            flush=True,
        )
    keep(title, {"rounds": rounds, **rows})


def sizes(rounds: int, quick: bool) -> None:
    half = multiplies_bf16("cpu")
    three = [(128, 2, 50, 50), (512, 2, 50, 50), (1024, 1, 100, 64)]
    for width, depth, steps, rows in three[1:2] if quick else three:
        jobs = {
            "nn.LSTM fp32": training(Torch(width, depth), steps, rows, False),
            "nn.LSTM bf16 autocast": training(Torch(width, depth), steps, rows, True) if half else None,
            "JAX scan fp32": peers.jax_scan(LETTERS, width, depth, steps, rows),
            "Keras on JAX": peers.keras(LETTERS, width, depth, steps, rows),
            "Python loop fp32": training(Ours(LSTM, width, depth, False, slow=True), steps, rows, False),
            "legato fp32": training(Ours(LSTM, width, depth), steps, rows, False),
            "legato fp32, no table": training(Ours(LSTM, width, depth, table=False), steps, rows, False),
            "legato bf16": training(Ours(LSTM, width, depth), steps, rows, True) if half else None,
            "legato bf16, no table": training(Ours(LSTM, width, depth, table=False), steps, rows, True)
            if half
            else None,
        }
        race(f"LSTM {width} x {depth}, {steps} steps of {rows} rows", jobs, rounds, steps * rows, "letters/s")


def cells(rounds: int, quick: bool) -> None:
    """Any cell beside its own loop, and beside nn.LSTM of that width."""
    for name in ("gru", "mut1", "peepholelstm") if quick else CELLS:
        jobs = {
            "Python loop fp32": training(Ours(CELLS[name], 512, 1, slow=True), 50, 50, False),
            "nn.LSTM fp32": training(Torch(512, 1), 50, 50, False),
            "legato fp32": training(Ours(CELLS[name], 512, 1), 50, 50, False),
            "legato bf16": training(Ours(CELLS[name], 512, 1), 50, 50, True) if multiplies_bf16("cpu") else None,
        }
        race(f"{name} 512, 50 steps of 50 rows", jobs, max(3, rounds // 2), 2500, "letters/s")


def lengths(rounds: int) -> None:
    """Rows of 10 to 1000 steps in one batch: a mask costs next to nothing, packing takes rows out one by one."""
    width, rows, most = 128, 32, 1000
    ends = torch.linspace(10, most, rows).long().flip(0)
    mask = torch.arange(most)[:, None] < ends
    xs = torch.randn(most, rows, width)
    stack, lstm = Stack(LSTM, width, width, 1), nn.LSTM(width, width)

    def packed() -> None:
        hs = lstm(nn.utils.rnn.pack_padded_sequence(xs, ends))[0]
        hs.data.sum().backward()

    jobs: dict[str, Job | None] = {
        "legato, all of 1000 steps": lambda: stack(xs)[0].sum().backward(),
        "legato, 10 to 1000 by mask": lambda: stack(xs, mask=mask)[0].sum().backward(),
        "nn.LSTM, all of 1000 steps": lambda: lstm(xs)[0].sum().backward(),
        "nn.LSTM, PackedSequence": packed,
    }
    race(f"LSTM {width}, {rows} rows of 10 to {most} steps", jobs, max(3, rounds // 2), most * rows, "steps/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="one size, three cells")
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    print(f"{told.threads} thread(s), torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    sizes(told.rounds, told.quick)
    cells(told.rounds, told.quick)
    lengths(told.rounds)


if __name__ == "__main__":
    main()
