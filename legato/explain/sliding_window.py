"""Detection without a detector: a classifier slides over a large picture, small to large, and tells where things are.

Sermanet et al. 2014, "OverFeat", arXiv:1312.6229, section 3; the network is `legato.networks.sliding_window`.
"""

import torch
from torch import nn

from legato.explain.heatmap import fits, scaled, shape
from legato.explain.subject import Shown, Subject, method
from legato.networks.describe import describe
from legato.networks.sliding_window import SlidingWindow, detect, scales_of
from legato.picture.overlays import boxes
from legato.values import Boxes, Image

SURE = 0.8  # a classifier has no class for nothing: what it is unsure of is taken for that
TOLD = 10  # of the windows it is sure of


@method("sliding-window", fits=fits)
def show_windows(subject: Subject) -> list[Shown]:
    """What and where, by a classifier: windows of a pyramid, the surest of those that overlap; what sharing spares."""
    assert isinstance(subject.net, nn.Sequential)
    size, names = shape(subject.task), subject.task.names
    image = scaled(subject.input, size)
    net = SlidingWindow(subject.net, size)
    found = detect(net, subject.device.move(image), threshold=SURE)
    chosen = [i for i, k in enumerate(found.labels.tolist()) if not subject.what or names[k] == subject.what][:TOLD]
    told = Boxes(found.boxes[chosen].cpu(), found.labels[chosen].cpu(), found.scores[chosen].cpu(), tuple(names))
    lines = [
        f"{names[label]} {score:.3g} in x {x1:.0f}–{x2:.0f}, y {y1:.0f}–{y2:.0f}"
        for label, score, (x1, y1, x2, y2) in zip(told.labels.tolist(), told.scores.tolist(), told.xyxy.tolist())
    ]
    nothing = f"no window is {subject.what or 'anything'} with a probability of {SURE} or more"
    drawn = boxes(Image(image.round().byte(), subject.input.source), told)
    return [Shown(drawn, lines=(*(lines or [nothing]), cost(subject.net, net, size, image.shape[1:])))]


def cost(classifier: nn.Module, net: SlidingWindow, size: tuple[int, int, int], picture: torch.Size) -> str:
    """Multiply-adds of all windows: cut out one by one, and by the network that slides."""
    count = together = 0
    for scale in scales_of(picture[0], picture[1], size[1:]):
        height, width = (max(1, round(scale * side)) for side in picture)
        rows, columns = ((n - w) // s + 1 for n, w, s in zip((height, width), size[1:], net.sliding.stride))
        count += rows * columns
        together += sum(row.macs for row in describe(net.net, (size[0], height, width)))
    apart = count * sum(row.macs for row in describe(classifier, size))
    return (
        f"{count:,} windows of {size[1]} × {size[2]}: {apart / 1e6:,.0f} million multiply-adds one by one, "
        f"{together / 1e6:,.0f} as a network that slides, {apart / max(1, together):.0f} times less"
    )
