"""Races: every contestant in turn, many rounds, medians; and how much of the machine others used meanwhile."""

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def race(title: str, jobs: dict[str, Callable[[], float]], rounds: int = 5) -> dict[str, dict[str, float]]:
    """`jobs` return a rate (examples a second), the first is the peer. Prints, keeps and returns medians and ratios."""
    for job in jobs.values():
        job()  # caches, compiled kernels, pages
    rates: dict[str, list[float]] = {name: [] for name in jobs}
    foreign = []
    for _ in range(rounds):
        for name, job in jobs.items():
            before, own, began = busy(), time.process_time(), time.perf_counter()
            rates[name].append(job())
            wall = time.perf_counter() - began
            foreign.append(max(0.0, busy() - before - (time.process_time() - own)) / (wall * (os.cpu_count() or 1)))
    peer = statistics.median(next(iter(rates.values())))
    found = {n: {"rate": statistics.median(r), "ratio": statistics.median(r) / peer} for n, r in rates.items()}
    share = statistics.median(foreign)
    print(f"\n{title}   ({rounds} rounds, medians; others used {share:.0%} of the machine)")
    for name, row in found.items():
        print(f"  {name:44} {row['rate']:12,.1f}/s   × {row['ratio']:.2f}", flush=True)
    keep(title, {"others": round(share, 3), "rounds": rounds, **found})
    return found


def keep(title: str, found: dict[str, object]) -> None:
    """The last figures of each race lie in results/races.json."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / "races.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(kept | {title: found}, indent=1))


def busy() -> float:
    """Seconds all cores together have worked since boot (Linux); children of this process count as others."""
    try:
        fields = [int(f) for f in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return 0.0
    return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6] + fields[7]) / 100


def seconds(work: Callable[[], object], times: int = 1) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times
