"""What a demonstration is, which there are, and how one is run: the same seed, the same picture and the same words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from inspect import cleandoc
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from legato.draws import seed_from
from legato.errors import DataError, UsageError, nearest
from legato.picture import Picture
from legato.values import Image

SIDE = 240  # pixels of the longer side of a picture: enough to see it, few enough to be quick
NARROWEST = 32  # of the shorter side, so that windows and shifts fit


@dataclass(frozen=True)
class Demo:
    """What is shown: a picture, lines of what was measured, and the same as numbers."""

    picture: Picture
    lines: list[str]
    numbers: Mapping[str, float] = field(default_factory=dict)


class Entry(NamedTuple):
    """A demonstration and the rows of the ledger it belongs to."""

    name: str
    rows: tuple[str, ...]
    about: str  # the first line of its docstring
    remarks: tuple[str, ...]  # the others: what to see, printed below what was measured
    show: Callable[..., Demo]
    on_picture: bool  # shown on a picture of the user's


DEMOS: dict[str, Entry] = {}


def demo(rows: str, on_picture: bool = False) -> Callable[[Callable[..., Demo]], Callable[..., Demo]]:
    """Enter a function under its name: `show()`, or `show(photo)` with a photo (3, h, w) in [0, 1].

    The first line of its docstring says what it is, the others what there is to see.
    """

    def enter(show: Callable[..., Demo]) -> Callable[..., Demo]:
        name = show.__name__
        about, *remarks = (line for line in cleandoc(show.__doc__ or "").splitlines() if line)
        DEMOS[name] = Entry(name, tuple(rows.split()), about, tuple(remarks), show, on_picture)
        return show

    return enter


def lookup(name: str) -> Entry:
    """The demonstration of this name, or of this row of the ledger. Raises UsageError with the nearest one."""
    if name in DEMOS:
        return DEMOS[name]
    for entry in DEMOS.values():
        if name.upper() in entry.rows:
            return entry
    raise UsageError(f"no demonstration called {name!r}{nearest(name, DEMOS)}")


def run(name: str, seed: int = 0, image: Image | None = None) -> Demo:
    """Show a demonstration, on `image` where it is one about pictures. torch's own generator is left as it was."""
    entry = lookup(name)
    if image is not None and not entry.on_picture:
        able = ", ".join(e.name for e in DEMOS.values() if e.on_picture)
        raise UsageError(f"{entry.name} is not shown on a picture; these are: {able}")
    with torch.random.fork_rng(devices=[]):
        seed_from("demo", entry.name, seed)
        shown = entry.show(photo(image)) if entry.on_picture else entry.show()
    return replace(shown, lines=[*shown.lines, *entry.remarks])


def photo(image: Image | None) -> Float[Tensor, "3 h w"]:
    """The image in colour, its longer side `SIDE` pixels; without one, a temple that comes with scikit-learn.

    Raises DataError where it is too narrow to see anything in.
    """
    from legato.data.decode import resize, with_channels

    if image is None:
        from sklearn.datasets import load_sample_image

        pixels = torch.from_numpy(load_sample_image("china.jpg").copy()).movedim(-1, 0)
    else:
        pixels = image.pixels
    scale = SIDE / max(pixels.shape[1:])
    h, w = (round(scale * side) for side in pixels.shape[1:])
    if min(h, w) < NARROWEST:
        where = image.source if image else "the picture"
        raise DataError(f"{where}: {pixels.shape[2]} × {pixels.shape[1]} is too narrow to show; crop it")
    return with_channels(resize(pixels, h, w), 3).float() / 255
