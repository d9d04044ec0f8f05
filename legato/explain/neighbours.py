"""Which pictures a network takes for alike: those whose features point the same way (Krizhevsky et al. 2012, figure 4).

The features are what enters the head, or what comes out of another stage; maps are averaged over their places, as in
Babenko et al. 2014, "Neural codes for image retrieval", arXiv:1404.1777, and Lin et al. 2014, section 3.2.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from legato.errors import UsageError
from legato.explain.features import Gallery, Largest, cosine, merged, run, stage_of, vectors
from legato.explain.subject import Shown, Subject, method, pictures
from legato.layers.modes import evaluating
from legato.picture import sheet
from legato.watch import watch

NINE = 9


def nearest(
    queries: Float[Tensor, "q n"], batches: Iterable[tuple[list[int], Float[Tensor, "b n"]]], k: int = NINE
) -> Largest:
    """Of each query the k examples of largest cosine; to each belongs (the example's number,).

    batches: (numbers of examples, their features). Memory does not grow with the number of examples.
    """
    best: Largest | None = None
    for indices, rows in batches:
        values = cosine(queries, rows)
        best = merged(best, Largest(values, (torch.tensor(indices).expand_as(values),)), k)
    if best is None:
        raise UsageError("there are no examples to look among")
    return best


@torch.no_grad()
def features(subject: Subject, stage: str) -> Float[Tensor, "1 n"]:
    """The vector of the subject's own input."""
    with evaluating(subject.net), watch(subject.net, stage) as seen:
        run(subject.task, subject.net, stage, subject.encoded)
    return vectors(seen[stage][0].float().cpu(), stage)


@method("neighbours", pictures)
def show_neighbours(subject: Subject) -> list[Shown]:
    """The most alike pictures of the data set, or of a folder (--in DIR), by the network's features."""
    gallery = Gallery(subject, stage_of(subject))
    query = features(subject, gallery.stage)
    batches = ((seen.indices, vectors(seen.found, gallery.stage)) for seen in gallery.seen())
    found = [(value, int(i), *gallery.shown(int(i))) for value, i in nearest(query, batches, NINE + 1).of(0)]
    others = [one for one in found if one[3] != subject.input.source][:NINE]
    tiles = [(subject.input, "asked for"), *((image, f"{caption(gallery, i)}\n{v:.3f}") for v, i, image, _ in others)]
    title = f"The most alike of {len(gallery):,} pictures, by {gallery.stage} (cosine)"
    lines = [f"{value:.4f}\t{source}" for value, _, _, source in others]
    return [Shown(sheet(tiles, 0, title), lines=(*lines, *gallery.lines()))]


def caption(gallery: Gallery, i: int) -> str:
    """Its class, or the name of its file."""
    return gallery.among[i][1]
