from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from legato.data import legends, masks
from legato.errors import DataError
from legato.values import VOID, LabelMap


def picture(path: Path, size: tuple[int, int] = (12, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", size, (10, 20, 30)).save(path)


def mask(path: Path, rows: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(rows.astype(np.uint8)).save(path)


def index(value: int) -> np.ndarray:
    return np.full((8, 12), value)


def test_lists_with_names_and_what_has_none(tmp_path: Path) -> None:
    for split, value in (("train", 1), ("val", 0), ("test", 2)):
        picture(tmp_path / split / "a.png")
        mask(tmp_path / f"{split}annot" / "a.png", index(value))
        (tmp_path / f"{split}.txt").write_text(f"{split}/a.png {split}annot/a.png\n")
    (tmp_path / "classes.txt").write_text("sky\nroad\nunlabelled\n")
    found = masks.read(tmp_path)
    assert (found.format, found.names) == ("lists", ("sky", "road"))
    assert found.splits["train"][0][1].labels.unique().tolist() == [1]
    assert found.splits["test"][0][1].labels.unique().tolist() == [VOID]


def test_voc_with_its_border(tmp_path: Path) -> None:
    for stem in ("2007_1", "2007_2"):
        picture(tmp_path / "JPEGImages" / f"{stem}.jpg")
        labels = torch.full((8, 12), 15, dtype=torch.uint8)
        labels[0] = VOID
        masks.write_mask(tmp_path / "SegmentationClass" / f"{stem}.png", LabelMap(labels, legends.VOC_NAMES))
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_1\n")
    (lists / "val.txt").write_text("2007_2\n")
    found = masks.read(tmp_path)
    assert found.format == "voc"
    assert found.names[15] == "person"
    assert found.splits["valid"][0][1].shares() == {"person": 1.0}
    assert (found.splits["valid"][0][1].labels[0] == VOID).all()


def test_pairs_black_and_white(tmp_path: Path) -> None:
    for i in range(20):
        picture(tmp_path / "images" / f"{i}.jpg")
        mask(tmp_path / "masks" / f"{i}_mask.png", index(255 * (i % 2)))
    found = masks.read(tmp_path)
    assert (found.format, found.names) == ("pairs", ("background", "foreground"))
    assert [len(found.splits[s]) for s in ("train", "valid", "test")] == [16, 2, 2]
    seen = {
        path.stem: labels.labels.unique().tolist()
        for (path, _), (_, labels) in zip(found.splits["train"].pairs, found.splits["train"])
    }
    assert all(labels == [int(stem) % 2] for stem, labels in seen.items())


def test_colours_with_a_legend(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "images" / "a.png")
    coloured = np.zeros((8, 12, 3))
    coloured[:, 6:] = (0, 255, 0)
    coloured[0, 0] = (9, 9, 9)
    mask(tmp_path / "train" / "labels" / "a.png", coloured)
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nnight,0,0,0\nmeadow,0,255,0\n")
    with pytest.raises(DataError, match="no training pictures"):
        masks.read(tmp_path, "1/2")  # one picture cannot be dealt into two folds with something left
    found = legends.Legend(("night", "meadow"), ((0, 0, 0), (0, 255, 0)))
    assert legends.read_legend(tmp_path / "class_dict.csv") == found
    labels = found.read(tmp_path / "train" / "labels" / "a.png").labels
    assert (labels[0, 0], labels[0, 1], labels[0, 7]) == (VOID, 0, 1)


def test_camvids_own_legend(tmp_path: Path) -> None:
    (tmp_path / "label_colors.txt").write_text("64 128 64\tAnimal\n192 0 128\tArchway\n")
    assert legends.read_legend(tmp_path / "label_colors.txt").names == ("Animal", "Archway")


def test_errors_name_the_file_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pictures with masks; legato reads"):
        masks.read(tmp_path)
    for i in range(3):
        picture(tmp_path / "images" / f"{i}.png")
        mask(tmp_path / "masks" / f"{i}.png", np.full((8, 12, 3), (i, 200, 0)))
    with pytest.raises(DataError, match=r"coloured, and no legend .* add class_dict.csv"):
        masks.read(tmp_path)
    (tmp_path / "class_dict.csv").write_text("night,0,0,999\n")
    with pytest.raises(DataError, match=r"class_dict.csv, line 1: .* from 0 to 255"):
        masks.read(tmp_path)
    (tmp_path / "class_dict.csv").write_text("night,0,200,0\n")
    picture(tmp_path / "images" / "0.png", (13, 8))
    splits = masks.read(tmp_path).splits.values()
    with pytest.raises(DataError, match="12 × 8 pixels, but its picture has 13 × 8"):
        [list(examples) for examples in splits]
    (tmp_path / "masks" / "0.png").unlink()
    with pytest.raises(DataError, match=r"0.png: no mask of that name .* \(1 of 3 pictures\)"):
        masks.read(tmp_path)


def test_real_sets(real_data: Path) -> None:
    camvid = masks.read(real_data / "camvid")
    assert [len(s) for s in camvid.splits.values()] == [367, 101, 233]
    assert len(camvid.names) == 11
    image, labels = camvid.splits["train"][0]
    assert image.pixels.shape == (3, 180, 240)
    assert VOID in labels.labels
    roads = masks.read(real_data / "massachusetts_roads")
    assert sum(len(s) for s in roads.splits.values()) == 198
