"""Sentences and their classes in every format, the splits they get, and what is wrong with some."""

import json

import pytest

from legato.data import captions, conllu, sentences, text_pairs
from legato.errors import DataError, UsageError


def many(count: int, word: str) -> list[str]:
    return [f"{word} sentence number {i}" for i in range(count)]


def test_a_pair_of_files_is_split_into_tenths(tmp_path):
    (tmp_path / "rt.pos").write_text("\n".join(many(300, "good")))
    (tmp_path / "rt.neg").write_text("\n".join(many(300, "bad")))
    found = sentences.read(tmp_path)
    assert found.names == ("negative", "positive")
    assert all(text.startswith(("bad", "good")[k]) for part in found.splits.values() for text, k in part)
    assert sum(map(len, found.splits.values())) == 600
    assert 400 < len(found.splits["train"]) < 540
    assert "80, 10 and 10 %" in found.policy


def test_half_a_pair_is_refused(tmp_path):
    (tmp_path / "rt.pos").write_text("good")
    with pytest.raises(DataError, match=r"\.pos without its partner"):
        sentences.read(tmp_path)


def test_trec_has_coarse_and_fine_classes(tmp_path):
    (tmp_path / "TREC.train").write_text(
        "".join(f"NUM:count How many {i} ?\nLOC:city Where is {i} ?\n" for i in range(20))
    )
    (tmp_path / "TREC.test").write_text("NUM:count How many are there ?\n")
    found = sentences.read(tmp_path)
    assert found.format == "TREC"
    assert found.names == ("LOC", "NUM")
    assert found.splits["test"] == [("How many are there ?", 1)]
    assert [len(found.splits[s]) for s in ("train", "valid")] == [36, 4]
    assert sentences.read(tmp_path, fine=True).names == ("LOC:city", "NUM:count")
    with (tmp_path / "TREC.train").open("a") as f:
        f.write("no class here\n")
    with pytest.raises(DataError, match=r"TREC\.train:41: 'no class here' is not `COARSE:fine question`"):
        sentences.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'label,text\nx,"one, two"\ny,three\n'),
        ("a.csv", "text;class\none, two;x\nthree;y\n"),
        ("a.tsv", "sentence\tlabel\none, two\tx\nthree\ty\n"),
        ("a.jsonl", '{"text": "one, two", "label": "x"}\n\n{"text": "three", "label": "y"}\n'),
    ],
)
def test_tables_of_several_kinds_say_the_same(tmp_path, name, content):
    (tmp_path / name).write_text(content * 1)
    parts, _ = sentences.read_tables(tmp_path / name, False)
    assert parts == {"train": [("one, two", "x"), ("three", "y")]}


def test_given_splits_of_a_table_are_kept(tmp_path):
    for split, word in (("train", "a"), ("dev", "x"), ("valid", "b"), ("test", "c")):
        (tmp_path / f"{split}.csv").write_text(f"text,label\n{word} one,x\n{word} two,y\n")
    found = sentences.read(tmp_path)
    assert {s: [t[0] for t, _ in part] for s, part in found.splits.items()} == {
        "train": ["a", "a"],
        "valid": ["b", "b"],
        "test": ["c", "c"],
    }


