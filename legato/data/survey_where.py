"""What is in a set of pictures with masks, boxes or joints, before anybody trains on it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from legato.data import annotated, masks, poses
from legato.data.annotated import Annotated, AnnotatedSet
from legato.data.examples import SetAside
from legato.data.masks import MaskSet
from legato.data.poses import PoseSet
from legato.data.survey import Member, digest, ratio, spread
from legato.errors import DataError
from legato.picture import overlays
from legato.task import Split
from legato.values import VOID, Image

SMALL, LARGE = 32**2, 96**2  # square pixels, as COCO parts sizes
Drawer = Callable[[Image, Any], Any]


class Look(NamedTuple):
    """What reading one example tells."""

    size: tuple[int, int]  # height, width
    digest: bytes  # of the pixels
    pixels: np.ndarray  # of each class, VOID last; empty where there is no mask


@dataclass(frozen=True)
class Card:
    """The card of a set. Sizes, broken and equal pictures are those of the `looked_at` examples that were read."""

    path: str
    format: str
    kind: str  # boxes, outlines, masks, joints
    names: tuple[str, ...]
    policy: str
    counts: dict[str, int]
    """Examples of each split."""
    classes: dict[str, dict[str, float]]
    """Of each split: objects of each class, or its share of the known pixels; people of whom a joint is known."""
    details: tuple[str, ...]
    """What else there is to say of the training split."""
    notes: tuple[str, ...]
    """What was clipped or set aside."""
    looked_at: int
    heights: tuple[int, int, int]
    """Smallest, median, largest."""
    widths: tuple[int, int, int]
    broken: SetAside
    leaks: list[list[Member]]
    """Equal pictures in more than one split: what is tested was trained on."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        counts = ", ".join(f"{split} {count:,}" for split, count in self.counts.items())
        (low, middle, high), (narrow, common, wide) = self.heights, self.widths
        lines = [
            f"{self.path}: {self.format}, {self.kind}, {len(self.names)} {WHAT[self.kind]}; {counts} {ONE[self.kind]}"
        ]
        lines += [self.policy, *(f"{split}: {told(found)}" for split, found in self.classes.items() if found)]
        lines += [*self.details, *self.notes]
        lines.append(
            f"{self.looked_at:,} read: {low} to {high} high, half up to {middle}; {narrow} to {wide} wide, "
            f"half up to {common}"
        )
        lines.append(f"broken: {len(self.broken)}" + "".join(f"\n  {why}" for _, why in self.broken[:10]))
        shown = [" = ".join(f"{name} ({split})" for split, name in group) for group in self.leaks[:5]]
        lines.append(f"equal pictures in two splits: {len(self.leaks)}" + "".join(f"\n  {one}" for one in shown))
        return "\n".join(lines)


WHAT = {"boxes": "classes", "outlines": "classes", "masks": "classes", "joints": "joints"}
ONE = {"boxes": "pictures", "outlines": "pictures", "masks": "pictures", "joints": "people"}
MOST_TOLD = 20  # classes on a line


def told(found: Mapping[str, float]) -> str:
    """dog 31, cat 12; road 41%; each 200: the most frequent first."""
    ordered = sorted(found.items(), key=lambda one: -one[1])
    if len(ordered) > 2 and ordered[0][1] == ordered[-1][1]:
        return f"each {said(ordered[0][1])}"
    half = MOST_TOLD // 2
    shown = ordered if len(ordered) <= MOST_TOLD else ordered[:half] + ordered[-half:]
    more = " (the first and the last)" if len(ordered) > MOST_TOLD else ""
    return ", ".join(f"{name} {said(value)}" for name, value in shown) + more


def said(value: float) -> str:
    return f"{value:.2%}" if isinstance(value, float) else f"{value:,}"


def recognises(path: str | Path) -> bool:
    """Whether pictures there have masks, boxes or joints."""
    return any(form.recognises(Path(path)) for form in (masks, poses, annotated))


