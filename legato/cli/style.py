"""legato style CONTENT --style PAINTING: paint one picture in the manner of others."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from operator import attrgetter
from pathlib import Path
from time import process_time

import tyro
from torch import Tensor

from legato import api, picture, progress
from legato.cli import arguments
from legato.cli.painting import check_file, read, side, write
from legato.device import GIB, choose, peak_memory
from legato.errors import UsageError
from legato.picture.style import Picture
from legato.progress import Progress
from legato.synthesis.features import style_stages
from legato.synthesis.style import Losses, Optimizer
from legato.synthesis.style_paint import Colour, Painted, Style, Wish, paint, sizes
from legato.values import Image

Files = tyro.conf.UseAppendAction[tuple[str, ...]]
DEFAULT = "squeezenet"


@dataclass
class Paint:
    """A picture in the manner of a painting, or of several."""

    source: tyro.conf.Positional[str]
    """The picture whose content is kept."""
    style: Files = ()
    """A painting whose manner is taken over; give it again for another."""
    weights: str = ""
    """Of the paintings, parted by commas: 1,0.5. Empty: all alike."""
    mask: Files = ()
    """Picture of the content's size, white where the painting goes: one for each, in their order. With one mask for two
    paintings the second gets the rest."""
    style_mask: Files = ()
    """Picture of a painting's size, white where to learn from it: one for each."""
    colour: Colour = "style"
    """style: the painting's colours. luminance: the content's, only lightness is painted. histogram: the painting's,
    brought to mean and covariance of the content's before."""
    coarse: str = ""
    """Painting for large shapes, with --fine in place of --style."""
    fine: str = ""
    """Painting for brush strokes."""
    size: int = 512
    """Longer side of the result, pixels; 0: the content's own."""
    style_size: int = 0
    """Longer side of the paintings, pixels: larger makes broader strokes. 0: as the result."""
    steps: int = Wish.steps
    """Gradients to compute at the smallest size; half as many each time it doubles."""
    likeness: float = Wish.likeness
    """How much the content counts beside the style."""
    smoothness: float = Wish.smoothness
    """How much roughness counts."""
    optimizer: Optimizer = "lbfgs"
    """lbfgs, or adam, which needs less memory and more steps."""
    stages: str = ""
    """Whose Gram matrices are the style, parted by commas. Empty: by the network, conv1_1 … conv5_1 of a VGG."""
    content_stage: str = ""
    """Whose maps are the content. Empty: by the network, conv4_2 of a VGG."""
    memory: float = 0.0
    """GiB that this may take: larger pictures go in tiles, with the same result. 0: in one piece."""
    network: str = DEFAULT
    """A network's name, with --start-from; or the folder of a run."""
    start_from: str = ""
    """Weights for a network named: a file, or `imagenet` to fetch them."""
    every: int = 0
    """Also write the picture after each so many steps. 0: only at the end."""
    losses: str = ""
    """File for a plot of what content, style and roughness cost at each step."""
    save: str = "styled.png"
    """File for the result, PNG or JPEG."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    precision: str = "fp32"
    """fp32, or bf16 where the machine multiplies it faster."""
    quiet: bool = False
    """Leave only results."""


def main(args: list[str]) -> None:
    options = arguments.parse(Paint, args, "style")
    check(options)
    content, styles = read(options.source), paintings(options)
    assert content is not None
    ready = api.load(options.network, options.device, start_from=options.start_from)
    side(ready.task, options.network)
    device = choose(options.device, options.precision)
    stages, at = style_stages(ready.network)
    wish = Wish(
        size=options.size,
        style_size=options.style_size,
        colour=options.colour,
        stages=names(options.stages) or stages,
        content=options.content_stage or at,
        likeness=options.likeness,
        smoothness=options.smoothness,
        steps=options.steps,
        optimizer=options.optimizer,
        memory=options.memory,
    )
    show = progress.choose(options.quiet)
    show.say(f"style by {', '.join(wish.stages)}, content by {wish.content} of {options.network}")
    watching, began = Watching(options, show, expected(wish, content)), process_time()
    done = paint(ready.network, content, styles, wish, device, watching)
    show.stop()
    report(options, done, show, process_time() - began)
    print(f"{options.source}\t{write(done.pixels, options.save)}")


class Watching:
    """Moves the bar at each gradient, and writes the picture after each so many."""

    def __init__(self, options: Paint, show: Progress, steps: int) -> None:
        self.options, self.show = options, show
        show.start("style", steps)

    def __call__(self, step: int, pixels: Tensor, losses: Losses) -> None:
        self.show.advance(1, lambda: f"content {losses.content:.3g}, style {losses.style:.3g}")
        if self.options.every and step % self.options.every == 0:
            file = Path(self.options.save)
            write(pixels[0], file.with_name(f"{file.stem}-{step:04d}{file.suffix}"))


def expected(wish: Wish, content: Image) -> int:
    """Gradients at all sizes together."""
    whole = wish.size or max(content.pixels.shape[1:])
    return sum(max(1, wish.steps >> k) for k, _ in enumerate(sizes(whole)))


def report(options: Paint, done: Painted, show: Progress, seconds: float) -> None:
    """What it came to, and the plot."""
    last, pieces = done.losses[-1], f"{len(done.tiles)} tiles" if len(done.tiles) > 1 else "one piece"
    height, width = done.pixels.shape[1:]
    show.say(
        f"{width} × {height} in {pieces}, {len(done.losses)} gradients, {seconds:.0f} s of CPU, "
        f"{peak_memory() / GIB:.1f} GiB; content {last.content:.3g}, style {last.style:.3g}"
    )
    if options.losses:
        show.say(str(picture.save(curve(done.losses), options.losses)))


def curve(losses: Sequence[Losses]) -> Picture:
    """What each term costs at each step."""
    steps = list(range(1, len(losses) + 1))
    least = 1e-4 * max(map(max, losses))  # the content begins at 0, which would stretch the axis endlessly
    series = {
        name: (steps, [value if value > least else nan for value in map(attrgetter(name), losses)])
        for name in Losses._fields
    }
    return picture.curves(series, "gradients computed", "loss, weighed", "What is left of each term", log=True)


def check(options: Paint) -> None:
    """What cannot go together, before anything is loaded."""
    if not options.start_from and options.network == DEFAULT and not Path(DEFAULT).is_dir():
        raise UsageError(
            "style needs what a network has learnt: --start-from FILE with weights of SqueezeNet 1.1, or --start-from "
            "imagenet to fetch them (5 MB); --network vgg19 for those of the paper (548 MB), --network RUN for your own"
        )
    for name, least in (("size", 0), ("style_size", 0), ("steps", 1), ("every", 0), ("memory", 0), ("likeness", 0)):
        if getattr(options, name) < least:
            raise UsageError(f"--{name.replace('_', '-')} {getattr(options, name)}: must be at least {least}")
    if bool(options.coarse) != bool(options.fine) or bool(options.coarse) == bool(options.style):
        raise UsageError("name what to paint like: --style PAINTING, or --coarse PAINTING --fine PAINTING")
    for file in (options.save, *filter(None, [options.losses])):
        check_file(file)


def paintings(options: Paint) -> list[Style]:
    """The paintings with their weights and masks. Raises UsageError where there are not as many of these."""
    files = options.style or (options.coarse,)
    shares = weights(options.weights, len(files))
    onto, inside = masks("mask", options.mask, files), masks("style-mask", options.style_mask, files)
    images = [read(file) for file in files]
    return [
        Style(image, share, within, where, read(options.fine))
        for image, share, within, where in zip(images, shares, inside, onto)
        if image is not None
    ]


def weights(text: str, count: int) -> list[float]:
    """Of as many paintings."""
    try:
        found = [float(word) for word in text.split(",")] if text else [1.0] * count
    except ValueError:
        raise UsageError(f"--weights {text}: numbers parted by commas, such as 1,0.5") from None
    if len(found) != count or min(found) < 0 or not sum(found):
        raise UsageError(f"--weights {text}: one for each of {count} paintings, not negative and not all 0")
    return found


def masks(flag: str, files: Sequence[str], paintings: Sequence[str]) -> list[Image | None]:
    """One for each painting, or none; of one mask for two paintings, what is left goes to the second."""
    found = [read(file, channels=1) for file in files]
    if flag == "mask" and len(found) == 1 and len(paintings) == 2 and found[0] is not None:
        found.append(Image(255 - found[0].pixels, f"what {files[0]} leaves"))
    if found and len(found) != len(paintings):
        raise UsageError(f"--{flag}: {len(found)} for {len(paintings)} paintings; one for each, in their order")
    return found or [None] * len(paintings)


def names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
