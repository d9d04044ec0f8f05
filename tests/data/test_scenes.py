import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import PIL.Image
import pytest
import scipy.io
import torch

from legato.api import detect_task
from legato.data import annotated, detect, masks, scene_files, scenes
from legato.errors import UsageError
from legato.task import TASKS
from legato.values import turning
from legato.values.boxes import from_coco, from_voc
from legato.values.masks import around, from_runs


def test_a_scene_is_a_function_of_seed_and_number() -> None:
    a, b = scenes.shapes(1, 7), scenes.shapes(1, 7)
    assert torch.equal(a.image.pixels, b.image.pixels)
    assert a.instances == b.instances
    assert not torch.equal(scenes.shapes(2, 7).image.pixels, a.image.pixels)


@pytest.mark.parametrize("number", range(6))
def test_truth_is_exact_and_nothing_overlaps(number: int) -> None:
    scene = scenes.shapes(3, number)
    assert scene.instances.bitmaps.sum(0).max() <= 1
    for bitmap, box in zip(scene.instances.bitmaps, scene.boxes.xyxy.tolist()):
        assert around(bitmap) == box
        inner = bitmap[1:-1, 1:-1] & bitmap[:-2, 1:-1] & bitmap[2:, 1:-1] & bitmap[1:-1, :-2] & bitmap[1:-1, 2:]
        colours = scene.image.pixels[:, 1:-1, 1:-1][:, inner].float()
        if colours.shape[1] > 20:
            assert colours.std(dim=1).max() < 0.06 * 255  # one colour and the camera's noise, no ground
    assert torch.equal(scene.labels.labels > 0, scene.instances.bitmaps.any(0))


def test_joints_lie_on_their_limbs() -> None:
    image, found = scenes.person(0, 3)
    names = found.skeleton.names
    assert found.visible.all()
    for name, warm in (("right knee", True), ("left knee", False), ("right elbow", True), ("left elbow", False)):
        x, y = found.points[0, names.index(name)].long().tolist()
        red, _, blue = image.pixels[:, y, x].tolist()
        assert (red > blue) == warm


def test_roads_are_grey() -> None:
    image, labels = scenes.roads(0, 1)
    on_road = image.pixels[:, labels.labels == 1].float()
    assert 0.02 < labels.shares()["road"] < 0.6
    assert (on_road.mean(1) / 255 - torch.tensor([0.55, 0.55, 0.57])).abs().max() < 0.03


def test_a_folder_of_classes(tmp_path: Path) -> None:
    root = scene_files.write("image_folder", tmp_path / "a", train=8, valid=4, test=4, size=32)
    found = detect.read(root)
    assert found.names == tuple(sorted(scenes.SHAPES))
    assert [len(found.splits[s]) for s in ("train", "valid", "test")] == [8, 4, 4]


def test_voc_has_boxes(tmp_path: Path) -> None:
    root = scene_files.write("voc", tmp_path / "a", train=3, valid=1, test=1, size=64)
    assert (root / "ImageSets/Main/train.txt").read_text().split() == ["000000", "000001", "000002"]
    scene = scenes.shapes(0, 1, 64)
    tree = ElementTree.parse(root / "Annotations/000001.xml").getroot()
    corners = [
        [int(o.findtext(f"bndbox/{k}", "")) for k in ("xmin", "ymin", "xmax", "ymax")] for o in tree.iter("object")
    ]
    labels = [scenes.SHAPES.index(o.findtext("name", "")) for o in tree.iter("object")]
    assert from_voc(corners, labels, scenes.SHAPES) == scene.boxes


def test_voc_has_masks(tmp_path: Path) -> None:
    found = masks.read(scene_files.write("voc_masks", tmp_path / "a", train=3, valid=1, test=1, size=64))
    assert (found.format, found.names) == ("voc", ("background", *scenes.SHAPES))
    assert torch.equal(found.splits["train"][1][1].labels, scenes.shapes(0, 1, 64).labels.labels)


def test_yolo_has_shares_of_the_sides(tmp_path: Path) -> None:
    found = annotated.read(scene_files.write("yolo_txt", tmp_path / "a", train=3, valid=1, test=1, size=64))
    assert (found.format, found.names) == ("yolo_txt", scenes.SHAPES)
    own = scenes.shapes(0, 1, 64).boxes
    assert torch.allclose(found.splits["train"].boxes(1).xyxy, own.xyxy, atol=1e-3)
    assert torch.equal(found.splits["train"].boxes(1).labels, own.labels)


@pytest.mark.parametrize("task", [task for task in scene_files.OF_TASK if task in TASKS])
def test_every_task_recognises_its_scenes_and_no_other(task: str, tmp_path: Path) -> None:
    """Of detect and instances, and of detect and localize, the data are the same: those are asked for by name."""
    for format in scene_files.OF_TASK[task]:
        root = scene_files.make(tmp_path / format, task, count=40, seed=1, size=48, format=format)
        found = detect_task(str(root))
        assert found == {"instances": "detect", "localize": "detect"}.get(task, task)
        adapted = TASKS[task](data=str(root)).adapt()
        assert sum(len(adapted.examples(split)) for split in ("train", "valid", "test")) == 40
        assert len(adapted.about()) >= 2
        assert f"{len(adapted.examples('train')):,} train" in adapted.about()[0]


