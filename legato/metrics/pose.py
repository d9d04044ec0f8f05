"""How well joints are found: sums over people, and the numbers made of them.

Distances are measured in torsos: from the left shoulder to the right hip (Sapp & Taskar 2013; Toshev & Szegedy 2014,
section 4.1); where a skeleton has none, in longer sides of the box around the joints (Yang & Ramanan 2013, section 6).
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
    """Joints whose truth is NaN count nowhere, nor does a person without a measure.

    For each fraction of a torso and each joint how many lie that `near`, and how many people it is `known` of; for each
    part how many are `found`, which is when both its ends are no further off than half its length (PCP), of how many
    (`limbs`).
    """
    far = (points - truth).norm(dim=-1)
    unit = measure(truth, skeleton)
    known = far.isfinite() & unit.isfinite()[:, None]
    near = torch.stack([((far <= fraction * unit[:, None]) & known).sum(0) for fraction in FRACTIONS])
    found, limbs = torch.zeros(2, len(LIMBS), device=points.device, dtype=torch.int64)
    for part, (a, b) in enumerate(LIMBS):
        for side in ("left", "right"):
            length = between(truth, skeleton, f"{side} {a}", f"{side} {b}")
            ends = [skeleton.names.index(f"{side} {end}") for end in (a, b) if f"{side} {end}" in skeleton.names]
            found[part] += (far[:, ends] <= length[:, None] / 2).all(dim=1).sum()
            limbs[part] += length.isfinite().sum()
    return {"near": near, "known": known.sum(0), "found": found, "limbs": limbs}


def measure(truth: Float[Tensor, "b k 2"], skeleton: Skeleton) -> Float[Tensor, "b"]:
    """The length of each person's torso, or the longer side of the box around the joints; NaN where it is not known."""
    if {"left shoulder", "right hip"} <= set(skeleton.names):
        return between(truth, skeleton, "left shoulder", "right hip")
    known = truth.isfinite()
    high, low = truth.where(known, -torch.inf).amax(dim=1), truth.where(known, torch.inf).amin(dim=1)
    side = (high - low).amax(dim=1)
    return side.where(side > 0, torch.nan)


def between(points: Float[Tensor, "b k 2"], skeleton: Skeleton, a: str, b: str) -> Float[Tensor, "b"]:
    """The distance of two joints; NaN where one is not known, or the skeleton has none."""
    if not {a, b} <= set(skeleton.names):
        return points.new_full((len(points),), torch.nan)
    return (points[:, skeleton.names.index(a)] - points[:, skeleton.names.index(b)]).norm(dim=-1)


def scores(tally: dict[str, Tensor], skeleton: Skeleton) -> dict[str, Any]:
    """pck@0.2, the share of joints within 0.2 torsos, as is usual on LSP; pdj@f, the same at other fractions, and
    pdj@0.2 of each joint, left and right together; pcp@0.5 of arms and legs, and of each part."""
    near, known = tally["near"].double(), tally["known"].double()
    found, limbs = tally["found"].double(), tally["limbs"].double()
    at = FRACTIONS.index(0.2)
    kinds = list(dict.fromkeys(name.removeprefix("left ").removeprefix("right ") for name in skeleton.names))
    of_kind = {
        kind: [i for i, n in enumerate(skeleton.names) if n.split(" ", 1)[-1] == kind or n == kind] for kind in kinds
    }
    parts = {part: share(f, n) for part, f, n in zip(PARTS, found, limbs) if n}
    return {
        "pck@0.2": share(near[at].sum(), known.sum()),
        **({"pcp@0.5": sum(parts.values()) / len(parts)} if parts else {}),
        **{f"pcp@0.5/{part}": value for part, value in parts.items()},
        **{f"pdj@{fraction:g}": share(row.sum(), known.sum()) for fraction, row in zip(FRACTIONS[1::2], near[1::2])},
        **{f"pdj@0.2/{kind}": share(near[at, own].sum(), known[own].sum()) for kind, own in of_kind.items()},
    }


def share(part: Tensor, whole: Tensor) -> float:
    return float(part / whole.clamp(min=1))
