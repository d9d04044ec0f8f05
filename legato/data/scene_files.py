"""Drawn scenes as data sets in the formats that users have: one function a format, `write` for all."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import PIL.Image
import scipy.io

from legato.data import scenes
from legato.data.masks import write_mask
from legato.errors import UsageError, nearest
from legato.values import Image, Masks
from legato.values.masks import to_runs

Counts = dict[str, int]  # pictures of each split


def image_folder(root: Path, counts: Counts, seed: int, size: int, most: int) -> None:
    """<split>/<shape>/<number>.png: which shape is it?"""
    for split, number in numbered(counts):
        image, kind = scenes.one_shape(seed, number, size)
        save(image, root / split / scenes.SHAPES[kind] / f"{number:05}.png")


def voc(root: Path, counts: Counts, seed: int, size: int, most: int) -> None:
    """JPEGImages, Annotations, SegmentationClass and ImageSets: boxes and masks of the same pictures."""
    for split, number in numbered(counts):
        scene, stem = scenes.shapes(seed, number, size, most), f"{number:06}"
        save(scene.image, root / "JPEGImages" / f"{stem}.jpg")
        write_mask(root / "SegmentationClass" / f"{stem}.png", scene.labels)
        text(root / "Annotations" / f"{stem}.xml", annotation(stem, size, scene.instances))
        for task in ("Main", "Segmentation"):
            with added(root / "ImageSets" / task / f"{short(split)}.txt") as file:
                file.write(f"{stem}\n")


def annotation(stem: str, size: int, found: Masks) -> str:
    """One picture's boxes as Pascal VOC writes them."""
    objects = "".join(
        f"<object><name>{escape(found.boxes.names[label])}</name><difficult>0</difficult><bndbox>"
        f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>\n"
        for label, (x1, y1, x2, y2) in zip(found.boxes.labels.tolist(), found.boxes.to_voc())
    )
    dimensions = f"<size><width>{size}</width><height>{size}</height><depth>3</depth></size>"
    return f"<annotation>\n<filename>{stem}.jpg</filename>\n{dimensions}\n{objects}</annotation>\n"


def coco(root: Path, counts: Counts, seed: int, size: int, most: int) -> None:
    """<split>2017/ and annotations/instances_<split>2017.json, each instance with its box, area and runs."""
    splits: dict[str, dict[str, list[Any]]] = {}
    for split, number in numbered(counts):
        folder = f"{short(split)}2017"
        scene, name = scenes.shapes(seed, number, size, most), f"{number:012}.jpg"
        save(scene.image, root / folder / name)
        file = splits.setdefault(folder, {"images": [], "annotations": [], "categories": categories()})
        file["images"].append({"id": number, "file_name": name, "width": size, "height": size})
        file["annotations"] += instances(scene.instances, number, len(file["annotations"]))
    for folder, file in splits.items():
        text(root / "annotations" / f"instances_{folder}.json", json.dumps(file))


def categories() -> list[dict[str, Any]]:
    return [{"id": k, "name": name, "supercategory": "shape"} for k, name in enumerate(scenes.SHAPES, start=1)]


def instances(found: Masks, picture: int, known: int) -> list[dict[str, Any]]:
    return [
        {
            "id": known + i,
            "image_id": picture,
            "category_id": label + 1,
            "bbox": box,
            "area": int(bitmap.sum()),
            "segmentation": {"size": list(bitmap.shape), "counts": to_runs(bitmap)},
            "iscrowd": 0,
        }
        for i, (bitmap, label, box) in enumerate(
            zip(found.bitmaps, found.boxes.labels.tolist(), found.boxes.to_coco()), start=1
        )
    ]


def pairs(root: Path, counts: Counts, seed: int, size: int, most: int) -> None:
    """<split>/images and <split>/masks: where is the road?"""
    for split, number in numbered(counts):
        image, labels = scenes.roads(seed, number, size, most)
        save(image, root / split / "images" / f"{number:05}.png")
        mask = PIL.Image.fromarray(labels.labels.numpy() * 255)
        folder(root / split / "masks" / f"{number:05}.png")
        mask.save(root / split / "masks" / f"{number:05}.png")


def lsp(root: Path, counts: Counts, seed: int, size: int, most: int) -> None:
    """images/im0001.jpg … and joints.mat, (14, 3, n), as the Leeds Sports Pose set has them; train, valid, test follow
    one another."""
    joints = []
    for place, (_, number) in enumerate(numbered(counts), start=1):
        image, found = scenes.person(seed, number, size)
        save(image, root / "images" / f"im{place:04}.jpg")
        joints.append(np.concatenate([found.points[0].numpy(), found.visible[0, :, None].numpy()], axis=1))
    scipy.io.savemat(root / "joints.mat", {"joints": np.stack(joints, axis=2).astype(np.float32)})


FORMATS: dict[str, Callable[[Path, Counts, int, int, int], None]] = {
    "image_folder": image_folder,
    "voc": voc,
    "coco": coco,
    "pairs": pairs,
    "lsp": lsp,
}


def write(
    format: str,
    root: str | Path,
    train: int = 160,
    valid: int = 20,
    test: int = 20,
    seed: int = 0,
    size: int = 96,
    most: int = 5,
) -> Path:
    """A set of drawn pictures, each `size` × `size` pixels with at most `most` shapes, below an empty or new folder.

    image_folder: to classify; voc, coco: to detect and to segment; pairs: roads, to segment; lsp: poses.
    Raises UsageError for another format, or a folder that holds something.
    """
    if format not in FORMATS:
        raise UsageError(f"no format of drawn scenes called {format!r}{nearest(format, FORMATS)}")
    root = Path(root)
    if root.exists() and any(root.iterdir()):
        raise UsageError(f"{root} holds something already: name a new folder")
    root.mkdir(parents=True, exist_ok=True)
    FORMATS[format](root, {"train": train, "valid": valid, "test": test}, seed, size, most)
    return root


def numbered(counts: Counts) -> Iterable[tuple[str, int]]:
    """Every split's scenes; none is in two."""
    splits = [split for split, count in counts.items() for _ in range(count)]
    return zip(splits, range(len(splits)))


def short(split: str) -> str:
    """VOC and COCO say val."""
    return "val" if split == "valid" else split


def folder(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def added(file: Path) -> Any:
    return folder(file).open("a")


def text(file: Path, content: str) -> None:
    folder(file).write_text(content)


def save(image: Image, file: Path) -> None:
    PIL.Image.fromarray(image.pixels.permute(1, 2, 0).numpy()).save(folder(file), quality=95)
