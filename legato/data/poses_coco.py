"""COCO's key points: one JSON file a split, every annotation with `keypoints` a person (or whatever has joints).

Lin et al. 2014 (arXiv:1405.0312). Crowds, and people none of whose joints is known, are no examples.
"""

from pathlib import Path
from typing import Any

import numpy as np

from legato.data import coco
from legato.data.examples import SetAside
from legato.data.policy import SPLITS
from legato.data.poses import HIDDEN, UNKNOWN, VISIBLE, PosedPictures, PoseSet, skeleton_of
from legato.errors import DataError
from legato.task import Split
from legato.values import Skeleton

STATES = {0: UNKNOWN, 1: HIDDEN, 2: VISIBLE}


def recognises(path: Path) -> bool:
    """A file of key points, or a folder that holds nothing but such; beside boxes, they are asked for by name."""
    return holds(path) and (path.is_file() or not coco.files(path))


def holds(path: Path) -> bool:
    return bool(files(path))


def files(path: Path) -> dict[Split, Path]:
    """The file of each split: `path` itself, or those below it called …keypoints…."""
    if path.is_file():
        return {"train": path} if path.suffix == ".json" and has_joints(path) else {}
    found: dict[Split, Path] = {}
    for file in (
        f for folder in (path / "annotations", path) if folder.is_dir() for f in sorted(folder.glob("*.json"))
    ):
        words = coco.WORDS.findall(file.stem.lower())
        split = next((SPLITS[word] for word in words if word in SPLITS), None)
        if split and split not in found and "keypoints" in words and has_joints(file):
            found[split] = file
    return found


def has_joints(file: Path) -> bool:
    """By its first and last hundred kilobytes."""
    return coco.has_categories(file) and any(b'"keypoints"' in part for part in coco.ends(file))


def read(path: Path) -> PoseSet:
    """Reads every annotation once. Raises DataError for a file that is none, or splits that differ in their joints."""
    given = files(path)
    if "train" not in given:
        raise DataError(f"{path}: {', '.join(f.name for f in given.values())}, but none for training")
    set_aside: SetAside = []
    people = {split: everybody(path, file, set_aside) for split, file in given.items()}
    skeleton = people["train"].skeleton
    for split, found in people.items():
        if found.skeleton.names != skeleton.names:
            raise DataError(
                f"{given[split]}: its joints are not those of {given['train'].name}; make the two lists equal"
            )
    told = f"{', '.join(given)} from {', '.join(f.name for f in given.values())}"
    return PoseSet("coco_keypoints", skeleton, people, told, set_aside)


def everybody(path: Path, file: Path, set_aside: SetAside) -> PosedPictures:
    """All people of one file."""
    names: dict[int, str] = {}
    skeletons: list[Skeleton] = []
    found: list[tuple[int, list[float], np.ndarray]] = []
    for section, value, start, _ in coco.sections(file):
        try:
            if section == "images":
                names[int(value["id"])] = coco.utf8(value["file_name"])
            elif section == "categories" and value.get("keypoints"):
                skeletons.append(skeleton(value))
            elif section == "annotations" and value.get("num_keypoints") and not value.get("iscrowd"):
                joints = np.array(value["keypoints"], np.float32).reshape(-1, 3)
                found.append((int(value["image_id"]), [float(v) for v in value["bbox"]], joints))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{file}: an entry of {section} at byte {start:,} lacks or garbles {error}; mend it or take it out"
            ) from None
    if len(skeletons) != 1:
        raise DataError(f"{file}: {len(skeletons)} categories with key points; there must be one")
    return gathered(path, file, names, skeletons[0], found, set_aside)


def gathered(
    path: Path,
    file: Path,
    names: dict[int, str],
    body: Skeleton,
    found: list[tuple[int, list[float], np.ndarray]],
    set_aside: SetAside,
) -> PosedPictures:
    root = coco.pictures_folder(path, file, list(names.values()))
    files, boxes, joints = [], [], []
    for picture, (x, y, w, h), points in found:
        if picture not in names or len(points) != len(body.names) or not (w > 0 and h > 0):
            set_aside.append((f"{file.name}, picture {picture}", f"{file}: a person without box, joints or picture"))
            continue
        state = np.array([STATES.get(int(v), UNKNOWN) for v in points[:, 2]], np.float32)
        files.append(root / names[picture])
        boxes.append([x, y, x + w, y + h])
        joints.append(np.concatenate([points[:, :2], state[:, None]], axis=1))
    if not files:
        raise DataError(f"{file}: nobody with joints in it")
    return PosedPictures(tuple(files), np.stack(joints).astype(np.float32), body, np.array(boxes, np.float32))


def skeleton(category: dict[str, Any]) -> Skeleton:
    names = [coco.utf8(name).replace("_", " ") for name in category["keypoints"]]
    limbs = [(names[a - 1], names[b - 1]) for a, b in category.get("skeleton", ())]
    return skeleton_of(names, limbs)
