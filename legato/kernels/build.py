"""Small C kernels, compiled when they are first needed with the system's own compiler, and kept.

A compiled kernel is a file in LEGATO_CACHE, or ~/.cache/legato, named by a hash of its source, the compiler, the flags
and the processor: another machine that shares the folder compiles its own. It is written beside and then moved, so
processes may race. Where there is no compiler, or nowhere to write, `Unavailable` says why, and torch does the work.
"""

import ctypes
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from legato.errors import LegatoError

HERE = Path(__file__).parent
FLAGS = ("-O3", "-fPIC", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-w")


class Unavailable(LegatoError):
    """No kernel on this machine; the message says why."""


@cache
def compiler() -> str:
    """The path of the C compiler: $CC, cc, gcc or clang. Raises Unavailable."""
    if os.environ.get("LEGATO_KERNELS") == "off":
        raise Unavailable("kernels are switched off by LEGATO_KERNELS=off")
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and (path := shutil.which(name)):
            return path
    raise Unavailable("there is no C compiler: install gcc or clang to train recurrent networks several times faster")


@cache
def machine() -> str:
    """What decides whether a compiled kernel runs here: the processor's own list of what it can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        about = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        about = ""
    return f"{platform.system()} {platform.machine()} {platform.processor()} {about}"


@cache
def flags() -> tuple[str, ...]:
    native = "-march=native" if platform.machine() in ("x86_64", "AMD64", "i686") else "-mcpu=native"
    return (*FLAGS, native)


def openmp() -> tuple[str, ...]:
    """Torch's own OpenMP library where it brings one: two of them would spin against each other."""
    found = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))
    return (f"-L{found[0].parent}", f"-l:{found[0].name}") if found else ("-fopenmp",)


def folder() -> Path:
    """Where compiled kernels are kept."""
    return Path(os.environ.get("LEGATO_CACHE") or Path.home() / ".cache" / "legato")


def build(source: str, name: str) -> ctypes.CDLL:
    """The library this C source makes, compiled now unless it was before. What it includes by "…" is ours.

    Raises Unavailable where it cannot be compiled, kept or loaded.
    """
    source = whole(source)
    what = "\0".join((source, compiler(), *flags(), *openmp(), machine()))
    path = folder() / f"{name}-{hashlib.sha256(what.encode()).hexdigest()[:20]}.so"
    with suppress(OSError):  # not there, or damaged by a full disk or a power cut: made anew
        return ctypes.CDLL(str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as beside:
            file, parts, new = Path(beside, "kernel.c"), Path(beside, "kernel.o"), Path(beside, "kernel.so")
            file.write_text(source)
            run(compiler(), *flags(), "-c", str(file), "-o", str(parts))
            run(compiler(), "-shared", str(parts), "-o", str(new), *openmp(), "-lm")
            os.replace(new, path)
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise Unavailable(f"no kernel {name}: {error}") from None


def whole(source: str) -> str:
    """With the headers of this folder in their places: one text, whose hash is all there is to know."""
    return re.sub(r'#include "(\w+\.h)"\n', lambda found: whole((HERE / found[1]).read_text()), source)


def run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    except subprocess.CalledProcessError as error:
        said = [line for line in (error.stderr or "").splitlines() if "error" in line] or ["no message"]
        raise Unavailable(f"{command[0]} could not compile a kernel: {said[0].split('error: ')[-1]}") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command[0]} took more than 300 s over a kernel") from None


@cache
def from_file(name: str, *defines: str) -> ctypes.CDLL:
    """The library of a file of this folder, e.g. `from_file("gemm", "BF16")`."""
    head = "".join(f"#define {define}\n" for define in defines)
    return build(head + (HERE / f"{name}.c").read_text(), "-".join((name, *defines)).lower())
