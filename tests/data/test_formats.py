"""Every format gives the pictures, targets and splits that were put in, and is recognised by its looks alone."""

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from legato.data.detect import FORMATS, detect, read
from legato.data.examples import PictureSet
from legato.errors import DataError, UsageError
from tests.data.drawn import draw_folder, noise


def sizes(found: PictureSet) -> dict[str, int]:
    return {split: len(examples) for split, examples in found.splits.items()}


def every_name(found: PictureSet) -> list[str]:
    return [name for examples in found.splits.values() for name in examples.names()]


# class folders


def test_train_valid_and_test_folders(tmp_path):
    draw_folder(tmp_path, {f"{s}/{c}": n for s, n in (("train", 4), ("val", 2), ("test", 3)) for c in ("cat", "dog")})
    draw_folder(tmp_path, {"train/dog/young": 2})
    (tmp_path / "train/cat/notes.txt").write_text("ignored")
    found = read(tmp_path)
    assert (found.format, found.kind, found.names, found.channels) == ("image_folder", "class", ("cat", "dog"), 3)
    assert sizes(found) == {"train": 10, "valid": 4, "test": 6}
    assert "val/" in found.policy
    table = found.splits["train"]
    assert [(table.name(i), table[i][1]) for i in (0, 9)] == [("train/cat/000.png", 0), ("train/dog/young/001.png", 1)]


def test_without_valid_a_tenth_of_train_validates_and_it_is_said(tmp_path):
    found = read(draw_folder(tmp_path, {"train/a": 30, "train/b": 10, "test/a": 2, "test/b": 2}))
    assert sizes(found) == {"train": 36, "valid": 4, "test": 4}
    assert np.bincount(found.splits["valid"].targets).tolist() == [3, 1]
    assert "valid is the last tenth of train" in found.policy
    assert "4 of 40" in found.policy


def test_without_test_there_is_none_and_it_is_said(tmp_path):
    found = read(draw_folder(tmp_path, {"train/a": 9, "train/b": 9}))
    assert sizes(found) == {"train": 16, "valid": 2, "test": 0}
    assert "no test split" in found.policy


def test_a_flat_folder_is_cut_into_80_10_10(tmp_path):
    found = read(draw_folder(tmp_path, {"a": 40, "b": 20}))
    assert sizes(found) == {"train": 48, "valid": 6, "test": 6}
    assert len(set(every_name(found))) == 60
    assert "80, 10 and 10 %" in found.policy


def test_a_class_may_be_called_train(tmp_path):
    found = read(draw_folder(tmp_path, {"car": 10, "train": 10, "ship": 10}))
    assert found.names == ("car", "ship", "train")


def test_folds_part_train_and_valid_and_leave_test_alone(tmp_path):
    draw_folder(tmp_path, {"train/a": 9, "train/b": 4, "valid/a": 3, "valid/b": 2, "test/a": 2, "test/b": 1})
    folds = [read(tmp_path, f"{k}/3") for k in (1, 2, 3)]
    valid = [set(found.splits["valid"].names()) for found in folds]
    assert [len(v) for v in valid] == [6, 6, 6]
    assert len(set.union(*valid)) == 18
    for found in folds:
        assert sizes(found) == {"train": 12, "valid": 6, "test": 3}
        assert not set(found.splits["valid"].names()) & set(found.splits["train"].names())
        assert np.bincount(found.splits["valid"].targets).tolist() == [4, 2]
        assert found.splits["test"].targets.tolist() == [0, 0, 1]
    assert "fold 2/3" in folds[1].policy
    with pytest.raises(UsageError, match="2/5"):
        read(tmp_path, "4/3")


def test_a_split_does_not_depend_on_where_the_folder_lies(tmp_path):
    counts = {"train/a": 30, "train/b": 20}
    first, second = (read(draw_folder(tmp_path / name, counts)) for name in ("one", "two"))
    assert every_name(first) == every_name(second)


# IDX


def write_idx(path: Path, array: np.ndarray) -> None:
    data = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)


