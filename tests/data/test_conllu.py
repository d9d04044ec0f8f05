"""Tagged words: which lines are words, which column is the tag, and what is wrong with some."""

import pytest

from legato.data import conllu
from legato.errors import DataError, UsageError

HEAD = "# sent_id = 1\n# text = They don't\n"
ROWS = [
    "1\tThey\tthey\tPRON\tPRP\t_\t2\tnsubj\t_\t_",
    "2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_",
    "2\tdo\tdo\tAUX\tVBP\t_\t0\troot\t_\t_",
    "3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_",
    "3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_",
]
CONLLU = HEAD + "\n".join(ROWS) + "\n\n" + "1\tYes\tyes\tINTJ\tUH\t_\t0\troot\t_\t_\n"


def test_contractions_and_empty_nodes_are_no_words(tmp_path):
    (tmp_path / "a.conllu").write_text(CONLLU)
    found = list(conllu.read_file(tmp_path / "a.conllu", "upos"))
    assert found == [(("They", "do", "n't"), ("PRON", "AUX", "PART")), (("Yes",), ("INTJ",))]
    assert [tags for _, tags in conllu.read_file(tmp_path / "a.conllu", "deprel")] == [
        ("nsubj", "root", "advmod"),
        ("root",),
    ]


def test_older_columns_have_the_tag_last(tmp_path):
    (tmp_path / "a.conll").write_text(
        "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n\nPeter NNP O B-PER"
    )
    found = list(conllu.read_file(tmp_path / "a.conll", "upos"))
    assert found == [(("EU", "rejects"), ("B-ORG", "O")), (("Peter",), ("B-PER",))]


def test_jsonl(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"words": ["a", "b"], "tags": ["X", "Y"]}\n{"tokens": ["c"], "labels": ["X"]}\n')
    assert list(conllu.read_file(tmp_path / "a.jsonl", "upos")) == [(("a", "b"), ("X", "Y")), (("c",), ("X",))]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.conllu", HEAD + "1\tThey\tthey\tPRON\n", r"a\.conllu:3: 4 columns, CoNLL-U has 10"),
        ("a.conllu", CONLLU + "x\n", r"a\.conllu:10: 'x' where CoNLL-U has the number of a word"),
        ("a.conllu", ROWS[0].replace("PRON", "_"), r"a\.conllu:1: no tag in column 4"),
        ("a.conll", "EU X\nrejects\n", r"a\.conll:2: one column only"),
        ("a.jsonl", '{"words": ["a"], "tags": []}', r"a\.jsonl:1: 1 words but 0 tags"),
        ("a.jsonl", '{"words": "a", "tags": "b"}', r"a\.jsonl:1: needs lists words and tags"),
        ("a.conllu", "", r"a\.conllu: empty"),
        ("a.conllu", "# only a comment\n", r"a\.conllu: no sentences"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        conllu.read(tmp_path / name)


def test_files_are_found_by_their_names(tmp_path):
    for split in ("train", "dev", "test"):
        (tmp_path / f"en_ewt-ud-{split}.conllu").write_text(CONLLU)
    found = conllu.read(tmp_path)
    assert {s: len(part) for s, part in found.splits.items()} == {"train": 2, "valid": 2, "test": 2}
    assert found.names == ("AUX", "INTJ", "PART", "PRON")
    with pytest.raises(UsageError, match="did you mean upos"):
        conllu.read(tmp_path, "uposs")


def test_one_file_is_split_into_tenths(tmp_path):
    (tmp_path / "a.conll").write_text("\n\n".join(f"word{i} X\nis Y" for i in range(50)))
    found = conllu.read(tmp_path)
    assert [len(found.splits[s]) for s in ("train", "valid", "test")] == [40, 5, 5]


def test_the_real_treebank_has_its_published_counts(real_data):
    found = conllu.read(real_data / "ud_english_ewt")
    assert [len(found.splits[s]) for s in ("train", "valid", "test")] == [12_544, 2_001, 2_077]
    words = [sum(len(words) for words, _ in found.splits[s]) for s in ("train", "valid", "test")]
    assert words == [204_577, 25_147, 25_094]
    assert len(found.names) == 17


@pytest.mark.parametrize(
    ("name", "text", "format"),
    [
        ("a.jsonl", '{"words": ["a", "dog"], "tags": ["D", "N"]}\n' * 20, "JSONL"),
        ("train.txt", "-DOCSTART- -X- O O\n\n" + "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n" * 20, "CoNLL columns"),
        ("a.txt", "a D\ndog N\n\nthe D\ncat N\n" * 9, "CoNLL columns"),
        ("a.jsonl", '{"text": "a dog", "label": "N"}\n' * 20, ""),
        ("a.jsonl", "no JSON\n" * 20, ""),
        ("a.txt", "Shall I compare thee to\na summer's day?\n\nThou art more lovely and\nmore temperate:\n", ""),
        ("a.txt", "hello there\nhello you\n" * 9, ""),
        ("a.txt", "", ""),
    ],
)
def test_a_set_is_known_by_what_it_holds(tmp_path, name, text, format):
    (tmp_path / name).write_text(text)
    assert [conllu.recognises(path) for path in (tmp_path / name, tmp_path)] == [bool(format)] * 2
    if format:
        assert conllu.read(tmp_path).format == format
