"""How well joints are found: sums over people, and the numbers made of them.

Distances are measured in torsos: from the left shoulder to the right hip (Sapp & Taskar 2013; Toshev & Szegedy 2014,
section 4.1).
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from legato.values import Skeleton

FRACTIONS = tuple(k / 20 for k in range(1, 11))  # 0.05 … 0.5 of a torso
LIMBS = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
PARTS = ("upper leg", "lower leg", "upper arm", "forearm")  # table 2 of DeepPose


def tally(points: Float[Tensor, "b k 2"], truth: Float[Tensor, "b k 2"], skeleton: Skeleton) -> dict[str, Tensor]:
    """How many people; for each fraction of a torso and each joint how many lie that near; for each part how many are
    found, which is when both its ends are no further off than half its length (PCP)."""
    far = (points - truth).norm(dim=-1)
    torso = between(truth, skeleton, "left shoulder", "right hip")
    near = torch.stack([(far <= fraction * torso[:, None]).sum(0) for fraction in FRACTIONS])
    found = torch.zeros(len(LIMBS), device=points.device, dtype=torch.int64)
    for part, (a, b) in enumerate(LIMBS):
        for side in ("left", "right"):
            half = between(truth, skeleton, f"{side} {a}", f"{side} {b}") / 2
            ends = far[:, [skeleton.names.index(f"{side} {end}") for end in (a, b)]]
            found[part] += (ends <= half[:, None]).all(dim=1).sum()
    return {"people": torch.tensor(len(points), device=points.device), "near": near, "found": found}


def between(points: Float[Tensor, "b k 2"], skeleton: Skeleton, a: str, b: str) -> Float[Tensor, "b"]:
    """The distance of two joints."""
    return (points[:, skeleton.names.index(a)] - points[:, skeleton.names.index(b)]).norm(dim=-1)


def scores(tally: dict[str, Tensor], skeleton: Skeleton) -> dict[str, Any]:
    """pck@0.2, the share of joints within 0.2 torsos, as is usual on LSP; pdj@f, the same at other fractions, and
    pdj@0.2 of each joint, left and right together; pcp@0.5 of arms and legs, and of each part."""
    people = max(1, int(tally["people"]))
    near, found = tally["near"].double() / people, tally["found"].double() / (2 * people)
    at = near[FRACTIONS.index(0.2)]
    kinds = list(dict.fromkeys(name.removeprefix("left ").removeprefix("right ") for name in skeleton.names))
    of_kind = {kind: at[[i for i, n in enumerate(skeleton.names) if n.endswith(kind)]].mean() for kind in kinds}
    return {
        "pck@0.2": float(at.mean()),
        "pcp@0.5": float(found.mean()),
        **{f"pcp@0.5/{part}": float(value) for part, value in zip(PARTS, found)},
        **{f"pdj@{fraction:g}": float(row.mean()) for fraction, row in zip(FRACTIONS[1::2], near[1::2])},
        **{f"pdj@0.2/{kind}": float(value) for kind, value in of_kind.items()},
    }
