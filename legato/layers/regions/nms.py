"""Non-maximum suppression: of boxes that tell of the same thing, the surest."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

BLOCK, REST = 128, 512  # boxes settled at once, and compared with so many of the rest: tables that a cache holds


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
    sides, kinds = boxes[order].T.contiguous(), None if classes is None else classes[order]
    left, kept, count = torch.arange(len(order), device=order.device), [order[:0]], 0
    while len(left) and (most is None or count < most):
        head, tail = left[:BLOCK], left[BLOCK:]
        head = head[settled(excess(sides, head, head, threshold, kinds).triu_(1) > 0)]
        parts = tail.split(REST)  # amax of the excess is 9 × faster than any() of booleans
        left = torch.cat([part[excess(sides, head, part, threshold, kinds).amax(dim=0) <= 0] for part in parts])
        kept.append(order[head])
        count += len(head)
    return torch.cat(kept)[:most]


def excess(
    sides: Float[Tensor, "4 n"], a: Tensor, b: Tensor, threshold: float, kinds: Int64[Tensor, "n"] | None
) -> Float[Tensor, "i j"]:
    """Intersection less threshold · union: above 0 where boxes of a and b tell of the same thing."""
    (x1, y1, x2, y2), (u1, v1, u2, v2) = sides[:, a, None], sides[:, None, b]
    areas = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1)
    wide = torch.minimum(x2, u2).sub_(torch.maximum(x1, u1)).clamp_(min=0)
    high = torch.minimum(y2, v2).sub_(torch.maximum(y1, v1)).clamp_(min=0)
    both = wide.mul_(high)
    more = both - areas.sub_(both).mul_(threshold)
    return more if kinds is None else more.masked_fill_(kinds[a, None] != kinds[b], -1)


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
