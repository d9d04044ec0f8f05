"""Points with names: the joints of bodies, and how they hang together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import cos, radians, sin
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from legato.errors import DataError, nearest


@dataclass(frozen=True)
class Skeleton:
    """The points' names in order, and the limbs between them. `left x` and `right x` change places in a mirror."""

    names: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        for name in (name for limb in self.limbs for name in limb):
            if name not in self.names:
                raise DataError(f"a limb ends at {name!r}, no point of the skeleton{nearest(name, self.names)}")

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The limbs as indices of points."""
        return [(self.names.index(a), self.names.index(b)) for a, b in self.limbs]

    @property
    def mirrored(self) -> list[int]:
        """Which point stands at each place in a mirror: the left wrist where the right one was."""
        return [self.names.index(other_side(name)) for name in self.names]


def other_side(name: str) -> str:
    """`left wrist` ↔ `right wrist`; what has no side is its own."""
    side, _, rest = name.partition(" ")
    return {"left": f"right {rest}", "right": f"left {rest}"}.get(side, name)


ARM_AND_LEG = tuple(
    (f"{side} {a}", f"{side} {b}")
    for side in ("right", "left")
    for a, b in (("ankle", "knee"), ("knee", "hip"), ("wrist", "elbow"), ("elbow", "shoulder"))
)

# Johnson & Everingham 2010, "Leeds Sports Pose": the 14 joints of the lecture, in the order of joints.mat
LSP = Skeleton(
    names=(
        "right ankle", "right knee", "right hip", "left hip", "left knee", "left ankle",
        "right wrist", "right elbow", "right shoulder", "left shoulder", "left elbow", "left wrist", "neck", "head top",
    ),
    limbs=(*ARM_AND_LEG, ("right shoulder", "neck"), ("left shoulder", "neck"), ("neck", "head top"),
           ("right hip", "right shoulder"), ("left hip", "left shoulder"), ("right hip", "left hip")),
)  # fmt: skip

# Lin et al. 2014, COCO's person: 17 points, in the order of person_keypoints_*.json
COCO = Skeleton(
    names=(
        "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder", "left elbow",
        "right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee", "right knee", "left ankle",
        "right ankle",
    ),
    limbs=(*ARM_AND_LEG, ("left hip", "right hip"), ("left shoulder", "left hip"), ("right shoulder", "right hip"),
           ("left shoulder", "right shoulder"), ("left eye", "right eye"), ("nose", "left eye"), ("nose", "right eye"),
           ("left eye", "left ear"), ("right eye", "right ear")),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Keypoints:
    """n bodies of k points: x y in pixels (as for boxes), whether each can be seen, and how sure one is of it."""

    points: Float32[Tensor, "n k 2"]
    visible: Bool[Tensor, "n k"]
    scores: Float32[Tensor, "n k"]
    skeleton: Skeleton

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, chosen: Tensor | slice) -> "Keypoints":
        """Some of the bodies: a mask, indices in a tensor, or a slice."""
        return replace(self, points=self.points[chosen], visible=self.visible[chosen], scores=self.scores[chosen])

    def __eq__(self, other: object) -> bool:
        """Point by point, exactly."""
        return (
            isinstance(other, Keypoints)
            and self.skeleton == other.skeleton
            and torch.equal(self.points, other.points)
            and torch.equal(self.visible, other.visible)
            and torch.equal(self.scores, other.scores)
        )

    def __str__(self) -> str:
        """1 × 14 points, 12 seen."""
        return f"{len(self)} × {len(self.skeleton.names)} points, {int(self.visible.sum())} seen"

    # geometry: what happens to points when this happens to their picture
    def flip(self, width: int) -> "Keypoints":
        """The picture, `width` pixels wide, seen in a mirror: x becomes width − x, and left becomes right."""
        x, y = self.points.unbind(-1)
        swap = self.skeleton.mirrored
        points = torch.stack([width - x, y], dim=-1)
        return replace(self, points=points[:, swap], visible=self.visible[:, swap], scores=self.scores[:, swap])

    def scale(self, x: float, y: float) -> "Keypoints":
        """The picture x times as wide and y times as high."""
        return replace(self, points=self.points * self.points.new_tensor([x, y]))

    def crop(self, left: float, top: float, width: float, height: float) -> "Keypoints":
        """A window cut out; points outside stay where they are and are not seen."""
        points = self.points - self.points.new_tensor([left, top])
        inside = ((points >= 0) & (points < points.new_tensor([width, height]))).all(dim=-1)
        return replace(self, points=points, visible=self.visible & inside)

    def rotate(self, degrees: float, width: int, height: int) -> "Keypoints":
        """The picture turned counter-clockwise about its middle."""
        c, s = cos(radians(degrees)), sin(radians(degrees))
        middle = self.points.new_tensor([width / 2, height / 2])
        turned = (self.points - middle) @ self.points.new_tensor([[c, -s], [s, c]])  # y points down
        return replace(self, points=turned + middle)

    def limb_lengths(self) -> Float[Tensor, "n l"]:
        """Pixels, in the order of the skeleton's limbs."""
        starts, ends = zip(*self.skeleton.pairs)
        return (self.points[:, starts] - self.points[:, ends]).norm(dim=-1)

    def to_json(self) -> list[dict[str, Any]]:
        """One record a body: for each name x, y, score; and the names of those that cannot be seen."""
        return [
            {
                "points": {
                    name: [round(x, 2), round(y, 2), round(score, 4)]
                    for name, (x, y), score in zip(self.skeleton.names, points, scores)
                },
                "hidden": [name for name, seen in zip(self.skeleton.names, visible) if not seen],
            }
            for points, scores, visible in zip(self.points.tolist(), self.scores.tolist(), self.visible.tolist())
        ]


def truth(points: Sequence[Any] | Tensor, visible: Sequence[Any] | Tensor, skeleton: Skeleton) -> Keypoints:
    """Points one is sure of, (n, k, 2) and (n, k)."""
    where = torch.as_tensor(points, dtype=torch.float32).reshape(-1, len(skeleton.names), 2)
    seen = torch.as_tensor(visible).bool().reshape(-1, len(skeleton.names))
    return Keypoints(where, seen, torch.ones(seen.shape), skeleton)


def from_json(records: Sequence[dict[str, Any]], skeleton: Skeleton) -> Keypoints:
    """What `to_json` wrote. Raises DataError where a body lacks a point."""
    for record in records:
        if missing := [name for name in skeleton.names if name not in record["points"]]:
            raise DataError(f"a body without {missing[0]!r}: the skeleton has {', '.join(skeleton.names)}")
    rows = torch.tensor([[r["points"][name] for name in skeleton.names] for r in records]).reshape(
        -1, len(skeleton.names), 3
    )
    seen = torch.tensor([[name not in r["hidden"] for name in skeleton.names] for r in records], dtype=torch.bool)
    return Keypoints(rows[..., :2], seen.reshape(rows.shape[:2]), rows[..., 2], skeleton)
