"""VOC, COCO and YOLO's text files: the same pictures written three ways read the same; what is wrong is told."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from legato.data import coco
from legato.data.annotated import AnnotatedSet, fingerprint, read
from legato.errors import DataError

NAMES = ("cat", "dog")
SIZE = (48, 64)  # height, width
ON = {  # picture → (class, x1, y1, x2, y2); e is empty
    "a": [(0, 4, 6, 20, 30), (1, 30, 10, 64, 48)],
    "b": [(1, 0, 0, 10, 10)],
    "c": [(0, 1, 2, 9, 12)],
    "d": [(0, 5, 5, 25, 25), (1, 8, 8, 16, 20)],
    "e": [],
}
SPLIT = {"train": ["a", "b", "e"], "val": ["c"], "test": ["d"]}


def paint(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        PIL.Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(folder / f"{name}.png")


def voc_xml(objects, size=SIZE, extra="") -> str:
    things = "".join(
        f"<object><name>{NAMES[k]}</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>{extra}<part><name>tail</name><bndbox><xmin>1</xmin></bndbox></part></object>"
        for k, x1, y1, x2, y2 in objects
    )
    return f"<annotation><size><width>{size[1]}</width><height>{size[0]}</height></size>{things}</annotation>"


def write_voc(root: Path) -> Path:
    paint(root / "JPEGImages", list(ON))
    (root / "Annotations").mkdir()
    (root / "ImageSets/Main").mkdir(parents=True)
    for name, objects in ON.items():
        (root / f"Annotations/{name}.xml").write_text(voc_xml(objects))
    for split, names in SPLIT.items():
        (root / f"ImageSets/Main/{split}.txt").write_text("\n".join(names) + "\n")
    return root


def coco_json(names: list[str], categories=NAMES) -> dict:
    images = [{"id": 10 + i, "file_name": f"{n}.png", "height": SIZE[0], "width": SIZE[1]} for i, n in enumerate(names)]
    annotations = []
    for image, name in zip(images, names):
        for k, x1, y1, x2, y2 in ON[name]:
            one = {"id": len(annotations), "image_id": image["id"], "category_id": 3 * k + 1, "iscrowd": 0}
            corners = [x1, y1, x2, y1, x2, y2, x1, y2]
            annotations.append(one | {"bbox": [x1, y1, x2 - x1, y2 - y1], "segmentation": [corners]})
    kinds = [{"id": 3 * k + 1, "name": name} for k, name in enumerate(categories)]
    return {"info": {"by": "nobody"}, "images": images, "annotations": annotations, "categories": kinds}


def write_coco(root: Path) -> Path:
    for split, names in SPLIT.items():
        paint(root / f"{split}2017", names)
    (root / "annotations").mkdir()
    for split, names in SPLIT.items():
        (root / f"annotations/instances_{split}2017.json").write_text(json.dumps(coco_json(names)))
    return root


def write_yolo(root: Path) -> Path:
    for split, names in SPLIT.items():
        paint(root / f"images/{split}", names)
        (root / f"labels/{split}").mkdir(parents=True)
        for name in names:
            lines = [
                f"{k} {(x1 + x2) / 2 / SIZE[1]} {(y1 + y2) / 2 / SIZE[0]} {(x2 - x1) / SIZE[1]} {(y2 - y1) / SIZE[0]}"
                for k, x1, y1, x2, y2 in ON[name]
            ]
            if lines:  # a picture without objects needs no file
                (root / f"labels/{split}/{name}.txt").write_text("\n".join(lines))
    (root / "classes.txt").write_text("cat\ndog\n")
    return root


WRITERS = {"voc": write_voc, "coco": write_coco, "yolo_txt": write_yolo}


@pytest.mark.parametrize("form", WRITERS)
def test_three_formats_say_the_same(form, tmp_path):
    found = read(WRITERS[form](tmp_path))
    assert (found.format, found.names) == (form, NAMES)
    for split, names in (("train", SPLIT["train"]), ("valid", SPLIT["val"]), ("test", SPLIT["test"])):
        examples = found.splits[split]
        assert [Path(examples.name(i)).stem for i in range(len(examples))] == names
        for (image, boxes), name in zip(examples, names):
            assert image.pixels.shape == (3, *SIZE)
            assert boxes.labels.tolist() == [k for k, *_ in ON[name]]
            torch.testing.assert_close(boxes.xyxy, torch.tensor([b for _, *b in ON[name]]).reshape(-1, 4).float())
            assert boxes.scores.tolist() == [1.0] * len(ON[name])
    assert found.splits["train"].counts() == {"cat": 1, "dog": 2}
    assert not any("set aside" in note for note in found.notes)


def test_voc_from_0_is_noticed_and_difficult_does_not_count(tmp_path):
    write_voc(tmp_path)
    text = voc_xml([(0, -1, 3, 20, 30)], extra="<difficult>1</difficult>")  # xmin 0
    (tmp_path / "Annotations/a.xml").write_text(text)
    boxes = read(tmp_path).splits["train"].boxes(0)
    assert boxes.xyxy.tolist() == [[0, 4, 20, 30]]
    assert boxes.scores.tolist() == [0]


def test_without_split_lists_tenths_by_the_hash_of_the_name(tmp_path):
    write_voc(tmp_path)
    for file in (tmp_path / "ImageSets/Main").iterdir():
        file.unlink()
    for i in range(15):
        (tmp_path / f"Annotations/x{i}.xml").write_text(voc_xml([(0, 1, 1, 9, 9), (1, 2, 2, 30, 30)]))
    paint(tmp_path / "JPEGImages", [f"x{i}" for i in range(15)])
    first, again = read(tmp_path), read(tmp_path)
    assert [len(first.splits[s]) for s in ("train", "valid", "test")] == [16, 2, 2]
    assert fingerprint(first) == fingerprint(again)


BOMB = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;">]><annotation><folder>&c;</folder></annotation>'
SPY = '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><annotation><folder>&f;</folder></annotation>'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (BOMB, "declares a document type"),
        (SPY, "declares a document type"),
        (BOMB.encode("utf-16"), "declares a document type"),
        ("<annotation><object>", "not well-formed XML"),
        (voc_xml([(0, 1, 1, 5, 5)]).replace("<name>cat</name>", ""), "object 1 lacks its name"),
        (voc_xml([(0, 1, 1, 5, 5)]).replace("<xmax>5</xmax>", "<xmax>five</xmax>"), "'five' stands where a number"),
        (voc_xml([], size=(0, 64)), "size is 64 × 0"),
    ],
)
def test_a_bad_annotation_is_refused_by_name(text, complaint, tmp_path):
    write_voc(tmp_path)
    (tmp_path / "Annotations/b.xml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=rf"b\.xml: .*{complaint}"):
        read(tmp_path)


def test_boxes_that_cannot_be_meant_are_set_aside_and_counted(tmp_path):
    write_coco(tmp_path)
    file = tmp_path / "annotations/instances_train2017.json"
    about = json.loads(file.read_text())
    good = about["annotations"][0]
    bad = {
        "not numbers": {"bbox": [1, 2, None, 4]},
        "corners exchanged": {"bbox": [20, 20, -5, 4]},
        "without area": {"bbox": [20, 20, 0, 4]},
        "beside their picture": {"bbox": [200, 20, 5, 4]},
        "of a category the file does not list": {"category_id": 99},
        "on a picture the file does not list": {"image_id": 99},
    }
    about["annotations"] += [good | one | {"id": 100 + i} for i, one in enumerate(bad.values())]
    about["annotations"].append(good | {"bbox": [50, 40, 100, 100], "id": 200})
    file.write_text(json.dumps(about))
    found = read(tmp_path)
    for why in bad:
        assert f"train: 1 boxes set aside: {why}" in found.notes
    assert "train: 1 boxes clipped to the edge of their picture" in found.notes
    assert found.splits["train"].counts() == {"cat": 2, "dog": 2}
    assert found.splits["train"].boxes(0).xyxy[-1].tolist() == [50, 40, 64, 48]


def test_class_lists_that_differ_are_named(tmp_path):
    write_coco(tmp_path / "coco")
    file = tmp_path / "coco/annotations/instances_val2017.json"
    file.write_text(json.dumps(coco_json(SPLIT["val"], ("cat", "wolf"))))
    with pytest.raises(DataError, match="has wolf more and lacks dog"):
        read(tmp_path / "coco")
    write_yolo(tmp_path / "yolo")
    (tmp_path / "yolo/labels/val/classes.txt").write_text("dog\ncat\n")
    with pytest.raises(DataError, match="class 0 is dog, but cat in"):
        read(tmp_path / "yolo")


def test_a_missing_picture_is_set_aside_and_many_are_an_error(tmp_path):
    write_voc(tmp_path)
    (tmp_path / "JPEGImages/e.png").unlink()
    found = read(tmp_path)
    assert len(found.splits["train"]) == 2
    assert "no such picture" in found.set_aside[0][1]
    (tmp_path / "JPEGImages/a.png").unlink()
    with pytest.raises(DataError, match="2 of 5 annotated pictures are missing"):
        read(tmp_path)


def test_a_picture_of_another_size_than_annotated_is_refused(tmp_path):
    write_voc(tmp_path)
    PIL.Image.new("RGB", (32, 24)).save(tmp_path / "JPEGImages/a.png")
    with pytest.raises(DataError, match="32 × 24 pixels, but annotated as 64 × 48"):
        read(tmp_path).splits["train"][0]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("0 0.5 0.5 0.1", "3 numbers after the class"),
        ("7 .5 .5 .1 .1", "class 7, but there are 2"),
        ("cat .5", "is no"),
    ],
)
def test_a_bad_line_is_named(line, complaint, tmp_path):
    write_yolo(tmp_path)
    (tmp_path / "labels/train/b.txt").write_text(f"1 .5 .5 .2 .2\n{line}\n")
    with pytest.raises(DataError, match=rf"b\.txt, line 2: .*{complaint}"):
        read(tmp_path)


def test_masks_from_polygons_runs_and_nothing(tmp_path):
    write_coco(tmp_path)
    file = tmp_path / "annotations/instances_train2017.json"
    about = json.loads(file.read_text())
    inside = [0] * (SIZE[0] * SIZE[1])
    inside[5:9] = [1] * 4  # down the first column: rows 5 to 8
    about["annotations"][1]["segmentation"] = {"size": list(SIZE), "counts": [5, 4, len(inside) - 9]}
    del about["annotations"][2]["segmentation"]
    file.write_text(json.dumps(about))
    train = read(tmp_path).splits["train"]
    first = train.masks(0)
    assert first.bitmaps[0].nonzero().min(0).values.tolist() == [6, 4]  # the polygon is the box
    assert int(first.bitmaps[0].sum()) == 16 * 24
    assert first.bitmaps[1].nonzero().tolist() == [[5, 0], [6, 0], [7, 0], [8, 0]]
    assert int(train.masks(1).bitmaps[0].sum()) == 100  # no outline: the whole box
    assert train.masks(2).bitmaps.shape == (0, *SIZE)


def big_coco(file: Path, count: int) -> None:
    with file.open("w") as f:
        f.write('{"categories": [{"id": 1, "name": "Käse \\"x\\""}], "annotations": [\n')
        outline = ", ".join(["10.5"] * 3000)
        for i in range(count):
            head = f'"id": {i}, "image_id": {i % 50}, "category_id": 1, "bbox": [1, 2, 3, {i % 7 + 1}]'
            f.write(f'{{{head}, "segmentation": [[{outline}]]}}' + (",\n" if i < count - 1 else "\n"))
        f.write("]" + " " * 3_000_000 + ', "images": [')
        f.write(",".join(f'{{"id": {i}, "file_name": "{i}.png", "height": 20, "width": 20}}' for i in range(50)))
        f.write("]}")


def test_a_large_file_is_read_in_memory_that_does_not_grow_with_it(tmp_path, monkeypatch):
    file = tmp_path / "instances_train.json"
    big_coco(file, 500)  # 9 MB
    held, more = [], coco.Window.more

    def watched(window):
        answer = more(window)
        held.append(len(window.text))
        return answer

    monkeypatch.setattr(coco.Window, "more", watched)
    index = coco.Index(file)
    assert file.stat().st_size > 8 * coco.BLOCK
    assert max(held) < 3 * coco.BLOCK
    kept = (index.picture, index.category, index.box, index.crowd, index.place)  # 65 bytes an annotation
    assert sum(len(a) * a.itemsize for a in kept) == 500 * 65
    assert index.names == {1: 'Käse "x"'}
    start, length = index.place[2 * 333 : 2 * 333 + 2]
    assert json.loads(file.read_bytes()[start : start + length])["id"] == 333


@pytest.mark.parametrize("cut", [0.3, 0.7, 0.999])
def test_a_file_cut_short_is_named_with_its_byte(cut, tmp_path):
    text = json.dumps(coco_json(list(ON)))
    (tmp_path / "a.json").write_text(text[: int(cut * len(text))])
    with pytest.raises(DataError, match=r"a\.json: not JSON from byte [\d,]+ on"):
        coco.Index(tmp_path / "a.json")


def test_an_annotation_without_its_parts_is_named(tmp_path):
    about = coco_json(list(ON))
    del about["annotations"][1]["image_id"]
    (tmp_path / "a.json").write_text(json.dumps(about))
    with pytest.raises(DataError, match=r"a\.json: an entry of annotations at byte .* 'image_id'"):
        coco.Index(tmp_path / "a.json")


def test_nothing_that_is_known(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match="no boxes found; legato reads"):
        read(tmp_path)
    with pytest.raises(DataError, match="not found"):
        read(tmp_path / "nowhere")


def test_folds_deal_train_and_valid_anew(tmp_path):
    write_voc(tmp_path)
    (tmp_path / "ImageSets/Main/train.txt").write_text("a\nb\ne\nc\n")
    (tmp_path / "ImageSets/Main/val.txt").write_text("d\n")
    (tmp_path / "ImageSets/Main/test.txt").unlink()
    parts = [read(tmp_path, f"{i}/5").splits["valid"] for i in range(1, 6)]
    assert sorted(p.name(0) for p in parts) == [f"{n}.png" for n in "abcde"]


def counts(found: AnnotatedSet) -> dict[str, tuple[int, int]]:
    return {split: (len(part), sum(part.counts().values())) for split, part in found.splits.items()}


def test_real_sets_have_their_published_counts(real_data):
    bccd = read(real_data / "bccd")
    assert {s: n for s, (n, _) in counts(bccd).items()} == {"train": 255, "valid": 55, "test": 54}
    per_class = [part.counts() for part in bccd.splits.values()]
    assert {k: sum(c[k] for c in per_class) for k in bccd.names} == {"Platelets": 361, "RBC": 4153, "WBC": 372}
    assert counts(read(real_data / "coco_mini"))["train"] == (80, 739)
    nuclei = read(real_data / "nuclei")
    assert sum(n for _, n in counts(nuclei).values()) == 8158
    ids = np.array(PIL.Image.open(real_data / "nuclei/masks" / f"{Path(nuclei.splits['valid'].name(0)).stem}_mask.png"))
    masks = nuclei.splits["valid"].masks(0)
    assert sorted(masks.bitmaps.flatten(1).sum(1).tolist()) == sorted(np.bincount(ids.flatten())[1:].tolist())
