"""Running text from files and folders, and what is wrong with some."""

import pytest

from legato.data import text_files
from legato.errors import DataError


def test_the_last_tenth_of_a_file_validates(tmp_path):
    (tmp_path / "a.txt").write_text("0123456789" * 10)
    found = text_files.read(tmp_path / "a.txt")
    assert (found.splits["train"], found.splits["valid"], found.splits["test"]) == ("0123456789" * 9, "0123456789", "")
    assert found.policy == "a.txt; valid is the last tenth of it; there is no test split"


def test_a_folder_is_all_its_files_in_order_of_their_names(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.c", "a.h", "deep/c.c", ".hidden"):
        (tmp_path / name).write_text(name)
    found = text_files.read(tmp_path)
    assert found.splits["train"] + found.splits["valid"] == "a.h\nb.c\ndeep/c.c"


def test_input_txt_is_the_text_of_a_folder_that_has_one(tmp_path):
    (tmp_path / "input.txt").write_text("the text")
    (tmp_path / "LICENCE").write_text("another")
    found = text_files.read(tmp_path)
    assert found.splits["train"] + found.splits["valid"] == "the text"


def test_given_splits_are_kept(tmp_path):
    for name in ("train", "val", "test"):
        (tmp_path / f"{name}.txt").write_text(name)
    assert text_files.read(tmp_path).splits == {"train": "train", "valid": "val", "test": "test"}


def test_bytes_that_are_no_utf8_are_named(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"fine\nbad \xff here")
    with pytest.raises(DataError, match=r"a\.txt: not UTF-8 at byte 9 \(0xFF, line 2\)"):
        text_files.read(tmp_path / "a.txt")


@pytest.mark.parametrize("content", ["", " \n\n"])
def test_an_empty_file_is_refused(tmp_path, content):
    (tmp_path / "a.txt").write_text(content)
    with pytest.raises(DataError, match=r"a\.txt: empty"):
        text_files.read(tmp_path)


def test_nothing_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="an empty folder"):
        text_files.read(tmp_path)
    with pytest.raises(DataError, match="not found"):
        text_files.read(tmp_path / "x")


def test_line_ends_are_made_uniform_and_marks_left_out(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree")
    assert text_files.read_text(tmp_path / "a.txt") == "one\ntwo\nthree"
    assert text_files.lines_of(tmp_path / "a.txt") == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("folder", "characters"),
    [
        ("tinyshakespeare", 1_115_394),
        ("war_and_peace", 3_196_214),
        ("algebra_latex", 1_945_634),
        ("portuguese_questions", 50_644),
        ("names", 228_145),
    ],
)
def test_the_real_texts_are_as_long_as_their_readme_says(real_data, folder, characters):
    found = text_files.read(real_data / "text" / folder)
    assert len(found.splits["train"] + found.splits["valid"]) == characters


def test_a_sentence_is_said_or_stands_in_a_file(tmp_path):
    (tmp_path / "one.txt").write_text("a dog\n\n")
    (tmp_path / "two.txt").write_text("a dog\na cat\n")
    assert text_files.sentence("Dr. No is a film.") == "Dr. No is a film."
    assert text_files.sentence("a dog " * 900) == "a dog " * 900
    assert text_files.sentence(str(tmp_path / "one.txt")) == "a dog"
    with pytest.raises(DataError, match=r"two.txt: 2 lines"):
        text_files.sentence(str(tmp_path / "two.txt"))
    with pytest.raises(DataError, match=r"three.txt: not found"):
        text_files.sentence("three.txt")


def test_splits_are_named_in_their_order(tmp_path):
    for name in ("test", "train", "valid"):
        (tmp_path / f"{name}.txt").write_text(name)
    assert text_files.read(tmp_path).policy == "as in train.txt, valid.txt, test.txt"


def test_a_folder_of_nothing_but_texts(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.txt", "sub/b.txt", ".hidden"):
        (tmp_path / name).write_text("a")
    assert text_files.only_text(tmp_path)
    (tmp_path / "sub/b.png").write_text("a")
    assert not text_files.only_text(tmp_path)
