"""Pictures with a class for each pixel. Recognised by what lies in the folder:

lists     train.txt, val.txt, test.txt: a picture and its mask a line (CamVid as SegNet has it); names in classes.txt
voc       JPEGImages/, SegmentationClass/, ImageSets/Segmentation/*.txt (Pascal VOC)
pairs     <split>/images/ and <split>/masks/ (or groundtruth, labels, annotations), or without splits; the same stem
coco      boxes with outlines, when masks are asked for by name: what no outline covers is `background`

A mask is an index PNG (255, or any index that has no name, is unknown), black and white, or colours with a legend:
`name,r,g,b` a line in class_dict.csv, classes.csv or legend.csv, or `r g b name` in label_colors.txt.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

from legato.data import annotated, coco
from legato.data.annotated import BROKEN, Annotated, AnnotatedSet
from legato.data.decode import ENDINGS, read_image, with_channels
from legato.data.examples import SetAside
from legato.data.legends import Legend, legend
from legato.data.policy import SPLITS, TENTHS
from legato.data.splits import deal, hold_out, parse_fold, shares, who_validates
from legato.errors import DataError
from legato.picture.overlays import palette
from legato.task import Split
from legato.values import VOID, Image, LabelMap

Pair = tuple[Path, Path]  # a picture and its mask
MASK_FOLDERS = ("masks", "mask", "groundtruth", "labels", "annotations", "labelmaps", "segmentation")
PICTURE_FOLDERS = ("images", "image", "imgs", "pictures")


@dataclass(frozen=True, eq=False)
class MaskedPictures(Sequence[tuple[Image, LabelMap]]):
    """Pictures and their label maps, read when they are asked for."""

    pairs: tuple[Pair, ...]
    legend: Legend
    channels: int = 3

    def __len__(self) -> int:
        return len(self.pairs)

    def name(self, i: int) -> str:
        return self.pairs[i][0].name

    @property
    def identity(self) -> list[tuple[str, str]]:
        """What changes when they do; contents are not read."""
        return [(picture.name, mask.name) for picture, mask in self.pairs]

    def __getitem__(self, i: int) -> tuple[Image, LabelMap]:  # type: ignore[override]
        """Raises DataError for a broken file, or a mask that is not as large as its picture."""
        picture, mask = self.pairs[i]
        image, labels = Image(read_image(picture, self.channels), str(picture)), self.legend.read(mask)
        if image.pixels.shape[1:] != labels.labels.shape:
            sizes = [" × ".join(map(str, reversed(t.shape[-2:]))) for t in (image.pixels, labels.labels)]
            raise DataError(f"{mask}: {sizes[1]} pixels, but its picture has {sizes[0]}; make them equal")
        return image, labels


@dataclass(frozen=True, eq=False)
class OutlinedPictures(Sequence[tuple[Image, LabelMap]]):
    """Pictures with outlined objects as label maps: small objects over large ones, crowds unknown."""

    pictures: Annotated
    names: tuple[str, ...]  # background, and the classes of the objects
    channels: int = 3

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> tuple[Image, LabelMap]:  # type: ignore[override]
        image, found = self.pictures.image(i), self.pictures.masks(i)
        labels = torch.zeros(image.pixels.shape[1:], dtype=torch.uint8)
        for k in found.bitmaps.flatten(1).sum(1).argsort(descending=True, stable=True).tolist():
            sure = bool(found.boxes.scores[k] > 0)
            labels[found.bitmaps[k]] = int(found.boxes.labels[k]) + 1 if sure else VOID
        return Image(with_channels(image.pixels, self.channels), image.source), LabelMap(labels, self.names)

    def name(self, i: int) -> str:
        return self.pictures.name(i)

    @property
    def identity(self) -> list[str]:
        objects = self.pictures.objects
        sha = hashlib.sha256(objects.corners.tobytes() + objects.labels.tobytes()).hexdigest()
        return [sha, *self.pictures.names_of_pictures()]


@dataclass(frozen=True, eq=False)
class MaskSet:
    """A data set as read: its format, its classes, the pictures of each split, and where the splits came from."""

    format: str
    names: tuple[str, ...]
    splits: dict[Split, MaskedPictures] | dict[Split, OutlinedPictures]
    policy: str
    set_aside: SetAside = field(default_factory=list)

    @cached_property
    def fingerprint(self) -> str:
        """A sha256 that changes with the names, the pairs and the splits. Contents are not read."""
        sha = hashlib.sha256(repr(self.names).encode())
        for split, examples in self.splits.items():
            sha.update(repr((split, examples.identity)).encode())
        return sha.hexdigest()


def recognises(path: Path) -> bool:
    """Whether this folder holds pictures with masks. COCO's outlines are masks only if they are asked for by name."""
    if not path.is_dir():
        return False
    by_hand = any(find(path) is not None for find in (lists, voc))
    return by_hand or (pairs(path) is not None and not coco.files(path))  # beside boxes, masks number instances


