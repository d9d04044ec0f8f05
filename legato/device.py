"""What is fast here: device, precision, memory format, threads."""

import ctypes
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import sleep
from typing import Any

import torch
from torch import Tensor, nn

from legato.errors import UsageError

GIB = 2**30
GLANCES = 5  # at what else is running, before threads are counted
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@dataclass(frozen=True)
class Device:
    """Where and how tensors are computed. Chosen once when a run begins, and written down with it."""

    name: str = "cpu"
    precision: str = "fp32"
    threads: int = 1

    def place(self, net: nn.Module) -> nn.Module:
        """The network there, convolutions channels last: bf16 convolutions are 1.2–2 × faster so on CPUs."""
        return net.to(self.name, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def move(self, nest: Any) -> Any:
        """Tensors in any nest of tuples, lists and dicts there; pictures channels last."""
        return each(nest, self.tensor)

    def tensor(self, x: Tensor) -> Tensor:
        if x.dim() == 4 and x.is_floating_point():
            return x.to(self.name, memory_format=torch.channels_last)
        return x.to(self.name)

    def autocast(self) -> AbstractContextManager[Any]:
        """Matrix products in bf16 around master weights in fp32, where that is the precision."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.name.split(":")[0], dtype=torch.bfloat16)


def choose(name: str = "auto", precision: str = "auto", threads: int = 0) -> Device:
    """The device asked for, or the best there is; bf16 where the machine multiplies it faster than fp32.

    Raises UsageError for a device that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind = name.split(":")[0]
    if not there.get(kind):
        raise UsageError(f"--device {name}: not on this machine; there is {', '.join(k for k in there if there[k])}")
    if precision == "auto":
        precision = "bf16" if multiplies_bf16(kind) else "fp32"
    return Device(name, precision, threads or free_threads())


@lru_cache
def multiplies_bf16(kind: str) -> bool:
    """Whether bf16 products are faster than fp32 there. Without AMX or AVX-512 BF16 a CPU emulates them, slower."""
    if kind == "cuda":
        return torch.cuda.is_bf16_supported()
    return kind == "cpu" and bool(cpu_flags() & {"amx_bf16", "avx512_bf16"})


@lru_cache
def cpu_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())


def free_threads() -> int:
    """Cores less the threads of others that are running: a barrier waits for the slowest core (measured: 12 × slower).

    The least of several glances, for a shell that lists a folder is no rival of a training.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return int(os.environ["OMP_NUM_THREADS"])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - min(running_elsewhere() for _ in range(GLANCES)))


def running_elsewhere(pause: float = 0.005) -> int:
    """Threads of other processes that run or want to, just now; 0 where the system does not say."""
    sleep(pause)  # first, so that a child of ours that was just born has settled
    try:
        everybody = int(Path("/proc/loadavg").read_text().split()[3].split("/")[0])
    except OSError:  # not Linux
        return 0
    own = sum(") R " in file.read_text() for file in Path("/proc/self/task").glob("*/stat"))
    return max(0, everybody - own)


def use(device: Device) -> None:
    """Set the number of threads, once a process, and keep what is freed."""
    torch.set_num_threads(device.threads)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Have glibc keep freed memory for the next step instead of giving it back to the system and asking for it anew.

    A page costs a microsecond each time: a tenth of a step of LeNet-5. Without glibc nothing is done. Pieces of more
    than 32 MiB, the most glibc allows here, still come and go.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, 32 * 1024**2)
        mallopt(TRIM_THRESHOLD, 2**31 - 1)


def free_memory() -> int:
    """Bytes of main memory that can be used now."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except OSError:
        return 4 * GIB


def peak_memory() -> int:
    """Bytes this process has held at most."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    except OSError:
        return 0


def each(nest: Any, do: Callable[[Tensor], Tensor]) -> Any:
    """`do` to every tensor of a nest of tuples, lists and dicts; everything else stays."""
    if isinstance(nest, Tensor):
        return do(nest)
    if isinstance(nest, dict):
        return {k: each(v, do) for k, v in nest.items()}
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return type(nest)(*(each(v, do) for v in nest))
    if isinstance(nest, list | tuple):
        return type(nest)(each(v, do) for v in nest)
    return nest
