"""The card of a set: counted by hand, with every fault planted found, and JSON."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from legato.data.detect import read
from legato.data.survey import contact, survey
from tests.data.drawn import draw_folder, noise


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    draw_folder(root, {"train/cat": 6, "train/dog": 3, "valid/cat": 2, "valid/dog": 1, "test/cat": 2, "test/dog": 2})
    shutil.copy(root / "train/cat/000.png", root / "test/cat/000.png")  # a leak
    shutil.copy(root / "train/cat/001.png", root / "train/dog/001.png")  # two classes for one picture
    Image.open(root / "train/cat/002.png").save(
        root / "train/cat/003.png", compress_level=0
    )  # other bytes, same pixels
    Image.fromarray(noise(99, 30, 20)).convert("L").save(root / "train/cat/004.png")
    (root / "valid/cat/001.png").write_bytes(b"oh")
    return root


def test_everything_planted_is_found(folder):
    found = survey(folder)
    assert found.counts == {"train": 9, "valid": 3, "test": 4}
    assert found.classes["train"] == {"cat": 6, "dog": 3}
    assert found.imbalance == 2
    assert (found.looked_at, found.modes) == (16, {"RGB": 14, "L": 1})
    assert (found.heights, found.widths) == ((8, 8, 30), (8, 8, 20))
    assert [name for name, _ in found.broken] == ["valid/cat/001.png"]
    assert found.leaks == [[("train", "train/cat/000.png"), ("test", "test/cat/000.png")]]
    assert found.contradictions == [[("train", "train/cat/001.png"), ("train", "train/dog/001.png")]]
    assert [("train", "train/cat/002.png"), ("train", "train/cat/003.png")] in found.duplicates
    assert len(found.duplicates) == 3


def test_the_card_is_json_and_text(folder):
    found = survey(folder)
    card = json.loads(json.dumps(found.to_json()))
    assert card["counts"] == {"train": 9, "valid": 3, "test": 4}
    assert card["policy"] == found.policy
    assert "train/cat/000.png (train) = test/cat/000.png (test)" in str(found)


def test_large_sets_are_looked_at_in_part(folder):
    found = survey(folder, most=5)
    assert found.looked_at < 8
    assert found.counts["train"] == 9


def test_arrays_labels_and_numbers(tmp_path):
    x = np.stack([noise(k, channels=1) for k in range(20)])
    y = np.stack([np.arange(20) % 2, np.zeros(20)], 1)
    np.savez(tmp_path / "labels.npz", x_train=x, y_train=y.astype(np.float32))
    found = survey(tmp_path / "labels.npz")
    assert (found.kind, found.modes) == ("labels", {"L": 20})
    assert sum(found.classes[split]["0"] for split in ("train", "valid")) == 10
    assert found.imbalance == float("inf")
    assert json.loads(json.dumps(found.to_json()))["imbalance"] is None
    numbers = np.random.default_rng(0).random((20, 2)).astype(np.float32)
    numbers[3, 1] = np.nan
    np.savez(tmp_path / "numbers.npz", x_train=x, y_train=numbers)
    known = [survey(tmp_path / "numbers.npz").classes[split] for split in ("train", "valid")]
    assert {name: sum(k[name] for k in known) for name in ("0", "1")} == {"0": 20, "1": 19}


def test_a_contact_sheet_shows_every_class(tmp_path, folder):
    sheet = contact(read(folder), 4)
    assert {caption for _, caption in sheet} == {"cat", "dog"}
    assert len(contact(read(folder), 100)) == 9
    table = "".join(f"img/{k:03}.png,0.25,{k}\n" for k in range(10))
    draw_folder(tmp_path, {"img": 10})
    (tmp_path / "votes.csv").write_text("path,smooth,disk\n" + table)
    (_, caption), *_ = contact(read(tmp_path), 1)
    assert caption.startswith("smooth 0.25, disk ")
    (tmp_path / "votes.csv").write_text("path,labels\n" + "".join(f"img/{k:03}.png,cat;dog\n" for k in range(10)))
    assert contact(read(tmp_path), 1)[0][1] == "cat, dog"


def test_real_galaxies(real_data):
    found = survey(real_data / "galaxies_small")
    whole = {name: sum(found.classes[split][name] for split in found.counts) for name in found.names}
    assert whole == {"smooth": 26, "spiral_2_arms": 27, "spiral_many_arms": 17}
    assert found.heights == found.widths == (224, 224, 224)
    assert found.broken == found.leaks == []
