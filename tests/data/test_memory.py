"""A set decoded once: the same bytes as one by one, whatever the threads; a few broken files are set aside."""

import pytest
import torch

from legato.data import memory
from legato.data.decode import fit
from legato.data.detect import read
from legato.data.memory import fits, load
from legato.errors import DataError
from tests.data.drawn import draw_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("set"), {"train/cat": 70, "train/dog": 60, "test/cat": 3, "test/dog": 3})


def test_all_at_once_equals_one_by_one(folder):
    train = read(folder).splits["train"]
    for size in (8, 5, 12):
        images, set_aside = load(train, size, 3, threads=2)
        assert set_aside == []
        assert torch.equal(images, torch.stack([fit(image.pixels, size) for image, _ in train]))
        assert torch.equal(images, load(train, size, 3, threads=1)[0])
    assert load(train, 8, 1)[0].shape == (len(train), 1, 8, 8)


def test_up_to_one_percent_are_set_aside_and_named(tmp_path):
    draw_folder(tmp_path, {"train/cat": 80, "train/dog": 80, "valid/cat": 1, "valid/dog": 1})
    (tmp_path / "train/cat/042.png").write_bytes(b"no picture")
    train = read(tmp_path).splits["train"]
    images, set_aside = load(train, 8, 3)
    assert [name for name, _ in set_aside] == ["train/cat/042.png"]
    assert set_aside[0][1].startswith(f"{tmp_path / 'train/cat/042.png'}: not a picture")
    kept = train.without(set_aside)
    assert len(kept) == len(images) == 159
    assert all(torch.equal(images[i], kept[i][0].pixels) for i in range(40, 45))


def test_more_than_one_percent_is_an_error(tmp_path):
    draw_folder(tmp_path, {"train/cat": 50, "train/dog": 50})
    for k in range(0, 50, 4):
        (tmp_path / f"train/dog/{k:03}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"empty file.*of 90 pictures are broken; up to 1 %"):
        load(read(tmp_path).splits["train"], 8, 3)


def test_arrays_load_without_decoding():
    digits = read("digits").splits["train"]
    images, set_aside = load(digits, 8, 1)
    assert images.shape == (len(digits), 1, 8, 8)
    assert torch.equal(images[5], digits[5][0].pixels)
    assert load(digits, 16, 3)[0].shape == (len(digits), 3, 16, 16)
    assert set_aside == []


def test_a_quarter_of_free_memory_is_the_limit(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 4 * 3 * 32 * 32 * 1000)
    assert fits(1000, 32, 3)
    assert not fits(1001, 32, 3)


def test_real_jpegs_of_cifar(real_data):
    test = read(real_data / "cifar10_small").splits["test"]
    images, set_aside = load(test, 32, 3)
    assert images.shape == (2000, 3, 32, 32)
    assert set_aside == []
    assert 0.42 < images.float().mean() / 255 < 0.52  # the training set's mean is 0.473