def read(path: str | Path, fold: str = "") -> MaskSet:
    """The pictures and masks there, in three splits; `fold`: "2/5", the second of five.

    Raises DataError for a folder that holds none, or where a picture has no mask.
    """
    root, set_aside = Path(path), SetAside()
    if not root.exists():
        raise DataError(f"{root}: no such folder")
    for format, find in (("lists", lists), ("voc", voc), ("pairs", pairs)) if root.is_dir() else ():
        if (found := find(root)) is not None:
            there = {split: present(own, set_aside) for split, own in found.items()}
            meaning = legend(root, [mask for own in there.values() for _, mask in own])
            return complete(format, there, meaning, fold, set_aside)
    if coco.recognises(root):
        return from_outlines(annotated.read(root, fold))
    raise DataError(
        f"{root}: no pictures with masks; legato reads lists (train.txt), Pascal VOC (SegmentationClass), "
        "images/ beside masks/, and COCO's outlines"
    )


def present(pairs: list[Pair], set_aside: SetAside) -> list[Pair]:
    """Those of which both files are there. Raises DataError if more than 1 % are not."""
    missing = {pair: file for pair in pairs for file in reversed(pair) if not file.is_file()}
    set_aside += [
        (f"{p.name}, {m.name}", f"{file}: listed, or needed, but there is no such file")
        for (p, m), file in missing.items()
    ]
    if len(missing) > max(1, BROKEN * len(pairs)):
        first = next(iter(missing.values()))
        raise DataError(f"{len(missing)} of {len(pairs)} pictures or masks are missing, the first: {first}")
    return [pair for pair in pairs if pair not in missing]


def from_outlines(found: AnnotatedSet) -> MaskSet:
    """Raises DataError for objects without outlines, or more classes than a byte can number."""
    if not found.outlined:
        raise DataError(f"{found.format}: boxes only, no outlines; `legato train detect` finds boxes")
    names = ("background", *found.names)
    if len(names) > VOID:
        raise DataError(f"{found.format}: {len(names)} classes; a mask tells up to {VOID} apart")
    splits: dict[Split, OutlinedPictures] = {s: OutlinedPictures(part, names) for s, part in found.splits.items()}
    return MaskSet(found.format, names, splits, found.policy, found.set_aside)


# the three ways to say which mask belongs to which picture
def lists(root: Path) -> dict[str, list[Pair]] | None:
    """A picture and a mask a line; paths are relative to the folder."""
    found = {}
    for file in sorted(root.glob("*.txt")):
        if file.stem in SPLITS:
            rows = [line.split() for line in file.read_text().splitlines() if line.strip()]
            if not rows or any(len(row) != 2 for row in rows):
                return None
            found[SPLITS[file.stem]] = [(root / picture, root / mask) for picture, mask in rows]
    return found or None  # type: ignore[return-value]


def voc(root: Path) -> dict[str, list[Pair]] | None:
    """The stems of the pictures a line."""
    if not (root / "SegmentationClass").is_dir():
        return None
    found = {}
    for file in sorted((root / "ImageSets" / "Segmentation").glob("*.txt")):
        if file.stem in SPLITS:
            found[SPLITS[file.stem]] = [
                (root / "JPEGImages" / f"{stem}.jpg", root / "SegmentationClass" / f"{stem}.png")
                for stem in file.read_text().split()
            ]
    return found or {"": paired(root / "JPEGImages", root / "SegmentationClass")}  # type: ignore[return-value]


