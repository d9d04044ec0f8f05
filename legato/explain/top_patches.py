"""The nine pictures of a whole data set that a channel responds to most (Zeiler & Fergus 2013, section 4, figure 2).

One pass keeps the nine strongest responses of every channel, at most one a picture, however large the set is; then the
pictures of the channels shown are looked at once more for their deconvnet.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from legato.errors import UsageError
from legato.explain.deconvnet import by_channel, deconvnet, fits, most_active
from legato.explain.features import Gallery, Largest, merged
from legato.explain.stages import last_map
from legato.explain.subject import Shown, Subject, method
from legato.explain.windows import Box, seen_by
from legato.picture import patches
from legato.picture.style import number

NINE, CHANNELS = 9, 12


def top_patches(batches: Iterable[tuple[list[int], Float[Tensor, "b c h w"]]], k: int = NINE) -> Largest:
    """Of each channel the k strongest responses; to each belong (the example's number, the place row by row).

    batches: (numbers of examples, maps (b, c, h, w)). Memory does not grow with the number of examples.
    """
    best: Largest | None = None
    for indices, maps in batches:
        values, places = by_channel(maps, "the stage").transpose(0, 1).max(dim=2)  # (c, b)
        numbers = torch.tensor(indices).expand_as(places)
        best = merged(best, Largest(values, (numbers, places)), k)
    if best is None:
        raise UsageError("there are no examples to look at")
    return best


@method("patches", fits, needs_input=False)
def show_patches(subject: Subject) -> list[Shown]:
    """The nine pictures of the data set that each channel of a stage responds to most, and why (deconvnet)."""
    gallery = Gallery(subject, subject.stage or default_stage(subject))
    best = top_patches((seen.indices, seen.found) for seen in gallery.seen())
    chosen = most_active(best.values.mean(dim=1), subject, gallery.stage, CHANNELS)
    window = cache(lambda shape: seen_by(subject.net, gallery.stage, shape))
    blocks = [block(gallery, channel, best, window) for channel in chosen]
    title = (
        f"{gallery.stage}: what channels respond to most in {len(gallery):,} pictures (right), and what in them (left)"
    )
    lines = [f"{gallery.stage} {block.caption}, most by {source(gallery, best, k)}" for k, block in zip(chosen, blocks)]
    return [Shown(patches.blocks(blocks, title), lines=(*lines, *gallery.lines()))]


def default_stage(subject: Subject) -> str:
    """The last one with maps, found with one of the pictures."""
    x = replace(subject, input=Gallery(subject, "").shown(0)[0]).pixels
    return last_map(subject.net, lambda: subject.net(x))


def source(gallery: Gallery, best: Largest, channel: int) -> str:
    return gallery.shown(int(best.belongs[0][channel, 0]))[1]


def block(
    gallery: Gallery, channel: int, best: Largest, window: Callable[[torch.Size], Callable[[int], Box]]
) -> patches.Block:
    """One channel's nine patches beside their reconstructions."""
    net, found = gallery.subject.net, best.of(channel)
    signals: list[Tensor] = []
    pictures: list[Tensor] = []
    boxes: list[Box] = []
    for _, example, place in found:
        x = replace(gallery.subject, input=gallery.shown(int(example))[0]).pixels
        signals += deconvnet(net, gallery.stage, x, torch.tensor([channel]), torch.tensor([int(place)])).cpu()
        pictures += x.cpu()
        boxes.append(window(x.shape[1:])(int(place)))
    return patches.Block(
        f"channel {channel}: {number(found[-1][0])} to {number(found[0][0])}", signals, pictures, boxes
    )
