"""Answers written as files are read back as data: boxes as YOLO's lines, outlines as numbered masks."""

import PIL.Image
import torch

from legato.data import id_masks, yolo_txt
from legato.values import Boxes


def picture(file, height, width):
    file.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (width, height)).save(file)


def test_boxes_written_in_yolos_lines_are_read_back(tmp_path):
    corners = torch.tensor([[2.0, 3.0, 40.0, 50.0], [10.0, 0.0, 64.0, 48.0]])
    boxes = Boxes(corners, torch.tensor([1, 0]), torch.tensor([0.9, 0.25]), ("cat", "dog"))
    file = yolo_txt.write(tmp_path / "labels", "one", boxes, 50, 80)
    words = file.read_text().splitlines()[0].split()
    assert [float(w) for w in words] == [1, 21 / 80, 26.5 / 50, 38 / 80, 47 / 50, 0.9]  # class, centre, size, score
    for k in range(12):  # of which validation gets some
        picture(tmp_path / "images" / f"{k or 'one'}.png", 50, 80)
    found = yolo_txt.read(tmp_path)
    assert found.names == ("cat", "dog")
    read = [b for part in found.splits.values() for b in (part.boxes(i) for i in range(len(part))) if len(b)]
    assert len(read) == 1
    assert torch.allclose(read[0].xyxy, corners, atol=1e-3)
    assert read[0].labels.tolist() == [1, 0]


def test_no_box_is_a_file_without_lines(tmp_path):
    none = Boxes(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0), ("cat",))
    assert yolo_txt.write(tmp_path, "none", none, 10, 10).read_text() == ""


def test_outlines_written_as_numbers_are_read_back_and_the_first_lies_on_top(tmp_path):
    bitmaps = torch.zeros(300, 9, 12, dtype=torch.bool)
    bitmaps[0, 2:5, 3:8] = True
    bitmaps[1, 4:9, 5:12] = True  # partly below the first
    bitmaps[299, 0, 0] = True  # more than 8 bits count
    ids = id_masks.numbers(id_masks.write(tmp_path / "masks" / "one.png", bitmaps))
    assert (torch.from_numpy(ids == 1) == bitmaps[0]).all()
    assert (torch.from_numpy(ids == 2) == (bitmaps[1] & ~bitmaps[0])).all()
    assert ids[0, 0] == 300
    assert not id_masks.numbers(id_masks.write(tmp_path / "none.png", bitmaps[:0])).any()
