"""What is in a set of pictures, before anybody trains on it: how many, how large, how even, what is wrong with it."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from legato.data.decode import LARGEST, opened, read_image
from legato.data.detect import read
from legato.data.examples import PLURAL, Kind, Pictures, PictureSet, Pixels, SetAside
from legato.errors import DataError
from legato.task import Split
from legato.values import Image

Member = tuple[str, str]  # split and name of an example


class Look(NamedTuple):
    """What decoding one picture tells."""

    height: int
    width: int
    mode: str  # as pillow calls it: L, RGB, RGBA, P, CMYK, I;16 …
    digest: bytes  # of the decoded pixels


@dataclass(frozen=True)
class Survey:
    """The card of a data set. Sizes, modes, broken and equal pictures are those of the `looked_at` pictures decoded."""

    path: str
    format: str
    kind: Kind
    names: tuple[str, ...]
    policy: str
    counts: dict[str, int]
    """Examples of each split."""
    classes: dict[str, dict[str, int]]
    """Of each split, the examples of each class, or with each label; of numbers, those that are known."""
    imbalance: float
    """Examples of the largest class of train to one of the smallest; infinite where one has none."""
    looked_at: int
    heights: tuple[int, int, int]
    """Smallest, median, largest."""
    widths: tuple[int, int, int]
    modes: dict[str, int]
    broken: SetAside
    duplicates: list[list[Member]]
    """Groups of examples whose pixels are equal."""
    leaks: list[list[Member]]
    """Those of them that lie in more than one split: what is tested was trained on."""
    contradictions: list[list[Member]]
    """Those of them with different targets."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"imbalance": self.imbalance if np.isfinite(self.imbalance) else None}

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {split}" for split, count in self.counts.items())
        train = sorted(self.classes["train"].items(), key=lambda one: -one[1])
        shown = [f"{name} {count:,}" for name, count in (train if len(train) <= 20 else train[:9] + train[-9:])]
        classes = ", ".join(shown if len(train) <= 20 else [*shown[:9], "…", *shown[9:]])
        modes = ", ".join(f"{count:,} {mode}" for mode, count in self.modes.items())
        lines = [
            f"{self.path}: {self.format}, {len(self.names)} {PLURAL[self.kind]}; {counts}",
            self.policy,
            f"{PLURAL[self.kind]} in train: {classes}; the largest has {self.imbalance:.3g} × the smallest",
            f"{self.looked_at:,} decoded: {modes}; {extent(self.widths)} wide, {extent(self.heights)} high",
            f"broken: {len(self.broken) or 'none'}" + "".join(f"\n  {why}" for _, why in self.broken[:10]),
        ]
        for what, groups in (
            ("equal pictures", self.duplicates),
            ("equal pictures in two splits", self.leaks),
            ("equal pictures with different targets", self.contradictions),
        ):
            shown = [" = ".join(f"{name} ({split})" for split, name in group) for group in groups[:5]]
            lines.append(f"{what}: {len(groups) or 'none'}" + "".join(f"\n  {one}" for one in shown))
        return "\n".join(lines)


def extent(spread: tuple[int, int, int]) -> str:
    """`32`, where all are equal; `120 to 640 (median 320)`."""
    low, middle, high = spread
    return f"{low}" if low == high else f"{low} to {high} (median {middle})"


