"""A whole set decoded once into one tensor of bytes, where that fits."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from jaxtyping import UInt8
from torch import Tensor

from legato.data.decode import Fit, fit, with_channels
from legato.data.examples import Pictures, Pixels, SetAside
from legato.device import free_memory
from legato.errors import DataError

MOST_MEMORY = 0.25  # of what is free
MOST_BROKEN = 0.01  # of a set
CHUNK = 64  # pictures a thread takes at a time


def fits(n: int, size: int, channels: int) -> bool:
    """Whether so many pictures of `size` × `size` take no more than a quarter of the memory that is free."""
    return n * channels * size * size <= MOST_MEMORY * free_memory()


def load(
    pictures: Pictures, size: int, channels: int, threads: int = 2, how: Fit = "crop"
) -> tuple[UInt8[Tensor, "n {channels} {size} {size}"], SetAside]:
    """All pictures as bytes; and those that cannot be decoded, by name and why, which have no row in the tensor:
    `pictures.without(set_aside)` are the examples of its rows.

    Raises DataError if more than 1 % are broken.
    """
    if isinstance(pictures.store, Pixels):
        pixels = torch.from_numpy(pictures.store.pixels[pictures.rows])
        return fit(with_channels(pixels, channels), size, how).contiguous(), []
    pictures = replace(pictures, channels=channels)
    images = torch.empty(len(pictures), channels, size, size, dtype=torch.uint8)
    broken: dict[int, str] = {}

    def decode(rows: Sequence[int]) -> None:
        for i in rows:
            try:
                images[i] = fit(pictures.image(i, at_least=(size, size)).pixels, size, how)
            except DataError as error:
                broken[i] = str(error)

    with ThreadPoolExecutor(max(1, threads), "decode") as pool:
        list(pool.map(decode, (range(i, min(i + CHUNK, len(images))) for i in range(0, len(images), CHUNK))))
    set_aside = [(pictures.name(i), broken[i]) for i in sorted(broken)]
    check_broken(set_aside, len(pictures))
    if broken:
        images = images[[i for i in range(len(images)) if i not in broken]]
    return images, set_aside


def check_broken(set_aside: SetAside, count: int) -> None:
    """Raises DataError if more than 1 % of `count` pictures are set aside."""
    if len(set_aside) > MOST_BROKEN * count:
        raise DataError(
            f"{set_aside[0][1]} ({len(set_aside):,} of {count:,} pictures are broken; up to 1 % would be set aside)"
        )