def write_mnist(path: Path, train: int = 30, test: int = 7, suffix: str = "") -> None:
    for name, count, seed in (("train", train, 0), ("t10k", test, 1)):
        write_idx(
            path / f"{name}-images-idx3-ubyte{suffix}", np.stack([noise(seed + k, channels=1) for k in range(count)])
        )
        write_idx(path / f"{name}-labels-idx1-ubyte{suffix}", (np.arange(count) % 3).astype(np.uint8))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx(tmp_path, suffix):
    write_mnist(tmp_path, suffix=suffix)
    found = read(tmp_path)
    assert (found.format, found.names, found.channels) == ("idx", ("0", "1", "2"), 1)
    assert sizes(found) == {"train": 27, "valid": 3, "test": 7}
    table = found.splits["test"]
    assert np.array_equal(table[4][0].pixels[0], noise(5, channels=1))
    assert (table[4][1], table.name(4)) == (1, "test[4]")


def test_gzipped_or_not_the_split_is_the_same(tmp_path):
    for name, suffix in (("plain", ""), ("packed", ".gz")):
        (tmp_path / name).mkdir()
        write_mnist(tmp_path / name, suffix=suffix)
    assert every_name(read(tmp_path / "plain")) == every_name(read(tmp_path / "packed"))


def test_real_mnist(real_data):
    found = read(real_data / "mnist")
    known = np.bincount(np.concatenate([found.splits[s].targets for s in ("train", "valid")]))
    assert known.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949], "LeCun's own counts"
    assert sizes(found)["test"] == 10_000
    first, label = found.splits["test"][0]
    assert (label, first.pixels.shape) == (7, (1, 28, 28)), "the first test digit is a 7"


# CIFAR


