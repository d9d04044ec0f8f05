"""Non-maximum suppression: of boxes that tell of the same thing, the surest."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

BLOCK, PART = 256, 1024  # boxes settled at once, after a comparison with so many that stay: tables that a cache holds


def nms(
    boxes: Float[Tensor, "n 4"],
    scores: Float[Tensor, "n"],
    threshold: float,
    classes: Int64[Tensor, "n"] | None = None,
    most: int | None = None,
) -> Int64[Tensor, "k"]:
    """Indices of the boxes that stay, surest first, at most `most` of them.

    Exactly the greedy rule: the surest box stays, all that overlap it by more than `threshold` (intersection over
    union) go, and so on with the rest. With `classes`, boxes of different classes leave one another alone. Of equal
    scores the earlier box goes first.
    """
    order = scores.argsort(descending=True, stable=True)
    sorted_boxes = Sorted.by(order, boxes, threshold, classes)
    kept, count = [order[:0]], 0
    for block in torch.arange(len(order), device=order.device).split(BLOCK):
        if most is not None and count >= most:
            break
        for part in torch.cat(kept).split(PART) if count else ():  # amax is 9 × faster than any() of booleans
            block = block[sorted_boxes.excess(part, block).amax(dim=0) <= 0]
        block = block[settled(sorted_boxes.excess(block, block).triu_(1) > 0)]
        kept.append(block)
        count += len(block)
    return order[torch.cat(kept)[:most]]


class Sorted(NamedTuple):
    """Boxes, the surest first, in the form in which they are compared."""

    low: Float[Tensor, "2 n"]
    high: Float[Tensor, "2 n"]
    share: Float[Tensor, "n"]  # threshold · area
    threshold: float
    classes: Int64[Tensor, "n"] | None

    @classmethod
    def by(cls, order: Tensor, boxes: Tensor, threshold: float, classes: Tensor | None) -> "Sorted":
        low, high = boxes[order].T.contiguous().split(2)
        return cls(
            low, high, threshold * (high - low).prod(dim=0), threshold, None if classes is None else classes[order]
        )

    def excess(self, a: Int64[Tensor, "i"], b: Int64[Tensor, "j"]) -> Float[Tensor, "i j"]:
        """(1 + t) intersection − t (both areas): above 0 where intersection > t · union, which tell of one thing."""
        (x1, y1), (x2, y2) = self.low, self.high
        wide = torch.minimum(x2[a, None], x2[b]).sub_(torch.maximum(x1[a, None], x1[b])).clamp_(min=0)
        tall = torch.minimum(y2[a, None], y2[b]).sub_(torch.maximum(y1[a, None], y1[b]))
        both = wide.mul_(tall)  # below 0 where only their heights do not meet: no excess either
        more = both.mul_(1 + self.threshold).sub_(self.share[a, None]).sub_(self.share[b])
        return more if self.classes is None else more.masked_fill_(self.classes[a, None] != self.classes[b], -1)


def settled(beats: Bool[Tensor, "n n"]) -> Bool[Tensor, "n"]:
    """Who stays, if i beats j only for i < j, and whoever is beaten by one who stays goes.

    Iterated to its fixed point (Zheng et al. 2020, arXiv:2005.03572, "Cluster-NMS"), which for a triangular relation
    is the greedy answer: after t rounds the first t are right.
    """
    beats_number = beats.float()
    stays = torch.ones(len(beats), dtype=torch.bool, device=beats.device)
    while True:
        after = stays.float() @ beats_number == 0
        if torch.equal(after, stays):
            return stays
        stays = after
