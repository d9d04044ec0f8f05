"""Recurrent training and sampling beside torch's own, in one run: `python -m bench.recurrent [--threads 1] [--quick]`.

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

from bench.timing import busy
from legato.recurrent.cells import CELLS, LSTM, Cell
from legato.recurrent.generate import Sampler
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


def sampling(sampler: Sampler, rows: int, letters: int) -> Job:
    prompt, uniforms = torch.zeros(1, rows, dtype=torch.long), torch.rand(letters, rows)
    return lambda: sampler(prompt, uniforms)


def measured(job: Job) -> tuple[float, float]:
    """Seconds, and the share of the machine that others used meanwhile."""
    before, own, start = busy(), time.process_time(), time.perf_counter()
    job()
    wall, own = time.perf_counter() - start, time.process_time() - own
    if torch.get_num_threads() == 1:
        return own, 0.0
    return wall, max(0.0, busy() - before - own) / (wall * (os.cpu_count() or 1))


def race(title: str, jobs: dict[str, Job], rounds: int, work: float, unit: str) -> None:
    """A table: milliseconds, the ratio to the first row, and work a second."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for turn in range(rounds + 2):
        for name, job in jobs.items():
            sample = measured(job)
            if turn >= 2:  # the first two warm up: kernels are compiled, memory is fetched
                found[name].append(sample)
    print(f"\n{title}")
    base = 0.0
    for name, samples in found.items():
        clean = [seconds for seconds, others in samples if others < 0.06]
        note = "" if len(clean) >= 3 else "  busy"
        median = statistics.median(clean if len(clean) >= 3 else [seconds for seconds, _ in samples])
        base = base or median
        print(
            f"  {name:28s} {1e3 * median:9.2f} ms  x{base / median:5.2f}  {work / median:10.0f} {unit}{note}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="one size, three cells")
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    print(f"{told.threads} thread(s), torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    sizes = [(128, 2, 50, 50), (512, 2, 50, 50), (1024, 1, 100, 64)]
    for width, depth, steps, rows in sizes[1:2] if told.quick else sizes:
        jobs = {
            "nn.LSTM fp32": training(Torch(width, depth), steps, rows, False),
            "nn.LSTM bf16 autocast": training(Torch(width, depth), steps, rows, True),
            "Python loop fp32": training(Ours(LSTM, width, depth, False, slow=True), steps, rows, False),
            "legato fp32": training(Ours(LSTM, width, depth), steps, rows, False),
            "legato fp32, no table": training(Ours(LSTM, width, depth, table=False), steps, rows, False),
            "legato bf16": training(Ours(LSTM, width, depth), steps, rows, True),
            "legato bf16, no table": training(Ours(LSTM, width, depth, table=False), steps, rows, True),
        }
        race(f"LSTM {width} x {depth}, {steps} steps of {rows} rows", jobs, told.rounds, steps * rows, "letters/s")
    for name in ("gru", "mut1", "peepholelstm") if told.quick else CELLS:
        jobs = {
            "Python loop fp32": training(Ours(CELLS[name], 512, 1, slow=True), 50, 50, False),
            "legato fp32": training(Ours(CELLS[name], 512, 1), 50, 50, False),
            "legato bf16": training(Ours(CELLS[name], 512, 1), 50, 50, True),
        }
        race(f"{name} 512, 50 steps of 50 rows", jobs, max(3, told.rounds // 2), 2500, "letters/s")
    cells, table, head = [LSTM(512, 512), LSTM(512, 512)], torch.randn(LETTERS, 512), nn.Linear(512, LETTERS)
    for rows in (1, 64):
        jobs = {
            str(d)[6:]: sampling(Sampler(cells, table, head, d), rows, 100) for d in (torch.float32, torch.bfloat16)
        }
        race(f"sampling 100 letters, LSTM 512 x 2, {rows} streams", jobs, told.rounds, 100 * rows, "letters/s")


if __name__ == "__main__":
    main()
