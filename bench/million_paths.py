"""How long and how much memory it takes to list a million pictures: a thousand class folders of a thousand files each.

The files are real entries of a real file system, but empty: listing looks at names, never at contents.
Beside it the usual way, `os.walk` and a list of (path, class) pairs. Each runs in a process of its own.

    python bench/million_paths.py [--count 1000000] [--folder /tmp]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from legato.device import peak_memory

GIB = 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--folder", default=None, help="where the files are made, and removed again")
    parser.add_argument("--only", choices=WAYS, help="what a process of its own is asked to do")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measured(options.only, Path(options.folder))))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as root:
        make(Path(root), options.count)
        for way in WAYS:
            command = [sys.executable, __file__, "--only", way, "--folder", root]
            found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            took = f"{found['seconds']:.1f} s ({found['cpu']:.1f} s of CPU), {found['gib']:.3f} GiB more"
            print(f"{way:8} {found['count']:,} in {took}")


def make(root: Path, count: int) -> None:
    start = time.perf_counter()
    for k in range(0, count, 1000):
        folder = root / f"n{k // 1000:08}"
        folder.mkdir()
        for i in range(min(1000, count - k)):
            os.close(os.open(folder / f"{folder.name}_{i}.JPEG", os.O_CREAT))
    print(f"made {count:,} empty files in {time.perf_counter() - start:.0f} s")


def measured(way: str, root: Path) -> dict[str, Any]:
    """Wall and CPU seconds, and how far the peak of memory rose."""
    from legato.data import detect  # noqa: F401, imports are not what is measured

    held, start, cpu = peak_memory(), time.perf_counter(), time.process_time()
    count = WAYS[way](root)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"count": count, "seconds": seconds, "cpu": cpu, "gib": (peak_memory() - held) / GIB}


def by_legato(root: Path) -> int:
    """Listed, checked, and split into 80, 10 and 10 % by the hash of each name."""
    from legato.data.detect import read

    return sum(map(len, read(root).splits.values()))


def by_walk(root: Path) -> int:
    """As image folders are usually listed; nothing is split."""
    classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    samples: list[tuple[str, int]] = []
    for index, name in enumerate(classes):
        for folder, _, files in sorted(os.walk(root / name, followlinks=True)):
            found = (file for file in sorted(files) if file.lower().endswith((".jpg", ".jpeg", ".png")))
            samples.extend((os.path.join(folder, file), index) for file in found)
    return len(samples)


WAYS = {"legato": by_legato, "os.walk": by_walk}

if __name__ == "__main__":
    main()