def survey(path: str | Path, fold: str = "", most: int = 20_000, threads: int = 2) -> Survey:
    """Read the set and decode its pictures, `most` of them, evenly spread; broken ones are listed.

    Raises DataError where the set itself cannot be read.
    """
    found = read(path, fold)
    step = max(1, -(-sum(map(len, found.splits.values())) // most))
    members = [(split, i) for split, pictures in found.splits.items() for i in range(0, len(pictures), step)]
    with ThreadPoolExecutor(max(1, threads), "survey") as pool:
        looks = list(pool.map(lambda member: look(found.splits[member[0]], member[1]), members, chunksize=64))
    whole = {member: seen for member, seen in zip(members, looks) if isinstance(seen, Look)}
    broken = [(found.splits[s].name(i), why) for (s, i), why in zip(members, looks) if isinstance(why, str)]
    groups = equal(whole)
    classes: dict[str, dict[str, int]] = {split: tally(found, pictures) for split, pictures in found.splits.items()}
    sizes = np.array([(seen.height, seen.width) for seen in whole.values()] or [(0, 0)])

    def named(chosen: Iterable[list[tuple[Split, int]]]) -> list[list[Member]]:
        return [[(split, found.splits[split].name(i)) for split, i in group] for group in chosen]

    return Survey(
        path=str(path),
        format=found.format,
        kind=found.kind,
        names=found.names,
        policy=found.policy,
        counts={split: len(pictures) for split, pictures in found.splits.items()},
        classes=classes,
        imbalance=ratio(list(classes["train"].values())),
        looked_at=len(members),
        heights=spread(sizes[:, 0]),
        widths=spread(sizes[:, 1]),
        modes=dict(Counter(seen.mode for seen in whole.values()).most_common()),
        broken=broken,
        duplicates=named(groups),
        leaks=named(group for group in groups if len({split for split, _ in group}) > 1),
        contradictions=named(group for group in groups if not agree(found, group)),
    )


def contact(found: PictureSet, count: int, split: Split = "train") -> list[tuple[Image, str]]:
    """About `count` pictures for a contact sheet, spread evenly over the classes, with what their targets say."""
    pictures = found.splits[split]
    order = np.argsort(pictures.targets, kind="stable") if pictures.targets.ndim == 1 else np.arange(len(pictures))
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))]
    sheet = []
    for i in chosen.tolist():
        try:
            sheet.append((pictures.image(i), caption(found, pictures.target(i))))
        except DataError:  # the survey lists it
            continue
    return sheet


def caption(found: PictureSet, target: int | Tensor) -> str:
    """`daisy`; `cat, dog`; `smooth 0.71, disk 0.2`."""
    if isinstance(target, int):
        return found.names[target]
    if found.kind == "labels":
        return ", ".join(name for name, value in zip(found.names, target.tolist()) if value == 1)
    return ", ".join(f"{name} {value:.3g}" for name, value in zip(found.names, target.tolist()) if value == value)


def look(pictures: Pictures, i: int) -> Look | str:
    """What is seen, or why nothing can be."""
    if isinstance(pictures.store, Pixels):
        pixels, mode = pictures.image(i).pixels, "L" if pictures.store.pixels.shape[1] == 1 else "RGB"
        return Look(pixels.shape[1], pixels.shape[2], mode, digest(pixels))
    path = pictures.store.root / pictures.name(i)
    try:
        pixels = read_image(path, pictures.channels)
        with opened(str(path), path, LARGEST) as image:
            mode = image.mode
    except DataError as error:
        return str(error)
    return Look(pixels.shape[1], pixels.shape[2], mode, digest(pixels))


def digest(pixels: Tensor) -> bytes:
    sha = blake2b(repr(tuple(pixels.shape)).encode(), digest_size=16)
    sha.update(pixels.contiguous().numpy().data)
    return sha.digest()


def equal(looks: dict[tuple[Split, int], Look]) -> list[list[tuple[Split, int]]]:
    """Groups of two and more with the same pixels."""
    groups: defaultdict[bytes, list[tuple[Split, int]]] = defaultdict(list)
    for member, seen in looks.items():
        groups[seen.digest].append(member)
    return [group for group in groups.values() if len(group) > 1]


def agree(found: PictureSet, group: list[tuple[Split, int]]) -> bool:
    targets = torch.stack([torch.as_tensor(found.splits[split].target(i)).double() for split, i in group])
    return torch.equal(targets.nan_to_num(-1), targets[:1].expand_as(targets).nan_to_num(-1))


def tally(found: PictureSet, pictures: Pictures) -> dict[str, int]:
    """Examples of each class, with each label, or with each number known."""
    if found.kind == "class":
        counts = np.bincount(pictures.targets, minlength=len(found.names))
    else:
        counts = (pictures.targets == 1 if found.kind == "labels" else ~np.isnan(pictures.targets)).sum(0)
    return dict(zip(found.names, counts.tolist()))


def ratio(counts: list[int]) -> float:
    return max(counts) / min(counts) if min(counts) else float("inf")


def spread(values: np.ndarray) -> tuple[int, int, int]:
    return int(values.min()), int(np.median(values)), int(values.max())
