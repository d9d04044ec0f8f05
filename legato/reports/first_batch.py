"""The first training batch, as the network sees it: augmented, scaled, cropped."""

from typing import Any

from torch import Tensor

from legato import picture
from legato.data.loader import order
from legato.draws import Draws
from legato.reports.page import Figure, Section
from legato.reports.showing import said
from legato.reports.trained import Trained, tensors

MOST = 40  # pictures


def section(trained: Trained) -> Section | None:
    indices, inputs, targets = batch(trained, MOST)
    pictures = pictures_in(inputs)
    if pictures is None:
        return None
    low, high = float(pictures.min()), float(pictures.max())
    outside = low < -1e-3 or high > 1 + 1e-3
    shown = (pictures - low) / max(high - low, 1e-12) if outside else pictures
    examples, names = trained.task.examples("train"), trained.task.names
    mixed = isinstance(targets, Tensor) and targets.is_floating_point()  # may be shares of two classes
    told = targets if mixed else [examples[i][1] for i in indices]
    tiles = [(tile, said(target, names)) for tile, target in zip(shown, told)]
    size = " × ".join(map(str, pictures.shape[1:]))
    note = (
        f"{len(tiles)} examples of the first batch of the first epoch, each {size} numbers from {low:.2f} to {high:.2f}"
        + (", here stretched to the range from black to white." if outside else ".")
    )
    return Section("First batch", [Figure("first_batch", picture.sheet(tiles, title="As the network sees them"), note)])


def batch(trained: Trained, most: int) -> tuple[list[int], Any, Any]:
    """The first examples of the first batch, with the augmentation they had in training."""
    indices = order(trained.task, "train", trained.recipe, 0)[0][:most]
    draws = Draws((trained.recipe.seed, "augment", 0), indices)
    return indices, *trained.task.batch(trained.task.examples("train"), indices, draws)


def pictures_in(inputs: Any) -> Tensor | None:
    """The first (b, c, h, w) of pictures among what a network is given."""
    return next(
        (t.float() for t in tensors(inputs) if t.dim() == 4 and t.shape[1] in (1, 3) and min(t.shape[2:]) > 1), None
    )
