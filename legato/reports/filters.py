"""What the first layer looks for."""

from torch import Tensor

from legato import picture
from legato.reports.first_batch import batch, pictures_in
from legato.reports.page import Figure, Section
from legato.reports.trained import Trained

MOST = 256


def section(trained: Trained) -> Section | None:
    found = next(
        ((n, p) for n, p in trained.net.named_parameters() if p.dim() in (2, 4) and p.is_floating_point()), None
    )
    if found is None or (weights := as_filters(trained, found[1])) is None:
        return None
    o, i, h, w = weights.shape
    drawn = picture.filters(weights[:MOST], f"{found[0].removesuffix('.weight')}: {o} filters of {i} × {h} × {w}")
    note = "The weights of the first layer; grey is zero." + (f" The first {MOST}." if o > MOST else "")
    return Section("First-layer filters", [Figure("filters", drawn, note)])


def as_filters(trained: Trained, weights: Tensor) -> Tensor | None:
    """(o, i, h, w): a convolution's weights, or rows of a dense layer that sees a whole picture, as pictures."""
    if weights.dim() == 4:
        return weights if min(weights.shape[2:]) > 1 else None
    pictures = pictures_in(batch(trained, 1)[1])
    if pictures is None or pictures[0].numel() != weights.shape[1]:
        return None
    return weights.unflatten(1, pictures.shape[1:])
