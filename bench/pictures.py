"""How long it takes to look inside and to paint, SqueezeNet with its ImageNet weights: `python -m bench.pictures`.

All at pictures of 227 or 256 pixels, as docs/results.md has them; medians of three, painting once. VGG-19 with random
weights, for its speed does not depend on them, and 20 gradients of the 200. Memory is that of a process of its own.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from bench.timing import RESULTS, busy, seconds
from legato import api
from legato.data.decode import read_image, resize
from legato.device import Device, choose, use
from legato.explain.subject import METHODS, Subject
from legato.networks.registry import build
from legato.synthesis.dream import Wish as Dreamt
from legato.synthesis.dream import dream_of
from legato.synthesis.features import dream_stage
from legato.synthesis.style_paint import Style, Wish, paint
from legato.values import Image

VGG_STEPS = 20


def main() -> None:
    data = os.environ.get("LEGATO_DATA") or sys.exit("pictures: set LEGATO_DATA to the folder of real data sets")
    weights = f"{data}/pretrained/squeezenet1_1/squeezenet1_1_fp16.npz"
    cat, painting = (
        read_image(Path(data, "pictures", name), 3) for name in ("content/cat.jpg", "style/starry_night.jpg")
    )
    ready, device = api.load("squeezenet", "cpu", start_from=weights), choose("cpu")
    use(device)
    squares = {side: Image(resize(cat, side, side), "cat") for side in (227, 256)}
    style = [Style(Image(painting, "starry night"))]

    def explained(how: str) -> None:
        METHODS[how].show(Subject(ready.task, ready.network, ready.device, squares[227]))

    def painted(net: torch.nn.Module, device: Device, steps: int) -> None:
        paint(net, squares[256], style, Wish(size=256, steps=steps), device)

    vgg, exact = build("vgg19", 1000, 3, 224).eval(), Device("cpu", "fp32", device.threads)
    jobs: dict[str, tuple[Callable[[], object], int]] = {
        "Grad-CAM, 227 × 227": (lambda: explained("gradcam"), 3),
        "occlusion, 227 × 227": (lambda: explained("occlusion"), 3),
        "style, 256 × 256, 200 gradients": (lambda: painted(ready.network, exact, 200), 1),
        f"style by VGG-19 in {device.precision}, 256 × 256, {VGG_STEPS} gradients": (
            lambda: painted(vgg, device, VGG_STEPS),
            1,
        ),
        "dream, 512 × 384": (
            lambda: dream_of(ready.network, Image(cat, "cat"), Dreamt(dream_stage(ready.network)), exact),
            1,
        ),
    }
    found = {name: measured(name, job, times) for name, (job, times) in jobs.items()}
    found["style, 1024 × 1024, bound 1 GiB"] = memory(data, weights)
    (RESULTS / "pictures.json").write_text(json.dumps(found, indent=1, ensure_ascii=False))


def measured(name: str, job: Callable[[], object], times: int) -> dict[str, float]:
    """Seconds of the wall clock, and how much of the machine was busy then, with this and with others."""
    before, taken = busy(), [seconds(job) for _ in range(times)]
    cores = (busy() - before) / sum(taken)
    print(f"{name:58} {statistics.median(taken):7.2f} s   {cores:.1f} cores busy", flush=True)
    return {"seconds": round(statistics.median(taken), 3), "cores": round(cores, 2)}


def memory(data: str, weights: str) -> dict[str, float]:
    """Peak of `legato style` with a bound, a few steps of a large picture."""
    pictures = f"{data}/pictures"
    with tempfile.TemporaryDirectory() as folder:
        flags = f"--style {pictures}/style/starry_night.jpg --start-from {weights} --size 1024 --steps 2 --memory 1"
        command = f"style {pictures}/content/cat.jpg {flags} --save {folder}/out.png"
        done = subprocess.run([sys.executable, "-m", "legato", *command.split()], stderr=subprocess.PIPE, text=True)
    said = re.findall(r"([\d.]+) GiB;", done.stderr)
    print(f"{'style, longer side 1024, bound 1 GiB':58} {said[-1]:>7} GiB")
    return {"GiB": float(said[-1])}


if __name__ == "__main__":
    main()
