"""Sentences in two languages from parallel files and tables, and what is wrong with some."""

import pytest

from legato.data import text_pairs
from legato.errors import DataError, UsageError


def write(folder, name, lines):
    (folder / name).write_text("\n".join(lines) + "\n")


def test_parallel_files_are_read_line_by_line(tmp_path):
    for split in ("train", "val", "test2016"):
        write(tmp_path, f"{split}.de", ["eins", "zwei"])
        write(tmp_path, f"{split}.en", ["one", "two"])
    found = text_pairs.read(tmp_path)
    assert found.languages == ("de", "en")
    assert found.splits == {s: [("eins", "one"), ("zwei", "two")] for s in ("train", "valid", "test")}
    assert text_pairs.read(tmp_path, "en", "de").splits["test"][0] == ("one", "eins")


def test_files_of_unequal_length_are_refused_with_both_counts(tmp_path):
    write(tmp_path, "train.de", ["eins", "zwei", "drei"])
    write(tmp_path, "train.en", ["one", "two"])
    with pytest.raises(DataError, match=r"train\.de has 3 lines, .*train\.en has 2"):
        text_pairs.read(tmp_path)


def test_languages_must_be_named_where_there_are_three(tmp_path):
    for language in ("de", "en", "fr"):
        write(tmp_path, f"train.{language}", [language] * 20)
    with pytest.raises(UsageError, match=r"--source .*de, en, fr"):
        text_pairs.read(tmp_path)
    with pytest.raises(UsageError, match=r"--target nl: .*de, en, fr"):
        text_pairs.read(tmp_path, "de", "nl")
    assert text_pairs.read(tmp_path, "de", "fr").languages == ("de", "fr")


def test_tables(tmp_path):
    write(tmp_path, "a.tsv", ["eins\tone", "zwei\ttwo"])
    assert text_pairs.read_tables({"train": tmp_path / "a.tsv"}, "", "")[1]["train"] == [
        ("eins", "one"),
        ("zwei", "two"),
    ]
    write(tmp_path, "b.tsv", ["en\tx\tde", "one\t1\teins"])
    assert text_pairs.read_tables({"train": tmp_path / "b.tsv"}, "de", "en")[1]["train"] == [("eins", "one")]
    write(tmp_path, "c.jsonl", ['{"de": "eins", "en": "one"}', '{"en": "two", "de": "zwei"}'])
    assert text_pairs.read_tables({"train": tmp_path / "c.jsonl"}, "", "") == (
        ("de", "en"),
        {"train": [("eins", "one"), ("zwei", "two")]},
    )


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("a.tsv", ["eins\tone", "zwei"], r"a\.tsv:2: 1 columns, the first line has 2"),
        ("a.jsonl", ['{"de": "a", "en": "b"}', '{"de": "a"}'], r"a\.jsonl:2: has de; name two"),
        ("a.txt", ["x"], "neither TSV nor JSONL"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, name, lines, message):
    write(tmp_path, name, lines)
    with pytest.raises(DataError, match=message):
        text_pairs.read(tmp_path / name)


def test_multi30k_has_its_published_counts(real_data):
    found = text_pairs.read(real_data / "multi30k", "de", "en")
    assert [len(found.splits[s]) for s in ("train", "valid", "test")] == [29_000, 1_014, 1_000]
    assert found.splits["test"][0] == (
        "Ein Mann mit einem orangefarbenen Hut, der etwas anstarrt.",
        "A man in an orange hat starring at something.",
    )


def test_a_table_is_read_again_by_what_it_was_found_to_be(tmp_path):
    plain, headed = tmp_path / "plain.tsv", tmp_path / "headed.tsv"
    plain.write_text("a dog\tein Hund\nthe cat\tdie Katze\n")
    headed.write_text("en\tde\na dog\tein Hund\nthe cat\tdie Katze\n")
    for file, languages in ((plain, ("first", "second")), (headed, ("en", "de"))):
        found = text_pairs.read(file)
        assert found.languages == languages
        assert text_pairs.read(file, *found.languages).splits == found.splits
        assert {pair for pairs in found.splits.values() for pair in pairs} == {
            ("a dog", "ein Hund"),
            ("the cat", "die Katze"),
        }


@pytest.mark.parametrize(
    ("name", "text", "known"),
    [
        ("a.tsv", "en\tde\na dog\tein Hund\n", True),
        ("a.tsv", "text\tlabel\na dog\tanimal\n", False),
        ("a.tsv", "a dog\tein Hund\n", False),
        ("a.jsonl", '{"en": "a dog", "de": "ein Hund"}\n', True),
        ("a.jsonl", '{"source": "a dog", "target": "ein Hund"}\n', True),
        ("a.jsonl", '{"text": "a dog", "label": "animal"}\n', False),
        ("a.jsonl", "[1, 2]\n", False),
        ("a.jsonl", "no JSON\n", False),
    ],
)
def test_a_table_is_of_pairs_where_it_names_two_languages(tmp_path, name, text, known):
    (tmp_path / name).write_text(text)
    assert [text_pairs.recognises(path) for path in (tmp_path / name, tmp_path)] == [known] * 2
