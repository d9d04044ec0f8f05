"""Non-maximum suppression: of boxes that tell of the same thing, the surest."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from legato.layers.regions.boxes import iou

BLOCK = 256  # boxes settled at once: their table of overlaps stays in the cache


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
    left, kept, count = scores.argsort(descending=True, stable=True), [scores.new_empty(0).long()], 0
    while len(left) and (most is None or count < most):
        head, tail = left[:BLOCK], left[BLOCK:]
        head = head[settled(rivals(boxes, head, head, threshold, classes).triu(1))]
        left = tail[~rivals(boxes, head, tail, threshold, classes).any(dim=0)]
        kept.append(head)
        count += len(head)
    return torch.cat(kept)[:most]


def rivals(
    boxes: Float[Tensor, "n 4"], a: Tensor, b: Tensor, threshold: float, classes: Int64[Tensor, "n"] | None
) -> Bool[Tensor, "i j"]:
    """Which boxes of a and b tell of the same thing."""
    same = iou(boxes[a], boxes[b]) > threshold
    return same if classes is None else same & (classes[a][:, None] == classes[b])


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
