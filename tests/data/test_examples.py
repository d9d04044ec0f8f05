"""Lazy tables of pictures: names held compactly, selections that share their store."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from legato.data.examples import Paths, Pictures, PictureSet, Pixels, fingerprint, join, pictures
from tests.data.drawn import draw_folder, noise


def test_paths_give_back_every_name():
    names = ["a/b/1.jpg", "2.png", "a/b/ü.jpg", "a/odd \udcff.jpg", "/absolute.jpg", "a/1.jpg"]
    paths = Paths(Path("/somewhere"), names)
    assert [paths[i] for i in range(len(paths))] == names
    paths.extend(["a/b/last.png"])
    assert paths[6] == "a/b/last.png"


def test_a_hundred_thousand_names_take_less_than_forty_bytes_each():
    paths = Paths(Path("/somewhere"), (f"train/n{k // 1000:08}/n{k // 1000:08}_{k}.JPEG" for k in range(100_000)))
    size = sum(map(sys.getsizeof, (paths.text, paths.end, paths.folder, paths.folders)))
    assert size < 40 * 100_000
    assert paths[99_999] == "train/n00000099/n00000099_99999.JPEG"


def test_a_folder_is_read_when_asked_for(tmp_path):
    draw_folder(tmp_path, {"cat": 2})
    table = pictures(Paths(tmp_path, ["cat/000.png", "cat/001.png", "cat/gone.png"]), np.array([0, 1, 0]))
    image, target = table[1]
    assert np.array_equal(image.pixels.permute(1, 2, 0), noise(1))
    assert image.source == str(tmp_path / "cat/001.png")
    assert (target, table.name(2), table.size(0), len(table)) == (1, "cat/gone.png", (8, 8, 3), 3)
    assert [image.source for image, _ in table.take(np.array([1, 0]))] == [
        str(tmp_path / f"cat/00{k}.png") for k in (1, 0)
    ]


def test_arrays_are_called_by_their_number_and_targets_may_be_vectors():
    targets = np.array([[0.5, np.nan], [1, 2]], np.float32)
    table = pictures(Pixels("train", np.zeros((2, 1, 4, 4), np.uint8)), targets)
    image, target = table[1]
    assert image.pixels.shape == (1, 4, 4)
    assert torch.equal(target, torch.tensor([1.0, 2.0]))
    assert table.name(1) == image.source == "train[1]"
    assert table.channels == 1


def test_grey_folders_are_found_grey(tmp_path):
    draw_folder(tmp_path / "grey", {"a": 3}, channels=1)
    draw_folder(tmp_path / "mixed", {"a": 3}, channels=1)
    Image.fromarray(noise(0)).save(tmp_path / "mixed/a/001.png")
    for folder, channels in (("grey", 1), ("mixed", 3)):
        table = pictures(Paths(tmp_path / folder, [f"a/00{k}.png" for k in range(3)]), np.zeros(3, np.int64))
        assert table.channels == channels
        assert table[0][0].pixels.shape[0] == channels


def test_set_aside_leave_the_others_in_order():
    table = pictures(Pixels("x", np.zeros((5, 1, 2, 2), np.uint8)), np.arange(5))
    left = table.without([("x[1]", "broken"), ("x[3]", "broken")])
    assert left.targets.tolist() == [0, 2, 4]
    assert list(left.names()) == ["x[0]", "x[2]", "x[4]"]
    assert table.without([]) is table


def test_join_keeps_every_example():
    a = pictures(Pixels("a", np.full((2, 1, 2, 2), 7, np.uint8)), np.array([0, 1]))
    b = pictures(Pixels("b", np.full((3, 1, 2, 2), 9, np.uint8)), np.array([1, 1, 0]))
    both = join(a, b.take(np.array([2, 0])))
    assert [(int(image.pixels[0, 0, 0]), target) for image, target in both] == [(7, 0), (7, 1), (9, 0), (9, 1)]
    parts = join(a.take(np.array([1])), a.take(np.array([0])))
    assert list(parts.names()) == ["a[1]", "a[0]"]


def test_the_fingerprint_changes_with_names_labels_order_and_sizes(tmp_path):
    draw_folder(tmp_path, {"cat": 3, "dog": 3})
    names = ["cat/000.png", "cat/001.png", "dog/000.png", "dog/001.png"]

    def made(names: list[str], targets: list[int], classes: tuple[str, ...] = ("cat", "dog")) -> str:
        train = pictures(Paths(tmp_path, names), np.array(targets))
        return fingerprint(PictureSet("image_folder", "class", classes, {"train": train}, ""))

    first = made(names, [0, 0, 1, 1])
    assert len(first) == 64
    assert first == made(names, [0, 0, 1, 1])
    others = {
        made(names[:3], [0, 0, 1]),
        made(names, [0, 1, 1, 1]),
        made(names[::-1], [0, 0, 1, 1]),
        made(names, [0, 0, 1, 1], ("cat", "wolf")),
        made(["cat/002.png", *names[1:]], [0, 0, 1, 1]),
    }
    with (tmp_path / "dog/001.png").open("ab") as file:
        file.write(b"more")
    others.add(made(names, [0, 0, 1, 1]))
    assert len(others - {first}) == 6


def test_a_fingerprint_opens_no_picture(tmp_path):
    draw_folder(tmp_path, {"cat": 1})
    os.truncate(tmp_path / "cat/000.png", 3)
    table = Pictures(Paths(tmp_path, ["cat/000.png"]), np.arange(1), np.zeros(1, np.int64))
    assert len(fingerprint(PictureSet("image_folder", "class", ("cat",), {"train": table}, ""))) == 64


@pytest.mark.parametrize("i", [-1, 0, 1])
def test_negative_indices_count_from_the_end(i):
    table = pictures(Pixels("x", np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2)), np.arange(2))
    assert table[i][1] == [0, 1][i]
    assert table.name(i) == f"x[{i % 2}]"