def test_what_is_made_says_what_it_cannot(tmp_path: Path) -> None:
    for choices, said in (
        ({"task": "detekt"}, "did you mean detect"),
        ({"task": "pose", "format": "voc"}, "written as lsp, not as voc"),
        ({"task": "pose", "count": 3}, "there must be 40 or more"),
    ):
        with pytest.raises(UsageError, match=said):
            scene_files.make(tmp_path / "a", **choices)  # type: ignore[arg-type]


def test_coco_has_boxes_and_runs(tmp_path: Path) -> None:
    root = scene_files.write("coco", tmp_path / "a", train=3, valid=1, test=0, size=64)
    file = json.loads((root / "annotations/instances_train2017.json").read_text())
    assert [p["file_name"] for p in file["images"]] == sorted(p.name for p in (root / "train2017").iterdir())
    scene = scenes.shapes(0, 2, 64)
    own = [a for a in file["annotations"] if a["image_id"] == 2]
    assert from_coco([a["bbox"] for a in own], [a["category_id"] - 1 for a in own], scenes.SHAPES) == scene.boxes
    for annotation, bitmap in zip(own, scene.instances.bitmaps):
        runs = annotation["segmentation"]
        assert torch.equal(from_runs(runs["counts"], *runs["size"]), bitmap)
    assert len({a["id"] for a in file["annotations"]}) == len(file["annotations"])


def test_pairs_and_poses(tmp_path: Path) -> None:
    roads = masks.read(scene_files.write("pairs", tmp_path / "a", train=3, valid=1, test=1, size=48))
    assert [len(s) for s in roads.splits.values()] == [3, 1, 1]
    assert torch.equal(roads.splits["valid"][0][1].labels, scenes.roads(0, 3, 48, 5)[1].labels)
    root = scene_files.write("lsp", tmp_path / "b", train=3, valid=1, test=1, size=48)
    joints = scipy.io.loadmat(root / "joints.mat")["joints"]
    assert joints.shape == (14, 3, 5)
    np.testing.assert_allclose(joints[:, :2, 4], scenes.person(0, 4, 48)[1].points[0].numpy())
    with PIL.Image.open(root / "images/im0005.jpg") as image:
        assert image.size == (48, 48)


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean coco"):
        scene_files.write("cocoa", tmp_path / "a")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="holds something already"):
        scene_files.write("voc", tmp_path)


def test_motions_are_what_they_are_called(tmp_path: Path) -> None:
    """The middle of the box goes where the name says, its sides grow or shrink, and it stays on the picture."""
    for number in range(16):
        pictures, boxes = scenes.motion(3, number, 64)
        name, (x1, y1, x2, y2) = scenes.MOTIONS[int(boxes.labels[0])], boxes.xyxy.T
        assert len(pictures) == len(boxes) == 12
        assert torch.stack([x1, y1]).min() >= 0
        assert torch.stack([x2, y2]).max() <= 64
        right, down = ((a + b)[-1] / 2 - (a + b)[0] / 2 for a, b in ((x1, x2), (y1, y2)))
        larger = ((x2 - x1) * (y2 - y1))[-1] / ((x2 - x1) * (y2 - y1))[0]
        told = {"left": -right, "right": right, "up": -down, "down": down}.get(name)
        assert max(abs(right), abs(down)) <= 5 if told is None else told > 8
        assert {"larger": larger > 2, "smaller": larger < 1 / 2}.get(name, 0.6 < larger < 1.6)
    turned = {scenes.MOTIONS[n]: scenes.motion(0, n, 64)[0] for n in (6, 7)}
    for name, frames in turned.items():
        first, second = (f.pixels.float() for f in frames[4:6])
        angles = [np.degrees(-0.12), np.degrees(0.12)]  # turned counter-clockwise by so much, which fits better?
        middle = scenes.motion(0, scenes.MOTIONS.index(name), 64)[1].xyxy[4]
        dx, dy = (32 - float(middle[i] + middle[i + 2]) / 2 for i in (0, 1))
        centred = [torch.roll(x, (round(dy), round(dx)), (1, 2))[:, 18:46, 18:46] for x in (first, second)]
        errors = [(turning.turned(centred[0], a) - centred[1])[:, 6:-6, 6:-6].square().mean() for a in angles]
        assert (errors[0] < errors[1]) == (name == "clockwise")
    root = scene_files.make(tmp_path / "motions", "motions", count=40, size=48)
    assert len(list(root.glob("train/*/*/*.png"))) == 32 * 12
    assert len((root / "boxes.csv").read_text().splitlines()) == 1 + 40 * 12
