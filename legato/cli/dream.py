"""legato dream RUN [PICTURE]: let a network put into a picture what it looks for."""

from dataclasses import dataclass
from typing import Any

import tyro
from torch import Tensor

from legato import api, progress
from legato.cli import arguments
from legato.cli.painting import check_file, read, side, write
from legato.errors import UsageError
from legato.synthesis.dream import FROM_NOISE, Dreaming, Wish, dream_of
from legato.synthesis.features import dream_stage
from legato.tasks.class_names import class_index


@dataclass
class Dream:
    """What a stage of a network sees in a picture, drawn into it; or out of noise."""

    run: tyro.conf.Positional[str]
    """Folder of the run; or a network's name, with --start-from."""
    source: tyro.conf.Positional[str] = ""
    """Picture file; none: noise."""
    stage: str = ""
    """Stage of the network, by its name in `legato describe RUN`: early ones see strokes, late ones things. Empty: one
    that sees parts of things."""
    channel: str = ""
    """Of that stage: numbers, parted by commas; at the last stage also a class. Empty: whatever is there."""
    guide: str = ""
    """Picture whose features at that stage shall appear."""
    size: int = 512
    """Longer side of the result, pixels; 0: the picture's own."""
    octaves: int = 0
    """Sizes that are dreamt at, one after another, each 1.4 times as large. 0: 5, and 7 on noise."""
    steps: int = Dreaming.steps
    """Steps up the gradient, in each octave."""
    jitter: int = Dreaming.jitter
    """Pixels that the picture is shifted by at each step, at most."""
    strength: float = 0.0
    """Change of a pixel in a step, about, of 255. 0: 1.5, and 2.5 on noise."""
    seed: int = 0
    """Of the shifts, and of the noise."""
    start_from: str = ""
    """Weights for a network named instead of a run: a file, or `imagenet` to fetch them."""
    save: str = "dream.png"
    """File for the result, PNG or JPEG."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    quiet: bool = False
    """Leave only results."""


def main(args: list[str]) -> None:
    options = arguments.parse(Dream, args, "dream")
    check(options)
    ready = api.load(options.run, options.device, start_from=options.start_from)
    window = side(ready.task, options.run)
    stage = options.stage or dream_stage(ready.network)
    usual = Dreaming() if options.source else FROM_NOISE
    how = Dreaming(
        octaves=options.octaves or usual.octaves,
        steps=options.steps,
        jitter=options.jitter,
        strength=options.strength or usual.strength,
        seed=options.seed,
    )
    wish = Wish(stage, channels(options, ready.task, stage), read(options.guide), options.size, how)
    show = progress.choose(options.quiet)
    show.start(f"dream of {stage}", how.octaves)

    def seen(octave: int, octaves: int, pixels: Tensor, height: float) -> None:
        show.advance(1, lambda: f"{pixels.shape[3]} × {pixels.shape[2]} pixels")

    found = dream_of(ready.network, read(options.source), wish, ready.device, window, seen)
    show.stop()
    print(f"{stage}\t{write(found, options.save)}")


def check(options: Dream) -> None:
    """Raises UsageError for numbers and combinations that mean nothing."""
    for name, least in (("size", 0), ("octaves", 0), ("strength", 0), ("steps", 1), ("jitter", 0)):
        if getattr(options, name) < least:
            raise UsageError(f"--{name} {getattr(options, name)}: must be at least {least}")
    if options.guide and options.channel:
        raise UsageError("--guide and --channel: a dream follows one of them")
    check_file(options.save)


def channels(options: Dream, task: Any, stage: str) -> tuple[int, ...]:
    """Numbers, or those of classes. Raises UsageError for what is neither."""
    wanted = [word.strip() for word in options.channel.split(",") if word.strip()]
    if all(word.lstrip("-").isdigit() for word in wanted):
        return tuple(map(int, wanted))
    if not task.names:
        raise UsageError(f"--channel {options.channel}: a number, for {options.run} has no classes")
    return (class_index(options.channel, task.names),)
