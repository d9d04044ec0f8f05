"""The card of a set of texts, each number counted by hand."""

import json

import pytest

from legato import cli
from legato.data.survey_text import recognises, survey


@pytest.fixture
def ud(tmp_path):
    for split, sentences in (
        ("train", ["a/D dog/N", "a/D dog/N", "I/P run/V"]),
        ("dev", ["a/D dog/N"]),
        ("test", ["a/D cat/N"]),
    ):
        rows = [f"{w.split('/')[0]}\t{w.split('/')[1]}" for s in sentences for w in (*s.split(), "/")]
        (tmp_path / f"{split}.conll").write_text("\n".join(row.strip() for row in rows) + "\n")
    return tmp_path


def test_words_tags_repeats_and_leaks_are_counted(ud):
    found = survey(ud)
    assert (found.task, found.counts) == ("tag", {"train": 3, "valid": 1, "test": 1})
    assert found.names == {"D": 2, "N": 2, "P": 1, "V": 1}
    assert (found.words, found.vocabulary, found.characters) == (6, 4, len(set("a dogI run")))
    assert found.lengths == (2, 2, 2)
    assert found.unseen == {"valid": 0.0, "test": 0.5}
    assert found.repeated == 1
    assert found.leaks == {"valid": 1, "test": 0}
    assert "4 tags in train: D 2, N 2, P 1, V 1" in str(found)
    assert "sentences of valid that are in train: 1" in str(found)


def test_legato_data_is_for_texts_too(tmp_path, capsys):
    (tmp_path / "book.txt").write_text("a b\n" * 18 + "c d\n" * 2)
    assert cli.main(["data", str(tmp_path / "book.txt"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["task"], found["counts"], found["vocabulary"]) == (
        "language",
        {"train": 18, "valid": 2, "test": 0},
        2,
    )
    assert cli.main(["data", str(tmp_path / "book.txt"), "--sheet", str(tmp_path / "a.png")]) == 2
    assert "no contact sheet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "task"),
    [
        ("a.tsv", "en\tde\n" + "a dog\tein Hund\nthe cat\tdie Katze\n" * 9, "translate"),
        ("a.jsonl", '{"words": ["a"], "tags": ["D"]}\n' * 20, "tag"),
        ("a.csv", "text,label\n" + "".join(f"good {i},yes\nbad {i},no\n" for i in range(20)), "classify_text"),
    ],
)
def test_the_task_is_that_of_the_format(tmp_path, name, text, task):
    (tmp_path / name).write_text(text)
    assert recognises(tmp_path / name)
    assert survey(tmp_path / name).task == task


def test_captions_are_sentences_of_pictures(tmp_path):
    lines = [f"{name}.jpg,a dog runs\n{name}.jpg,the brown dog runs\n" for name in "abcdefghijklmnopqrst"]
    (tmp_path / "captions.txt").write_text("image,caption\n" + "".join(lines))
    for name in "abcdefghijklmnopqrst":
        (tmp_path / f"{name}.jpg").write_bytes(b"")
    found = survey(tmp_path)
    assert (found.task, found.format) == ("caption", "captions of 20 pictures")
    assert sum(found.counts.values()) == 40
    assert (found.vocabulary, found.lengths) == (5, (3, 3, 4))


def test_of_three_languages_the_first_two_are_told(tmp_path):
    for language, line in (("de", "ein Hund"), ("en", "a dog"), ("fr", "un chien")):
        (tmp_path / f"train.{language}").write_text(f"{line}\n" * 20)
    found = survey(tmp_path)
    assert found.format == "parallel files, de to en (and fr: --source, --target)"
    assert found.vocabulary == 2


def test_pictures_are_left_to_others(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "a.txt").write_text("0 0.5 0.5 1 1\n")
    assert not recognises(tmp_path)