def pairs(root: Path) -> dict[str, list[Pair]] | None:
    """A folder of pictures beside a folder of masks, in each split's folder or in one."""
    found = {SPLITS[f.name]: two_folders(f) for f in sorted(root.iterdir()) if f.is_dir() and f.name in SPLITS}
    if any(found.values()):
        return {split: paired(*folders) for split, folders in found.items() if folders}
    folders = two_folders(root)
    return {"": paired(*folders)} if folders else None


def two_folders(root: Path) -> tuple[Path, Path] | None:
    pictures = next((root / name for name in PICTURE_FOLDERS if (root / name).is_dir()), None)
    masks = next((root / name for name in MASK_FOLDERS if has_pictures(root / name)), None)
    return (pictures, masks) if pictures and masks else None


def has_pictures(folder: Path) -> bool:
    """Whether it is a folder with a picture in it: YOLO's labels/ is none."""
    return folder.is_dir() and any(file.suffix.lower() in ENDINGS for file in folder.iterdir())


def paired(pictures: Path, masks: Path) -> list[Pair]:
    """By stem; a mask's may end in _mask, _label or _gt. A mask without a picture is paired with the one it lacks.

    Raises DataError for a picture without a mask.
    """
    by_stem = {stem_of(p): p for p in sorted(masks.iterdir()) if p.suffix.lower() in ENDINGS}
    found = [p for p in sorted(pictures.iterdir()) if p.suffix.lower() in ENDINGS]
    if without := [p for p in found if p.stem not in by_stem]:
        raise DataError(f"{without[0]}: no mask of that name in {masks} ({len(without)} of {len(found)} pictures)")
    stems = {p.stem for p in found}
    return [(p, by_stem[p.stem]) for p in found] + [
        (pictures / f"{stem}.*", mask) for stem, mask in by_stem.items() if stem not in stems
    ]


def stem_of(mask: Path) -> str:
    for tail in ("_mask", "_label", "_labels", "_gt"):
        if mask.stem.endswith(tail):
            return mask.stem.removesuffix(tail)
    return mask.stem


# splits
def complete(format: str, found: dict[str, list[Pair]], legend: Legend, fold: str, set_aside: SetAside) -> MaskSet:
    """All three splits; what is missing is a tenth of train by the hash of each name."""
    policy = "splits as they were found"
    if "" in found:
        parts = part([p for p, _ in found[""]], 2)
        found = {split: chosen(found[""], parts == k) for k, split in enumerate(("train", "valid", "test"))}
        policy = TENTHS
    train, valid = found.get("train", []), found.get("valid", [])
    if fold:
        number, folds = parse_fold(fold)
        dealt = deal(shares(p.name for p, _ in (*train, *valid)), np.zeros(len(train) + len(valid)), folds)
        train, valid = chosen([*train, *valid], dealt != number), chosen([*train, *valid], dealt == number)
        policy += f"; then train and valid were dealt anew: {who_validates(fold)}"
    elif not valid:
        parts = part([p for p, _ in train], 1)
        train, valid = chosen(train, parts == 0), chosen(train, parts == 1)
        policy += "; valid is the last tenth of train by the hash of each name"
    if not train:
        raise DataError(f"{format}: no training pictures")
    if not found.get("test"):
        policy += "; there is no test split"
    splits: dict[Split, list[Pair]] = {"train": train, "valid": valid, "test": found.get("test", [])}
    pictures = {k: MaskedPictures(tuple(v), legend) for k, v in splits.items()}
    return MaskSet(format, legend.names, pictures, policy, set_aside)


def part(pictures: Iterable[Path], parts: int) -> np.ndarray:
    of_each = shares(p.name for p in pictures)
    return hold_out(of_each, np.zeros(len(of_each)), parts)


def chosen(all_pairs: Sequence[Pair], which: np.ndarray) -> list[Pair]:
    return [pair for pair, taken in zip(all_pairs, which.tolist()) if taken]


def in_colours(found: MaskSet, channels: int) -> MaskSet:
    """Pictures read as grey (1) or colours (3)."""
    splits: Any = {k: replace(v, channels=channels) for k, v in found.splits.items()}
    return replace(found, splits=splits)


# writing
def write_mask(path: Path, labels: LabelMap) -> Path:
    """An index PNG with the colours of the overlays, as Pascal VOC has them."""
    image = PIL.Image.fromarray(labels.labels.numpy(), "P")
    image.putpalette(palette())
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path
