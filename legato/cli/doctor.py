"""legato doctor: what this machine offers."""

import os
import platform
import shutil
from dataclasses import dataclass
from importlib.util import find_spec

from legato.cli import arguments, show

EXTRAS = {
    "vision": ("simplejpeg", "faster_coco_eval", "yaml"),
    "text": ("sentencepiece", "sacrebleu"),
    "track": ("tensorboard",),
}


@dataclass
class Doctor:
    """Versions, device, precision, threads, memory, compiler, extras; what is missing and what that costs."""

    json: bool = False
    """Print one JSON object, and nothing else, on stdout."""


def main(args: list[str]) -> None:
    options = arguments.parse(Doctor, args, "doctor")
    found = examine()
    if options.json:
        show.as_json(found)
        return
    for name, value in found.items():
        print(f"{name:10}{value}")


def examine() -> dict[str, object]:
    import torch

    from legato import __version__
    from legato.device import GIB, choose, cpu_flags, free_memory

    device = choose()
    fast = cpu_flags() & {"amx_bf16", "avx512_bf16", "avx512f", "avx2"}
    missing = {extra: [m for m in modules if find_spec(m) is None] for extra, modules in EXTRAS.items()}
    return {
        "legato": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device.name,
        "precision": f"{device.precision} ({', '.join(sorted(fast)) or 'no vector extensions known'})",
        "threads": f"{device.threads} of {os.cpu_count()}",
        "memory": f"{free_memory() / GIB:.1f} GiB free",
        "disk": f"{shutil.disk_usage('.').free / GIB:.1f} GiB free here",
        "compiler": shutil.which("cc") or "none: recurrent cells and fused kernels run through torch, slower",
        **{
            f"[{extra}]": f"lacks {', '.join(m)}: pip install 'legato[{extra}]'" if m else "there"
            for extra, m in missing.items()
        },
    }