def survey(path: str | Path, fold: str = "", most: int = 5_000, threads: int = 2) -> Card:
    """Read the set, and `most` of its examples, evenly spread; broken ones are listed.

    Raises DataError where the set itself cannot be read.
    """
    found = read(path, fold)
    step = max(1, -(-sum(map(len, found.splits.values())) // most))
    members = [(split, i) for split, examples in found.splits.items() for i in range(0, len(examples), step)]
    with ThreadPoolExecutor(max(1, threads), "survey") as pool:
        looks = list(pool.map(lambda member: look(found.splits[member[0]], member[1]), members, chunksize=16))
    whole = {member: seen for member, seen in zip(members, looks) if isinstance(seen, Look)}
    sizes = np.array([seen.size for seen in whole.values()] or [(0, 0)])
    return Card(
        path=str(path),
        format=found.format,
        kind=kind_of(found),
        names=names_of(found),
        policy=found.policy,
        counts={split: len(examples) for split, examples in found.splits.items()},
        classes=classes_of(found, whole),
        details=tuple(details_of(found, whole)),
        notes=(*getattr(found, "notes", ()), *aside_of(found)),
        looked_at=len(members),
        heights=spread(sizes[:, 0]),
        widths=spread(sizes[:, 1]),
        broken=[(name_of(found.splits[s], i), why) for (s, i), why in zip(members, looks) if isinstance(why, str)],
        leaks=leaks_of(found, whole),
    )


def read(path: str | Path, fold: str = "") -> MaskSet | PoseSet | AnnotatedSet:
    """The set there, by the first reader that knows its form."""
    form = next((form for form in (masks, poses) if form.recognises(Path(path))), annotated)
    return form.read(path, fold)


def look(examples: Sequence[Any], i: int) -> Look | str:
    """What is seen, or why nothing can be."""
    try:
        if isinstance(examples, Annotated):
            image, counts = examples.image(i), np.zeros(0, np.int64)
        else:
            image, target = examples[i]
            labels = getattr(target, "labels", None)
            counts = (
                np.zeros(0, np.int64) if labels is None else np.bincount(labels.flatten().numpy(), minlength=VOID + 1)
            )
    except DataError as error:
        return str(error)
    return Look((image.pixels.shape[1], image.pixels.shape[2]), digest(image.pixels), counts)


# what each kind of set has of its own
def kind_of(found: Any) -> str:
    if isinstance(found, AnnotatedSet):
        return "outlines" if found.outlined else "boxes"
    return "masks" if isinstance(found, MaskSet) else "joints"


def names_of(found: Any) -> tuple[str, ...]:
    return found.skeleton.names if isinstance(found, PoseSet) else found.names


def name_of(examples: Any, i: int) -> str:
    return examples.name(i)


def aside_of(found: Any) -> list[str]:
    aside = getattr(found, "set_aside", [])
    return [f"{len(aside):,} set aside, the first: {aside[0][1]}"] if aside else []


def classes_of(found: Any, looks: Mapping[tuple[Split, int], Look]) -> dict[str, dict[str, float]]:
    classes: dict[str, dict[str, float]] = {}
    for split, examples in found.splits.items():
        if isinstance(found, AnnotatedSet):
            counts = dict(examples.counts())
        elif isinstance(found, PoseSet):
            counts = dict(zip(found.skeleton.names, (examples.joints[..., 2] >= 0).sum(0).tolist()))
        else:
            pixels = sum((seen.pixels for (s, _), seen in looks.items() if s == split), np.zeros(VOID + 1, np.int64))
            shares = pixels[: len(found.names)] / max(1, pixels[:VOID].sum())
            counts = dict(zip(found.names, shares.tolist()))
        classes[split] = counts if len(examples) else {}
    return classes


def details_of(found: Any, looks: Mapping[tuple[Split, int], Look]) -> Iterator[str]:
    """Of the training split: how large the boxes are, how much is unknown, how many joints are hidden."""
    train = found.splits["train"]
    if isinstance(found, AnnotatedSet):
        own = [train.of(i) for i in range(len(train))]
        per = np.array([part.stop - part.start for part in own])
        corners = np.concatenate([train.objects.corners[part] for part in own])
        width, height = (corners[:, 2:] - corners[:, :2]).T
        area = width * height
        yield (
            f"boxes: half up to {np.median(width):.0f} × {np.median(height):.0f} pixels; "
            f"{(area < SMALL).mean():.0%} small (below 32²), {(area >= LARGE).mean():.0%} large (from 96² on)"
        )
        yield f"on a picture: {per.min()} to {per.max()}, {per.mean():.1f} on average; {(per == 0).sum():,} have none"
        yield f"imbalance {ratio(list(train.counts().values())):.3g}"
    elif isinstance(found, MaskSet):
        pixels = sum((seen.pixels for (s, _), seen in looks.items() if s == "train"), np.zeros(VOID + 1, np.int64))
        yield f"unknown: {pixels[VOID] / max(1, pixels.sum()):.2%} of the pixels"
    else:
        seen, known = train.joints[..., 2] > 0, train.joints[..., 2] >= 0
        yield f"joints: {known.mean():.1%} known, {seen.sum() / max(1, known.sum()):.1%} of these can be seen"


def leaks_of(found: Any, looks: Mapping[tuple[Split, int], Look]) -> list[list[Member]]:
    groups: dict[bytes, list[tuple[Split, int]]] = {}
    for member, seen in looks.items():
        groups.setdefault(seen.digest, []).append(member)
    several = [group for group in groups.values() if len({split for split, _ in group}) > 1]
    return [[(split, name_of(found.splits[split], i)) for split, i in group] for group in several]


# to look at
def contact(found: MaskSet | PoseSet | AnnotatedSet, count: int, split: Split = "train") -> list[tuple[Image, str]]:
    """`count` pictures with what is true of them drawn on them, evenly spread, with a few words on each."""
    examples: Any = found.splits[split]
    sheet = []
    for i in np.unique(np.linspace(0, len(examples) - 1, min(count, len(examples))).round().astype(int)).tolist():
        try:
            image, target = examples[i]
            if isinstance(found, AnnotatedSet) and found.outlined:
                target = examples.masks(i)
        except DataError:  # the survey lists it
            continue
        drawn = np.asarray(DRAWN[kind_of(found)](image, target).convert("RGB"))
        words = "" if isinstance(found, MaskSet) else str(target)  # masks have a legend
        sheet.append((Image(torch.from_numpy(drawn.copy()).permute(2, 0, 1), image.source), words))
    return sheet


DRAWN: dict[str, Drawer] = {
    "boxes": overlays.boxes,
    "outlines": overlays.instances,
    "masks": overlays.label_map,
    "joints": overlays.skeletons,
}
