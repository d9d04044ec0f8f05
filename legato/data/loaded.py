"""The pictures of a split as squares of bytes: all decoded once where memory allows, else when they are asked for."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from legato.data import memory
from legato.data.decode import Fit, fit, with_channels
from legato.data.examples import Pictures, SetAside
from legato.errors import DataError
from legato.values import Image


class Loaded(Sequence):
    """`pictures` fitted to size × size pixels; `pixels` and `targets` take many indices at once.

    In memory: broken pictures are left out from the beginning. On disk: a broken one is met when its turn comes, and
    its neighbour stands in. Raises DataError when more than 1 % are broken.
    """

    def __init__(self, pictures: Pictures, size: int, channels: int, how: Fit = "crop", threads: int = 2) -> None:
        self.size, self.channels, self.how, self.threads = size, channels, how, threads
        self.set_aside: SetAside = []
        self.memory: UInt8[Tensor, "n c s s"] | None = None
        if len(pictures) and memory.fits(len(pictures), size, channels):
            self.memory, self.set_aside = memory.load(pictures, size, channels, threads, how)
            pictures = pictures.without(self.set_aside)
        self.pictures = pictures

    @property
    def in_memory(self) -> bool:
        """Whether a batch is only gathered, which is quicker than to wait for a thread that does it."""
        return self.memory is not None

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> tuple[Image, int | Tensor]:  # type: ignore[override]
        """The picture as it is in the file, and its target."""
        return self.pictures[i]

    def pixels(self, indices: Sequence[int]) -> UInt8[Tensor, "b c s s"]:
        if self.memory is not None:
            return self.memory[torch.as_tensor(np.asarray(indices))]
        if len(indices) < 4:
            return torch.stack([self.decoded(i) for i in indices])
        with ThreadPoolExecutor(self.threads) as pool:
            return torch.stack(list(pool.map(self.decoded, indices)))

    def decoded(self, i: int) -> UInt8[Tensor, "c s s"]:
        try:
            image = self.pictures.image(i, (self.size, self.size))
        except DataError as error:
            self.note(self.pictures.name(i), str(error))
            return self.decoded((i + 1) % len(self))
        return fit(with_channels(image.pixels, self.channels), self.size, self.how)

    def note(self, name: str, why: str) -> None:
        if name not in {known for known, _ in self.set_aside}:
            self.set_aside.append((name, why))
        if len(self.set_aside) > max(1, memory.MOST_BROKEN * len(self)):
            raise DataError(f"{len(self.set_aside)} of {len(self)} pictures cannot be read, the last: {why}")

    def targets(self, indices: Sequence[int]) -> Tensor:
        """(b,) int64 classes, or (b, k) float32 labels or numbers."""
        return torch.from_numpy(self.pictures.targets[np.asarray(indices)])
