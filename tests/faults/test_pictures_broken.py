"""Every way a set of pictures can be wrong is one line that says what, where and what to do; never a traceback."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from legato.data.detect import read
from legato.data.memory import load
from legato.data.survey import survey
from legato.errors import DataError
from tests.data.drawn import draw_folder
from tests.data.test_formats import cifar_records, write_mnist, write_table


def fault(path: Path | str) -> str:
    with pytest.raises(DataError) as error:
        read(path)
    line = str(error.value)
    assert "\n" not in line
    assert error.value.code == 3
    return line


def test_an_empty_folder(tmp_path):
    line = fault(tmp_path)
    assert str(tmp_path) in line
    assert "empty" in line
    assert "class folders" in line, "what it could be instead"


def test_pictures_without_class_folders(tmp_path):
    draw_folder(tmp_path, {".": 3})
    assert "3 .png" in fault(tmp_path)


def test_one_class(tmp_path):
    draw_folder(tmp_path, {"cat": 3})
    assert "one class only (cat)" in fault(tmp_path)
    draw_folder(tmp_path / "wrapped", {"inner/cat": 2, "inner/dog": 2})
    assert f"did you mean {tmp_path / 'wrapped/inner'}" in fault(tmp_path / "wrapped")


def test_a_class_folder_without_pictures(tmp_path):
    draw_folder(tmp_path, {"cat": 3, "dog": 0})
    line = fault(tmp_path)
    assert str(tmp_path / "dog") in line
    assert "no pictures" in line
    (tmp_path / "dog/photo.heic").write_bytes(b"?")
    assert "1 .heic" in fault(tmp_path)


def test_classes_that_differ_between_splits(tmp_path):
    draw_folder(tmp_path, {"train/cat": 2, "train/dog": 2, "test/cat": 1, "test/dgo": 1, "test/dog": 1})
    line = fault(tmp_path)
    assert "test/ has classes that train/ has not: dgo" in line
    draw_folder(tmp_path / "two", {"train/cat": 2, "train/dog": 2, "val/cat": 1})
    assert "val/ lacks classes of train/: dog" in fault(tmp_path / "two")


def test_splits_without_train_and_two_of_one_kind(tmp_path):
    draw_folder(tmp_path / "a", {"valid/cat": 1, "valid/dog": 1, "test/cat": 1, "test/dog": 1})
    assert "no train/" in fault(tmp_path / "a")
    draw_folder(tmp_path / "b", {f"{s}/{c}": 1 for s in ("train", "val", "valid") for c in ("cat", "dog")})
    assert "both val/ and valid/" in fault(tmp_path / "b")
    draw_folder(tmp_path / "c", {"train": 2, "test": 2})
    assert "no train/ with class folders" in fault(tmp_path / "c")


def test_a_file_of_no_known_format(tmp_path):
    (tmp_path / "data.parquet").write_bytes(b"PAR1")
    line = fault(tmp_path / "data.parquet")
    assert ".parquet" in line
    assert "legato reads" in line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("img/000.png,cat\nimg/001.png,dog\n", ":1: no header, the first line is already a picture"),
        ("", "an empty table"),
        ("name,label\nimg/000.png,cat\n", ":1: no column path"),
        ("path\nimg/000.png\n", ":1: no column of labels"),
        ("path,label\n", "a header without rows"),
        ("path,label\nimg/000.png,cat\nimg/001.png\n", ":3: 1 values where the header names 2"),
        ("path,label\nimg/000.png,cat,big\n", ":2: 3 values where the header names 2"),
        ("path,label\nimg/000.png,cat\n\nimg/001.png,\n", ":4: no label"),
        ("path,a,b\nimg/000.png,1,x\n", ":2: 'x' in column b is no number"),
        ("path,a,b\nimg/000.png,1,inf\n", ":2: 'inf' in column b is infinite"),
        ("path,label\nimg/000.png,cat\nimg/gone.png,dog\n", ":3: 'img/gone.png' is not there (1 of 2 are missing)"),
        ("path,label\nimg/000.png,cat\nimg/001.png,cat\n", "one class only (cat)"),
        ("path,label,split\nimg/000.png,cat,training\n", ":2: split 'training'"),
        ("path,label,split\nimg/000.png,cat,val\nimg/001.png,dog,val\n", "no training examples"),
        ("path,labels\nimg/000.png,\nimg/001.png,\n", "no example has any label"),
    ],
)
def test_tables(tmp_path, text, told):
    file = write_table(tmp_path, text)
    line = fault(file)
    assert told in line
    assert ":" not in told[:1] or line.startswith(str(file)), "file and line come first"
    assert fault(tmp_path) == line, "the folder of a single table is that table"


def test_a_class_that_only_the_test_has(tmp_path):
    rows = "".join(f"img/{k:03}.png,{'cat' if k % 2 else 'dog'},train\n" for k in range(10))
    file = write_table(tmp_path, f"path,label,split\n{rows}img/010.png,wolf,test\n")
    assert "classes in test that train has no example of: wolf" in fault(file)


def test_tables_that_are_not_text_or_do_not_agree(tmp_path):
    file = write_table(tmp_path, "")
    file.write_bytes("path,label\nimg/000.png,cät\n".encode("latin1"))
    assert "UTF-8" in fault(file)
    (tmp_path / "train.csv").write_text("path,a,b\nimg/000.png,1,2\n")
    (tmp_path / "test.csv").write_text("path,a,c\nimg/001.png,1,2\n")
    assert "test.csv:1: columns" in fault(tmp_path)


def test_idx(tmp_path):
    write_mnist(tmp_path)
    images, labels = tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte"
    whole, right = images.read_bytes(), labels.read_bytes()
    images.write_bytes(whole[:500])
    assert f"{images}: 484 bytes where the header promises 1,920" in fault(tmp_path)
    images.write_bytes(b"\xff" + whole)
    assert "not an IDX file" in fault(tmp_path)
    images.write_bytes(whole[:4] + b"\xff" * 12)
    assert "too short" in fault(tmp_path), "no memory is asked for what cannot be there"
    images.write_bytes(whole)
    labels.write_bytes(right[:4] + (29).to_bytes(4, "big") + right[8:-1])
    assert "30 pictures, but train-labels-idx1-ubyte has 29 labels" in fault(tmp_path)
    labels.unlink()
    assert "labels are missing" in fault(tmp_path)
    (tmp_path / f"{labels.name}.gz").write_bytes(b"\x1f\x8b broken")
    assert "cannot be read" in fault(tmp_path)


def test_labels_out_of_range(tmp_path):
    write_mnist(tmp_path)
    labels = tmp_path / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x07")
    assert "test[6]: label 7 is out of range; 3 classes have labels 0 to 2" in fault(tmp_path)
    x = np.zeros((20, 8, 8), np.uint8)
    np.savez(tmp_path / "set.npz", images=x, labels=np.arange(20) % 3 - 1)
    assert "label -1 is out of range" in fault(tmp_path / "set.npz")


def test_cifar(tmp_path):
    records, _, _ = cifar_records(4, 2, False)
    (tmp_path / "data_batch_1.bin").write_bytes(records[:-10])
    assert "12,282 bytes are no whole number of records of 3073" in fault(tmp_path)


class Dangerous:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("a pickle has run",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_something_is_refused(tmp_path, capsys, protocol):
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"data": Dangerous()}, protocol))
    line = fault(tmp_path)
    assert "print" in line
    assert "do not trust" in line
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02}", b"hello", pickle.dumps([1, 2]), pickle.dumps({"data": 1, "labels": [1]})]
)
def test_a_pickle_that_is_no_batch(tmp_path, content):
    (tmp_path / "data_batch_1").write_bytes(content)
    assert "not a CIFAR batch" in fault(tmp_path)


def test_npz(tmp_path):
    file = tmp_path / "set.npz"
    file.write_bytes(b"PK\x03\x04 no archive")
    assert "cannot be read" in fault(file)
    x, y = np.zeros((4, 8, 8), np.uint8), np.arange(4) % 2
    for arrays, told in (
        ({"a": x}, "neither x_train and y_train nor images and labels"),
        ({"images": x}, "no targets; add labels"),
        ({"x_train": x}, "no targets; add y_train"),
        ({"images": x, "labels": y[:3]}, "4 pictures but 3 targets"),
        ({"images": x.astype(np.int64), "labels": y}, "pictures of int64"),
        ({"images": x[0], "labels": y}, "pictures of shape (8, 8)"),
        ({"images": np.zeros((4, 8, 8, 5), np.uint8), "labels": y}, "pictures of shape (4, 8, 8, 5)"),
        ({"images": x, "labels": np.array(["a", "b", "a", "b"])}, "make them whole numbers"),
    ):
        np.savez(file, **arrays)
        assert told in fault(file)
    np.savez(file, images=x, labels=np.array([{}] * 4, object))
    assert "cannot be read" in fault(file), "object arrays are pickles"


@pytest.mark.parametrize(
    "content", [b"", b"some text\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0 cut", b"II*\0 no directory"]
)
def test_a_broken_picture_is_named_when_it_is_decoded(tmp_path, content):
    draw_folder(tmp_path, {"train/cat": 9, "train/dog": 9, "valid/cat": 1, "valid/dog": 1})
    broken = tmp_path / "train/dog/003.png"
    broken.write_bytes(content)
    train = read(tmp_path).splits["train"]
    with pytest.raises(DataError) as error:
        train[12]
    assert str(error.value).startswith(f"{broken}: ")
    with pytest.raises(DataError, match="1 of 18 pictures are broken"):
        load(train, 8, 3)
    found = survey(tmp_path)
    assert [name for name, _ in found.broken] == ["train/dog/003.png"]
    assert found.broken[0][1].startswith(f"{broken}: ")
    assert "\n" not in found.broken[0][1]


def test_a_picture_that_vanishes_is_named(tmp_path):
    draw_folder(tmp_path, {"cat": 10, "dog": 10})
    train = read(tmp_path).splits["train"]
    (tmp_path / train.name(0)).unlink()
    with pytest.raises(DataError, match="No such file"):
        train[0]


def test_a_folder_that_may_not_be_listed(tmp_path, monkeypatch):
    draw_folder(tmp_path, {"cat": 1, "dog": 1})

    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    assert "Permission denied" in fault(tmp_path)


def test_warnings_of_a_decoder_do_not_escape(tmp_path, recwarn):
    draw_folder(tmp_path, {"cat": 10, "dog": 10})
    load(read(tmp_path).splits["train"], 8, 3)
    assert not recwarn.list
