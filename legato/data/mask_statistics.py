"""What is common and how bright it is, in training pictures with masks."""

from collections.abc import Sequence

import torch

from legato.data.masks import MaskedPictures, OutlinedPictures
from legato.errors import DataError
from legato.values import VOID

LOOKED_AT = 500  # pictures


def statistics(
    train: MaskedPictures | OutlinedPictures, names: Sequence[str]
) -> tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...], int]:
    """Pixels of each class, mean and standard deviation of each channel in [0, 1], and the shortest side.

    Raises DataError where no pixel has a class.
    """
    counts = torch.zeros(256, dtype=torch.int64)
    sums = squares = torch.zeros(train.channels, dtype=torch.float64)
    pixels, short = 0, 1 << 30
    for i in range(0, len(train), max(1, len(train) // LOOKED_AT)):
        image, labels = train[i]
        values = image.pixels.flatten(1).double() / 255
        sums, squares = sums + values.sum(1), squares + values.square().sum(1)
        pixels, short = pixels + values.shape[1], min(short, *image.pixels.shape[1:])
        counts += torch.bincount(labels.labels.flatten().long(), minlength=256)
    if not counts[:VOID].any():
        raise DataError(f"{train.name(0)} and others: no pixel of their masks has a class; check the legend")
    mean = sums / pixels
    sd = (squares / pixels - mean.square()).clamp(min=1e-6).sqrt()
    return tuple(counts[: len(names)].tolist()), tuple(mean.tolist()), tuple(sd.tolist()), short
