"""A class for each pixel."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor
from torch.nn import functional as F

from legato.values.turning import turned

VOID = (
    255  # a pixel of which nothing is known; it counts neither in training nor in measuring (the border of VOC's masks)
)


@dataclass(frozen=True, eq=False)
class LabelMap:
    """(h, w) bytes: the index of each pixel's class in `names`, or VOID."""

    labels: UInt8[Tensor, "h w"]
    names: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        """Pixel by pixel."""
        return isinstance(other, LabelMap) and self.names == other.names and torch.equal(self.labels, other.labels)

    def __str__(self) -> str:
        """road 41%, sky 30%: the three largest."""
        return ", ".join(f"{name} {share:.0%}" for name, share in list(self.shares().items())[:3])

    @property
    def known(self) -> Bool[Tensor, "h w"]:
        """Where it says something."""
        return self.labels != VOID

    def shares(self) -> dict[str, float]:
        """Of what is known, the share of each class that occurs, largest first."""
        counts = torch.bincount(self.labels[self.known].flatten(), minlength=len(self.names)).double()
        shares = counts / counts.sum().clamp(min=1)
        order = shares.argsort(descending=True, stable=True)
        return {self.names[i]: round(float(shares[i]), 6) for i in order.tolist() if counts[i] > 0}

    # geometry: what happens to the labels when this happens to their picture
    def flip(self) -> "LabelMap":
        """In a mirror: left becomes right."""
        return replace(self, labels=self.labels.flip(-1))

    def resize(self, height: int, width: int) -> "LabelMap":
        """Each pixel takes the label that lay under its centre: labels cannot be averaged."""
        small = F.interpolate(self.labels[None, None], (height, width), mode="nearest-exact")
        return replace(self, labels=small[0, 0])

    def crop(self, left: int, top: int, width: int, height: int) -> "LabelMap":
        """A window cut out; where it reaches over the edge, nothing is known."""
        h, w = self.labels.shape
        over = (-left, left + width - w, -top, top + height - h)
        return replace(self, labels=F.pad(self.labels, over, value=VOID))  # negative padding cuts

    def rotate(self, degrees: float) -> "LabelMap":
        """Turned counter-clockwise about the middle, in its frame; of what comes in nothing is known."""
        told = turned(self.labels[None].float() - VOID, degrees, "nearest")[0] + VOID
        return replace(self, labels=told.round().byte())

    def upside_down(self) -> "LabelMap":
        """Top becomes bottom."""
        return replace(self, labels=self.labels.flip(-2))

    # JSON
    def to_json(self) -> dict[str, Any]:
        """Height and width, names, and runs of label and length, row after row: small where areas are large."""
        flat = self.labels.flatten()
        starts = [0, *(flat.diff().nonzero().flatten() + 1).tolist(), len(flat)]
        runs = [[int(flat[start]), end - start] for start, end in pairwise(starts) if end > start]
        return {"size": list(self.labels.shape), "names": list(self.names), "runs": runs}


def from_json(record: dict[str, Any]) -> LabelMap:
    """What `to_json` wrote."""
    labels, lengths = torch.tensor(record["runs"], dtype=torch.int64).reshape(-1, 2).unbind(1)
    flat = labels.byte().repeat_interleave(lengths)
    return LabelMap(flat.view(*record["size"]), tuple(record["names"]))
