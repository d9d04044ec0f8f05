"""Drawn scenes as data sets in the formats that users have: one function a format, `write` for all, `make` by task."""

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
    """JPEGImages, Annotations and ImageSets/Main: boxes, as Pascal VOC has them."""
    for split, number in numbered(counts):
        scene, stem = scenes.shapes(seed, number, size, most), f"{number:06}"
        save(scene.image, root / "JPEGImages" / f"{stem}.jpg")
        text(root / "Annotations" / f"{stem}.xml", annotation(stem, size, scene.instances))
        append(root / "ImageSets" / "Main" / f"{short(split)}.txt", f"{stem}\n")


def voc_masks(root: Path, counts: Counts, seed: int, size: int, most: int) -> None:
    """JPEGImages, SegmentationClass, ImageSets/Segmentation, and classes.txt: a class for each pixel."""
    text(root / "classes.txt", "\n".join(("background", *scenes.SHAPES, "")))
    for split, number in numbered(counts):
        scene, stem = scenes.shapes(seed, number, size, most), f"{number:06}"
        save(scene.image, root / "JPEGImages" / f"{stem}.jpg")
        write_mask(root / "SegmentationClass" / f"{stem}.png", scene.labels)
        append(root / "ImageSets" / "Segmentation" / f"{short(split)}.txt", f"{stem}\n")


def yolo_txt(root: Path, counts: Counts, seed: int, size: int, most: int) -> None:
    """images/<split>, labels/<split> and data.yaml: boxes as shares of the picture's sides."""
    names = "".join(f"  {k}: {name}\n" for k, name in enumerate(scenes.SHAPES))
    text(root / "data.yaml", f"path: .\ntrain: images/train\nval: images/val\ntest: images/test\nnames:\n{names}")
    for split, number in numbered(counts):
        scene, stem = scenes.shapes(seed, number, size, most), f"{number:06}"
        boxes = zip(scene.boxes.labels.tolist(), scene.boxes.to_yolo(size, size))
        lines = (f"{label} {' '.join(f'{v:.6f}' for v in box)}\n" for label, box in boxes)
        save(scene.image, root / "images" / short(split) / f"{stem}.jpg")
        text(root / "labels" / short(split) / f"{stem}.txt", "".join(lines))


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


def frames(root: Path, counts: Counts, seed: int, size: int, most: int) -> None:
    """<split>/<motion>/<number>/<frame>.png, as sets of activities have them; boxes.csv says where the shape is."""
    append(root / "boxes.csv", "frame,motion,x1,y1,x2,y2\n")
    for split, number in numbered(counts):
        pictures, boxes = scenes.motion(seed, number, size)
        name = scenes.MOTIONS[int(boxes.labels[0])]
        for k, (picture, box) in enumerate(zip(pictures, boxes.xyxy.tolist())):
            file = root / split / name / f"{number:05}" / f"{k:02}.png"
            save(picture, file)
            append(root / "boxes.csv", f"{file.relative_to(root)},{name},{','.join(f'{v:g}' for v in box)}\n")


FORMATS: dict[str, Callable[[Path, Counts, int, int, int], None]] = {
    "image_folder": image_folder,
    "voc": voc,
    "voc_masks": voc_masks,
    "coco": coco,
    "yolo_txt": yolo_txt,
    "pairs": pairs,
    "lsp": lsp,
    "frames": frames,
}
OF_TASK: dict[str, tuple[str, ...]] = {  # the forms a task's scenes may be written in, the usual one first
    "classify": ("image_folder",),
    "segment": ("voc_masks", "pairs"),
    "localize": ("voc", "coco", "yolo_txt"),
    "pose": ("lsp",),
    "detect": ("coco", "voc", "yolo_txt"),
    "instances": ("coco",),
    "motions": ("frames",),
}
LEAST, SMALLEST = 40, 48  # so that each split has every class, and no shape is too small to be seen
MANY = {"localize": 1}  # shapes on a picture, where not up to five


def make(root: str | Path, task: str, count: int = 200, seed: int = 0, size: int = 96, format: str = "") -> Path:
    """`count` drawn pictures to try a task on: four fifths to train, a tenth each to validate and to test.

    Raises UsageError for a task without scenes, a format the task does not read, or a folder that holds something.
    """
    if task not in OF_TASK:
        raise UsageError(f"no scenes are drawn for {task!r}{nearest(task, OF_TASK)}")
    if count < LEAST or size < SMALLEST:
        raise UsageError(
            f"{count} pictures of {size} × {size}: there must be {LEAST} or more, at least {SMALLEST} wide"
        )
    format = format or OF_TASK[task][0]
    if format not in OF_TASK[task]:
        raise UsageError(f"scenes to {task} are written as {' or '.join(OF_TASK[task])}, not as {format}")
    tenth = count // 10
    return write(format, root, count - 2 * tenth, tenth, tenth, seed, size, MANY.get(task, 5))


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

    image_folder: to classify; voc, coco, yolo_txt: to detect; voc_masks, and pairs (roads): to segment; lsp: poses;
    frames: short motions.
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


def append(file: Path, content: str) -> None:
    with folder(file).open("a") as f:
        f.write(content)


def text(file: Path, content: str) -> None:
    folder(file).write_text(content)


def save(image: Image, file: Path) -> None:
    PIL.Image.fromarray(image.pixels.permute(1, 2, 0).numpy()).save(folder(file), quality=95)
