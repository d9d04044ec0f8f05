"""Joints from tables and COCO, masks from outlines, masks that number objects, and what `legato data` says of them."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from legato.cli import main
from legato.data import annotated, masks, poses, scene_files, survey_where
from legato.errors import DataError
from legato.metrics import pose as measures
from legato.tasks.pose import Pose
from legato.values.keypoints import LSP, Skeleton

NAMES = ("left eye", "right eye", "tail")


def paint(file: Path, width: int = 40, height: int = 30, value: int = 90) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (width, height), (value, value, value)).save(file)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    lines = ["file,left_eye_x,left_eye_y,right_eye_x,right_eye_y,tail_x,tail_y,tail_visible,split"]
    for i in range(12):
        paint(tmp_path / "images" / f"{i}.png", value=10 * i)
        tail = ",," if i == 1 else f"{i},20,{i % 2}"
        lines.append(f"{i}.png,5,6,15.5,6,{tail},{'test' if i > 9 else 'train'}")
    (tmp_path / "joints.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_joints_from_a_table(table: Path) -> None:
    found = poses.read(table)
    assert (found.format, found.skeleton.names) == ("csv", NAMES)
    assert found.skeleton.mirrored == [1, 0, 2]
    assert [len(s) for s in found.splits.values()] == [9, 1, 2]
    every = {p.name: j for s in found.splits.values() for p, j in zip(s.files, s.joints)}
    assert every["1.png"][:, 2].tolist() == [1, 1, -1]
    assert every["4.png"].tolist() == [[5, 6, 1], [15.5, 6, 1], [4, 20, 0]]
    task = Pose(data=str(table), trunk="[conv4-relu-pool]*5-fc", size=32).adapt()
    inputs, targets = task.batch(task.examples("train"), range(9), None)
    assert int(targets.isnan().all(dim=-1).sum()) == 1
    step = task.loss(task.build(), inputs, targets, None)
    assert all(v.isfinite() for v in step.values.values())
    assert step.weight == 2 * (3 * 9 - 1)


def test_joints_nobody_knows_are_not_measured() -> None:
    """Eyes 10 apart in a box of 10 × 14: its longer side is the measure; 2.8 off is near, 2.9 is not."""
    skeleton = Skeleton(NAMES, ())
    truth = torch.tensor([[[0.0, 0], [10, 0], [5, 14]], [[0, 0], [10, 14], [torch.nan, torch.nan]]])
    said = truth.nan_to_num(3)
    said[0, 0, 0], said[0, 1, 0] = 2.79, 12.81
    found = measures.scores(measures.tally(said, truth, skeleton), skeleton)
    assert found["pck@0.2"] == pytest.approx(4 / 5)
    assert found["pdj@0.2/eye"] == pytest.approx(3 / 4)
    assert found["pdj@0.2/tail"] == 1
    assert "pcp@0.5" not in found


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0.png,5,six,1,2,3,4,1,train", "line 2: could not convert"),
        ("0.png,5,,1,2,3,4,1,train", "line 2: could not convert"),
        ("0.png,5,6,1,2,3,4,1,tain", "line 2: split 'tain'"),
        ("0.png,5", "line 2: list index"),
    ],
)
def test_a_broken_table_is_told_by_line(table: Path, line: str, said: str) -> None:
    lines = (table / "joints.csv").read_text().splitlines()
    (table / "joints.csv").write_text("\n".join([lines[0], line]))
    with pytest.raises(DataError, match=said):
        poses.read(table)


def keypoint_file(folder: Path, people: list[dict[str, object]], split: str = "train") -> Path:
    category = {"id": 1, "name": "bird", "keypoints": ["left_eye", "right_eye", "tail"], "skeleton": [[1, 3], [2, 3]]}
    images = []
    for i in range(12):
        paint(folder / split / f"{i}.png", value=20 * i)
        images.append({"id": i, "file_name": f"{i}.png", "height": 30, "width": 40})
    file = folder / "annotations" / f"person_keypoints_{split}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"annotations": people, "images": images, "categories": [category]}))
    return file


def bird(picture: int, **other: object) -> dict[str, object]:
    joints = [8, 9, 2, 12, 9, 1, 0, 0, 0]
    return {
        "image_id": picture,
        "category_id": 1,
        "bbox": [4, 5, 16, 20],
        "num_keypoints": 2,
        "keypoints": joints,
    } | other


def test_joints_from_coco_are_cut_out_with_some_room(tmp_path: Path) -> None:
    people = [*(bird(i) for i in range(12)), bird(0, iscrowd=1), bird(0, num_keypoints=0), bird(99)]
    file = keypoint_file(tmp_path, people)
    for path in (tmp_path, file):
        found = poses.read(path)
        assert found.skeleton == Skeleton(NAMES, (("left eye", "tail"), ("right eye", "tail")))
        assert sum(len(s) for s in found.splits.values()) == 12
        assert len(found.set_aside) == 1  # on a picture the file does not list
    image, person = found.splits["train"][0]
    assert image.pixels.shape[1:] == (26, 20)  # 2 and 2.5 pixels of room on each side of 16 × 20, y from ⌊2.5⌋ to 28
    assert person.points[0].tolist()[:2] == [[6, 7], [10, 7]]
    assert (person.visible[0].tolist(), person.scores[0].tolist()) == ([True, False, False], [1, 1, 0])


def test_beside_boxes_joints_are_asked_for_by_name(tmp_path: Path) -> None:
    root = scene_files.make(tmp_path / "a", "detect", count=40, size=48)
    keypoint_file(root, [bird(i) for i in range(12)])
    assert not poses.recognises(root)
    assert poses.read(root).format == "coco_keypoints"


def test_masks_from_outlines(tmp_path: Path) -> None:
    root = scene_files.make(tmp_path / "a", "instances", count=40, size=48, seed=3)
    found, boxes = masks.read(root), annotated.read(root)
    assert not masks.recognises(root)
    assert found.names == ("background", "disc", "square", "triangle", "star")
    for i in range(3):
        image, labels = found.splits["train"][i]
        outlined = boxes.splits["train"].masks(i)
        for bitmap, label in zip(outlined.bitmaps, outlined.boxes.labels.tolist()):
            assert (labels.labels[bitmap] == label + 1).all()
        assert (labels.labels == 0).equal(~outlined.bitmaps.any(0))
        assert image.pixels.shape[1:] == labels.labels.shape
    assert found.fingerprint != masks.read(scene_files.make(tmp_path / "b", "instances", 40, 4, 48)).fingerprint


def numbered(root: Path, count: int, objects: int) -> None:
    for i in range(count):
        paint(root / "images" / f"{i}.png", 32, 32, value=i)
        ids = np.zeros((32, 32), np.uint8)
        for k in range(objects + i):
            ids[k % 30 : k % 30 + 2, 4 * (k // 30) : 4 * (k // 30) + 3] = k + 1
        (root / "masks").mkdir(exist_ok=True)
        PIL.Image.fromarray(ids).save(root / "masks" / f"{i}.png")


def test_masks_that_number_objects_are_instances_not_classes(tmp_path: Path) -> None:
    numbered(tmp_path, 12, objects=22)
    with pytest.raises(
        DataError, match=r"number objects, up to 33 in a picture, not classes; `legato train instances`"
    ):
        masks.read(tmp_path)
    found = annotated.read(tmp_path)
    assert (found.format, found.outlined, sum(len(s) for s in found.splits.values())) == ("id_masks", True, 12)
    part = found.splits["train"]
    with PIL.Image.open(tmp_path / "masks" / Path(part.name(0)).name) as file:
        ids = torch.from_numpy(np.array(file))
    outlined = part.masks(0)
    assert len(outlined) == len(ids.unique()) - 1
    assert outlined.bitmaps.any(0).equal(ids > 0)
    for bitmap, box in zip(outlined.bitmaps, outlined.boxes.xyxy.long().tolist()):
        rows, columns = bitmap.nonzero().unbind(1)
        assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == box


def test_missing_pictures_are_set_aside_or_told(tmp_path: Path) -> None:
    root = scene_files.make(tmp_path / "a", "segment", count=40, size=48)
    lost = root / "JPEGImages" / "000003.jpg"
    lost.unlink()
    found = masks.read(root)
    assert [name for name, _ in found.set_aside] == ["000003.jpg, 000003.png"]
    assert len(found.splits["train"]) == 31
    (root / "SegmentationClass" / "000000.png").unlink()
    with pytest.raises(DataError, match=r"2 of 32 pictures or masks are missing, the first: .*000000.png"):
        masks.read(root)


def test_yolo_folders_are_not_taken_for_masks(tmp_path: Path) -> None:
    root = scene_files.make(tmp_path / "a", "detect", count=40, size=48, format="yolo_txt")
    assert not masks.recognises(root)


@pytest.mark.parametrize(
    ("task", "format", "lines"),
    [
        (
            "segment",
            "pairs",
            ["pairs, masks, 2 classes; train 32, valid 4, test 4 pictures", "unknown: 0.00% of the pixels"],
        ),
        ("detect", "coco", ["coco, outlines, 4 classes", "on a picture: 1 to 5", "small (below 32²)"]),
        ("pose", "lsp", ["lsp, joints, 14 joints; train", "train: each 2", "100.0% known"]),
    ],
)
def test_what_is_in_it(task: str, format: str, lines: list[str], tmp_path: Path, capsys) -> None:
    root = tmp_path / "a"
    command = [
        "data",
        "--make",
        "scenes",
        str(root),
        "--task",
        task,
        "--format",
        format,
        "--count",
        "40",
        "--size",
        "48",
    ]
    assert main([*command, "--sheet", str(tmp_path / "sheet.png")]) == 0
    said = capsys.readouterr().out
    assert all(line in said for line in [*lines, "broken: 0", "equal pictures in two splits: 0"]), said
    with PIL.Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 1000
    assert main(["data", str(root), "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert sum(card["counts"].values()) == card["looked_at"] == 40


def test_equal_and_broken_pictures_are_listed(tmp_path: Path) -> None:
    root = scene_files.make(tmp_path / "a", "detect", count=40, size=48, format="voc")
    pictures = root / "JPEGImages"
    (pictures / "000039.jpg").write_bytes((pictures / "000000.jpg").read_bytes())
    (pictures / "000001.jpg").write_bytes(b"nothing")
    card = survey_where.survey(root)
    assert card.leaks == [[("train", "000000.jpg"), ("test", "000039.jpg")]]
    assert [name for name, _ in card.broken] == ["000001.jpg"]


def test_an_lsp_skeleton_is_measured_in_torsos() -> None:
    truth = torch.zeros(1, 14, 2)
    truth[0, LSP.names.index("left shoulder")] = torch.tensor([0.0, 50.0])
    assert measures.measure(truth, LSP).tolist() == [50]