def cifar_records(count: int, classes: int, coarse: bool) -> tuple[bytes, np.ndarray, np.ndarray]:
    pixels = np.random.default_rng(count).integers(0, 256, (count, 3072), np.uint8)
    labels = np.arange(count) % classes
    head = [bytes([int(k) // 5, int(k)]) if coarse else bytes([int(k)]) for k in labels]
    return b"".join(h + p.tobytes() for h, p in zip(head, pixels)), pixels, labels


def test_binary_cifar_10(tmp_path):
    for k in (1, 2):
        (tmp_path / f"data_batch_{k}.bin").write_bytes(cifar_records(20 + k, 4, False)[0])
    (tmp_path / "test_batch.bin").write_bytes(cifar_records(8, 4, False)[0])
    (tmp_path / "batches.meta.txt").write_text("plane\ncar\nbird\ncat\n\n")
    found = read(tmp_path)
    assert (found.format, found.names) == ("cifar", ("plane", "car", "bird", "cat"))
    assert sum(sizes(found).values()) == 51
    _, pixels, labels = cifar_records(8, 4, False)
    image, target = found.splits["test"][5]
    assert target == labels[5]
    assert np.array_equal(image.pixels.flatten(), pixels[5]), "red, green, blue, row by row"


def test_binary_cifar_100_takes_the_fine_label(tmp_path):
    (tmp_path / "train.bin").write_bytes(cifar_records(40, 10, True)[0])
    (tmp_path / "test.bin").write_bytes(cifar_records(10, 10, True)[0])
    found = read(tmp_path)
    assert found.names == tuple("0123456789")
    assert found.splits["test"].targets.tolist() == list(range(10))


def python_2_pickle(data: np.ndarray, labels: list[int]) -> bytes:
    """As cPickle of Python 2 wrote a CIFAR batch: byte strings, numpy by its old names, protocol 2."""

    def text(s: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(s)) + s

    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    kind = (
        b"cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\x00K\x01\x87R(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    shape = b"M" + struct.pack("<H", data.shape[0]) + b"M" + struct.pack("<H", data.shape[1]) + b"\x86"
    state = b"(K\x01" + shape + kind + b"\x89" + text(data.tobytes()) + b"tb"
    listed = b"](" + b"".join(b"K" + bytes([k]) for k in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + state + text(b"labels") + listed + b"u."


def test_the_pickle_written_here_is_what_python_2_wrote():
    data = np.arange(12, dtype=np.uint8).reshape(2, 6)
    found = pickle.loads(python_2_pickle(data, [3, 1]), encoding="bytes")
    assert np.array_equal(found[b"data"], data)
    assert found[b"labels"] == [3, 1]


def test_pickled_cifar_is_read_without_importing_anything(tmp_path):
    _, pixels, labels = cifar_records(30, 3, False)
    (tmp_path / "data_batch_1").write_bytes(python_2_pickle(pixels, labels.tolist()))
    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": pixels[:6], b"labels": labels[:6].tolist()}, 2))
    (tmp_path / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a", "b", "c"]}, 2))
    found = read(tmp_path)
    assert found.names == ("a", "b", "c")
    assert sizes(found) == {"train": 27, "valid": 3, "test": 6}
    assert np.array_equal(found.splits["test"][5][0].pixels.flatten(), pixels[5])


# tables


def write_table(path: Path, text: str, pictures: int = 20) -> Path:
    draw_folder(path, {"img": pictures})
    (path / "labels.csv").write_text(text)
    return path / "labels.csv"


def test_a_column_of_words_is_classes(tmp_path):
    file = write_table(
        tmp_path, "path,label\n" + "".join(f"img/{k:03}.png,{'cat' if k % 2 else 'dog'}\n" for k in range(20))
    )
    found = read(file)
    assert (found.format, found.kind, found.names) == ("table", "class", ("cat", "dog"))
    assert sizes(found) == {"train": 16, "valid": 2, "test": 2}
    image, target = found.splits["train"][0]
    name = found.splits["train"].name(0)
    assert found.names[target] == ("cat" if int(name[4:7]) % 2 else "dog")
    assert np.array_equal(image.pixels.permute(1, 2, 0), noise(int(name[4:7])))
    assert every_name(read(tmp_path)) == every_name(found), "the folder of a single table is that table"


def test_numbered_classes_are_in_order_of_value(tmp_path):
    found = read(write_table(tmp_path, "image\tlabel\n" + "".join(f"img/{k:03}.png\t{k % 11}\n" for k in range(20))))
    assert found.names == tuple(map(str, range(11)))


def test_words_parted_by_semicolons_are_labels(tmp_path):
    rows = ["red;round", "red", "", "round; soft"] * 5
    found = read(write_table(tmp_path, "path,labels\n" + "".join(f"img/{k:03}.png,{w}\n" for k, w in enumerate(rows))))
    assert (found.kind, found.names) == ("labels", ("red", "round", "soft"))
    every = {n: t.tolist() for s in found.splits.values() for n, t in zip(s.names(), s.targets)}
    assert [every[f"img/00{k}.png"] for k in range(4)] == [[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 1]]


def test_columns_of_zeros_and_ones_are_labels_and_empty_is_unknown(tmp_path):
    found = read(
        write_table(
            tmp_path, "path,smile,hat\n" + "".join(f"img/{k:03}.png,{k % 2},{'' if k == 3 else 1}\n" for k in range(20))
        )
    )
    assert (found.kind, found.names) == ("labels", ("smile", "hat"))
    every = np.concatenate([s.targets for s in found.splits.values()])
    assert every.dtype == np.float32
    assert np.isnan(every).sum() == 1


def test_columns_of_numbers_are_numbers(tmp_path):
    rows = "".join(f"img/{k:03}.png,{k / 20},{1 - k / 20}\n" for k in range(20))
    found = read(write_table(tmp_path, "path,smooth,disk\n" + rows))
    assert (found.kind, found.names) == ("numbers", ("smooth", "disk"))
    for examples in found.splits.values():
        ids = np.array([int(name[4:7]) for name in examples.names()])
        assert np.allclose(examples.targets, np.stack([ids / 20, 1 - ids / 20], 1))


def test_one_column_of_numbers_is_a_number(tmp_path):
    found = read(write_table(tmp_path, "path;age\n" + "".join(f"img/{k:03}.png;{20 + k}\n" for k in range(20))))
    assert (found.kind, found.names) == ("numbers", ("age",))
    assert found.splits["train"].targets.shape == (16, 1)


def test_a_column_or_files_say_the_split(tmp_path):
    where = ["train"] * 12 + ["val"] * 4 + ["test"] * 4
    rows = [f"img/{k:03}.png,{'ab'[k % 2]}" for k in range(20)]
    by_column = read(write_table(tmp_path, "path,label,split\n" + "".join(f"{r},{s}\n" for r, s in zip(rows, where))))
    for split in ("train", "val", "test"):
        chosen = "".join(f"{r}\n" for r, s in zip(rows, where) if s == split)
        (tmp_path / f"{split}.csv").write_text("path,label\n" + chosen)
    by_files = read(tmp_path)
    assert sizes(by_column) == sizes(by_files) == {"train": 12, "valid": 4, "test": 4}
    assert every_name(by_column) == every_name(by_files)
    assert "column split" in by_column.policy
    assert "val.csv" in by_files.policy


# archives


@pytest.mark.parametrize(
    ("keys", "shape"),
    [
        (("x_train", "y_train", "x_test", "y_test"), (8, 8)),
        (("train_images", "train_labels", "test_images", "test_labels"), (8, 8, 3)),
    ],
)
def test_npz_with_splits(tmp_path, keys, shape):
    x = np.random.default_rng(0).integers(0, 256, (30, *shape), np.uint8)
    y = (np.arange(30) % 3)[:, None].astype(np.uint8)
    np.savez(tmp_path / "set.npz", **dict(zip(keys, (x[:24], y[:24], x[24:], y[24:]))))
    found = read(tmp_path / "set.npz")
    assert (found.format, found.kind, found.names) == ("npz", "class", ("0", "1", "2"))
    assert sizes(found) == {"train": 21, "valid": 3, "test": 6}
    image, target = found.splits["test"][2]
    assert target == 26 % 3
    assert np.array_equal(image.pixels.permute(1, 2, 0).squeeze(), x[26])


def test_npz_of_floats_one_hot_and_named(tmp_path):
    x = np.random.default_rng(0).random((20, 8, 8), np.float32)
    np.savez(tmp_path / "set.npz", images=x, labels=np.eye(2)[np.arange(20) % 2], classes=np.array(["no", "yes"]))
    found = read(tmp_path / "set.npz")
    assert (found.kind, found.names, sizes(found)) == ("class", ("no", "yes"), {"train": 16, "valid": 2, "test": 2})
    row = found.splits["train"].rows[3]
    assert np.array_equal(found.splits["train"][3][0].pixels[0], np.round(x[row] * 255))
    assert found.splits["train"][3][1] == row % 2


def test_npz_of_numbers(tmp_path):
    np.savez(
        tmp_path / "set.npz", images=np.zeros((20, 8, 8), np.uint8), targets=np.random.default_rng(0).random((20, 3))
    )
    found = read(tmp_path / "set.npz")
    assert (found.kind, found.splits["train"].targets.shape) == ("numbers", (16, 3))


def test_digits_are_scikit_learns():
    found = read("digits")
    assert sum(sizes(found).values()) == 1797
    pixels, labels = load_digits(return_X_y=True)
    for examples in found.splits.values():
        assert np.array_equal(examples.targets, labels[examples.rows])
        assert np.bincount(examples.targets, minlength=10).min() > 8
    image, _ = found.splits["test"][3]
    assert np.abs(image.pixels.flatten().numpy() / 255 * 16 - pixels[found.splits["test"].rows[3]]).max() < 0.04


# which is it?


def test_every_format_is_recognised_by_its_looks(tmp_path):
    for name in ("idx", "cifar", "table", "folder"):
        (tmp_path / name).mkdir()
    write_mnist(tmp_path / "idx")
    (tmp_path / "cifar/data_batch_1.bin").write_bytes(bytes(3073))
    write_table(tmp_path / "table", "path,label\nimg/000.png,a\n")
    draw_folder(tmp_path / "folder", {"a": 1, "b": 1})
    (tmp_path / "folder/notes.csv").write_text("who,when\n")
    np.savez(tmp_path / "set.npz", images=np.zeros(1))
    paths = {"idx": "idx", "cifar": "cifar", "table": "table", "image_folder": "folder", "npz": "set.npz"}
    assert {name: detect(tmp_path / path) for name, path in paths.items()} == {name: name for name in paths}
    assert detect("digits") == "digits"
    assert set(FORMATS) == {*paths, "digits"}
    assert all(FORMATS.values())


def test_a_misspelt_path_is_answered_with_its_neighbour(tmp_path):
    draw_folder(tmp_path / "flowers", {"a": 1, "b": 1})
    with pytest.raises(DataError, match="did you mean flowers"):
        detect(tmp_path / "flowrs")
    with pytest.raises(DataError, match="neither is"):
        detect(tmp_path / "no/where")


@pytest.mark.parametrize("name", ["cifar10_small", "gtsrb_small", "galaxies_small"])
def test_real_folders(real_data, name):
    classes, train, test = {
        "cifar10_small": (10, 10_000, 2_000),
        "gtsrb_small": (43, 3_440, 860),
        "galaxies_small": (3, 51, 19),
    }[name]
    found = read(real_data / name)
    assert len(found.names) == classes
    assert len(found.splits["train"]) + len(found.splits["valid"]) == train
    assert len(found.splits["test"]) == test
    assert set(found.splits["valid"].targets) == set(range(classes)), "every class is validated"