def test_folders_of_texts(tmp_path):
    for label in ("spam", "ham"):
        (tmp_path / label).mkdir()
        for i in range(10):
            (tmp_path / label / f"{i}.txt").write_text(f"{label} {i}")
    found = sentences.read(tmp_path)
    assert found.names == ("ham", "spam")
    assert [len(found.splits[s]) for s in ("train", "valid", "test")] == [16, 2, 2]
    for split in ("train", "test"):
        (tmp_path / "both" / split).mkdir(parents=True)
        for label in ("spam", "ham"):
            (tmp_path / label).rename(tmp_path / "both" / split / label) if split == "train" else None
    assert sentences.split_folders(tmp_path / "both").keys() == {"train", "test"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\none,x\ntwo\n", r"a\.csv:3: 1 values where the header names 2"),
        ("a.csv", "text,label\none,x\ntwo,\n", r"a\.csv:3: no label"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{oops\n', r"a\.jsonl:2: no JSON"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": "a"}\n', r"a\.jsonl:2: needs text and label, has text"),
        ("a.csv", "text,label\none,x\ntwo,x\n", "one class only"),
        ("a.md", "nothing to see\n", "no sentences with classes found"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        sentences.read(tmp_path / name)


def test_every_sentence_is_tested_in_exactly_one_fold(tmp_path):
    (tmp_path / "rt.pos").write_text("\n".join(many(53, "good")))
    (tmp_path / "rt.neg").write_text("\n".join(many(49, "bad")))
    folds = [sentences.read(tmp_path, f"{i}/5").splits for i in range(1, 6)]
    tested = [text for fold in folds for text, _ in fold["test"]]
    assert sorted(tested) == sorted(many(53, "good") + many(49, "bad"))
    for fold in folds:
        parts = [{text for text, _ in fold[s]} for s in ("train", "valid", "test")]
        assert not (parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2])
        assert sum(map(len, parts)) == 102
    with pytest.raises(UsageError, match="--fold 6/5"):
        sentences.read(tmp_path, "6/5")


def test_equal_sentences_never_stand_on_both_sides(tmp_path):
    rows = [{"text": f"sentence {i % 40}", "label": "xy"[i % 2]} for i in range(200)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = sentences.read(tmp_path / "a.jsonl").splits
    assert not {t for t, _ in found["train"]} & {t for t, _ in found["test"]}


def test_the_real_sets_have_their_published_counts(real_data):
    found = sentences.read(real_data / "rt_polarity").splits
    assert sum(map(len, found.values())) == 10_662
    assert sum(k for part in found.values() for _, k in part) == 5_331
    found = sentences.read(real_data / "trec_questions")
    assert (len(found.splits["train"]) + len(found.splits["valid"]), len(found.splits["test"])) == (5_452, 500)
    assert found.names == ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
    assert len(sentences.read(real_data / "trec_questions", fine=True).names) == 50


def test_trec_is_read_under_the_names_it_was_published_with(tmp_path):
    (tmp_path / "train_5500.label").write_text("HUM:ind Who is it ?\nLOC:city Where is it ?\n" * 10)
    (tmp_path / "TREC_10.label").write_text("HUM:ind Who was it ?\n")
    found = sentences.read(tmp_path)
    assert found.format == "TREC"
    assert found.splits["test"] == [("Who was it ?", 0)]


def test_tags_translations_and_captions_have_folds_too(tmp_path):
    """Each of four folds validates what no other does; the test split stays; `all` leaves nobody out of training."""
    (tmp_path / "tags").mkdir()
    (tmp_path / "pairs").mkdir()
    (tmp_path / "shown").mkdir()
    words = [f"w{i}" for i in range(40)]
    (tmp_path / "tags" / "train.conll").write_text("\n\n".join(f"{w} N" for w in words))
    (tmp_path / "tags" / "test.conll").write_text("x N\n")
    for language in ("de", "en"):
        (tmp_path / "pairs" / f"train.{language}").write_text("\n".join(words))
        (tmp_path / "pairs" / f"test.{language}").write_text("x\n")
    (tmp_path / "shown" / "captions.txt").write_text("image,caption\n" + "".join(f"{w}.jpg,{w} is it\n" for w in words))
    for w in words:
        (tmp_path / "shown" / f"{w}.jpg").write_bytes(b"")
    readers = {
        "tags": lambda fold: conllu.read(tmp_path / "tags", fold=fold),
        "pairs": lambda fold: text_pairs.read(tmp_path / "pairs", fold=fold),
        "shown": lambda fold: captions.read(tmp_path / "shown", fold),
    }
    for name, read in readers.items():
        folds = [read(f"{k}/4").splits for k in (1, 2, 3, 4)]
        judged = [str(x) for parts in folds for x in parts["test" if name == "shown" else "valid"]]
        assert len(judged) == len(set(judged)) == 40
        everything = read("all").splits
        assert (len(everything["train"]), everything["valid"]) == (40, [])
        assert len(everything["test"]) == (0 if name == "shown" else 1)
