"""Sentences with a tag for each word: CoNLL-U, the older CoNLL columns, JSONL. In three splits."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from legato.data.policy import SPLITS
from legato.data.sentences import in_parts, json_object, lines
from legato.data.splits import shares
from legato.data.text_files import hidden, read_text
from legato.errors import DataError, UsageError, nearest
from legato.task import Split

Tagged = tuple[tuple[str, ...], tuple[str, ...]]  # words, and their tags
COLUMNS = {"upos": 3, "xpos": 4, "deprel": 7}  # of CoNLL-U, whose second column is the word
CONLL = (".conllu", ".conll", ".iob", ".iob2")
SUFFIXES = (*CONLL, ".tsv", ".txt", ".jsonl")
WORDS, TAGS = ("words", "tokens"), ("tags", "labels", "pos", "ner_tags", "pos_tags")  # keys of JSONL


@dataclass(frozen=True, eq=False)
class TaggedSet:
    """A data set as read: the tags there are, and the sentences of each split."""

    format: str
    names: tuple[str, ...]
    splits: dict[Split, list[Tagged]]
    policy: str

    @property
    def fingerprint(self) -> str:
        return sha256(repr((self.names, self.splits)).encode("utf-8", "surrogatepass")).hexdigest()


def recognises(path: Path) -> bool:
    """A file that calls itself CoNLL or looks like it, JSONL with lists of words and tags; or a folder with one."""
    files = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    return any(looks_tagged(file) for file in files if file.suffix.lower() in SUFFIXES and not hidden([file.name]))


def looks_tagged(file: Path) -> bool:
    """By its ending; JSONL by its first object; other text by its first sentences, all lines of as many columns."""
    if file.suffix.lower() in CONLL:
        return True
    rows = first_lines(file)
    if file.suffix.lower() == ".jsonl":
        row = json_or_none(rows[0]) if rows else None
        return isinstance(row, dict) and all(isinstance(find(row, keys), list) for keys in (WORDS, TAGS))
    sentences = [s.split("\n") for s in "\n".join(row.strip() for row in rows).split("\n\n") if s.strip()]
    columns = {len(row.split()) for sentence in sentences for row in sentence if row and not row.startswith("#")}
    return len(columns) == 1 and columns.pop() > 1 and sum(len(sentence) > 1 for sentence in sentences) > 1


def first_lines(file: Path, most: int = 200) -> list[str]:
    """To tell formats by, whatever the file holds."""
    with file.open(encoding="utf-8-sig", errors="replace") as text:
        return text.read(1 << 16).split("\n")[:most]


def json_or_none(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def find(row: dict[str, Any], keys: Sequence[str]) -> Any:
    """What stands under the first of these keys that there is."""
    return next((row[key] for key in keys if key in row), None)


def read(path: Path, column: str = "upos", fold: str = "") -> TaggedSet:
    """A file, or a folder with files whose names say train, dev or valid, test.

    `column`: of CoNLL-U upos, xpos or deprel; of other columns the last is the tag. Raises DataError naming file and
    line for what is no such table, UsageError for a column or a fold ("2/5", "all") that is none.
    """
    if column not in COLUMNS:
        raise UsageError(f"--column {column}: no such column of CoNLL-U{nearest(column, COLUMNS)}")
    files = split_files(path)
    parts: dict[Split, list[Tagged]] = {split: list(read_file(file, column)) for split, file in files.items()}
    for split, file in files.items():
        if not parts[split]:
            raise DataError(f"{file}: no sentences")
    policy = ", ".join(file.name for file in files.values())
    splits, policy = in_parts(parts, policy, addresses, fold)
    names = tuple(sorted({tag for _, tags in splits["train"] for tag in tags}))
    return TaggedSet(format_of(files["train"]), names, splits, policy)


def format_of(file: Path) -> str:
    if file.suffix.lower() == ".jsonl":
        return "JSONL"
    return "CoNLL-U" if is_conllu(file, first_lines(file)) else "CoNLL columns"


def split_files(path: Path) -> dict[Split, Path]:
    """{"train": …-train.conllu, …}, or {"train": the only file}."""
    if path.is_file():
        return {"train": path}
    if not path.is_dir():
        raise DataError(f"{path}: not found; name a CoNLL file, or a folder with train, dev and test")
    files = [p for p in sorted(path.iterdir()) if p.suffix.lower() in SUFFIXES and not hidden([p.name])]
    given: dict[Split, Path] = {split: p for p in files if (split := split_of(p.stem))}
    if "train" in given:
        return {split: given[split] for split in ("train", "valid", "test") if split in given}
    if len(files) == 1:
        return {"train": files[0]}
    raise DataError(f"{path}: none of its {len(files)} files is called train; call one train.conllu, or name a file")


def split_of(stem: str) -> Split | None:
    """en_ewt-ud-dev → valid."""
    names: dict[str, Split] = {**SPLITS, "dev": "valid", "testa": "valid", "testb": "test"}
    parts = stem.lower().replace("-", " ").replace("_", " ").replace(".", " ").split()
    return next((names[part] for part in reversed(parts) if part in names), None)


def addresses(examples: Sequence[Tagged]) -> tuple[Any, Int64[np.ndarray, "n"]]:
    """The hash of each sentence; all are one stratum."""
    return shares(" ".join(words) for words, _ in examples), np.zeros(len(examples), np.int64)


def read_file(file: Path, column: str) -> Iterator[Tagged]:
    if file.suffix.lower() == ".jsonl":
        return read_jsonl(file)
    rows = read_text(file).split("\n")
    parse = conllu_line(COLUMNS[column]) if is_conllu(file, rows) else columns_line
    return read_rows(file, rows, parse)


def is_conllu(file: Path, rows: list[str]) -> bool:
    """By its ending, or by ten columns of which the first is a number."""
    if file.suffix.lower() == ".conllu":
        return True
    cells = next((row for row in rows if row.strip() and not row.startswith("#")), "").split("\t")
    return len(cells) == 10 and cells[0].isdecimal()


def read_rows(file: Path, rows: list[str], parse: Callable[[str], tuple[str, str] | None]) -> Iterator[Tagged]:
    """A word a line, an empty line between sentences."""
    words: list[str] = []
    tags: list[str] = []
    for number, row in enumerate([*rows, ""], 1):
        if not row.strip():
            if words:
                yield tuple(words), tuple(tags)
            words, tags = [], []
            continue
        try:
            found = parse(row)
        except ValueError as wrong:
            raise DataError(f"{file}:{number}: {wrong}") from None
        if found is not None:
            words.append(found[0])
            tags.append(found[1])


def columns_line(row: str) -> tuple[str, str] | None:
    """The first column and the last; older files mark documents by -DOCSTART-."""
    cells = row.split("\t") if "\t" in row else row.split()
    if len(cells) < 2:
        raise ValueError("one column only; a line needs a word and its tag")
    return None if cells[0] == "-DOCSTART-" else (cells[0], cells[-1])


def conllu_line(at: int) -> Callable[[str], tuple[str, str] | None]:
    """The second column and column `at`; comments, contractions (1-2) and empty nodes (1.1) are no words."""

    def parse(row: str) -> tuple[str, str] | None:
        if row.startswith("#"):
            return None
        cells = row.split("\t")
        if not cells[0].isdecimal():
            if all(part.isdecimal() for part in cells[0].replace(".", "-").split("-")):
                return None
            raise ValueError(f"{cells[0][:20]!r} where CoNLL-U has the number of a word; mend the line")
        if len(cells) != 10:
            raise ValueError(f"{len(cells)} columns, CoNLL-U has 10, parted by tabs; mend the line")
        if cells[at] in ("_", ""):
            raise ValueError(f"no tag in column {at + 1}; choose another with --column, or mend the line")
        return cells[1], cells[at]

    return parse


def read_jsonl(file: Path) -> Iterator[Tagged]:
    """An object a line: {"words": […], "tags": […]}."""
    for number, line in lines(file):
        row = json_object(file, number, line)
        words, tags = find(row, WORDS), find(row, TAGS)
        if not isinstance(words, list) or not isinstance(tags, list):
            raise DataError(f"{file}:{number}: needs lists words and tags, has {', '.join(row)}")
        if len(words) != len(tags):
            raise DataError(f"{file}:{number}: {len(words)} words but {len(tags)} tags; a word has one tag")
        if words:
            yield tuple(map(str, words)), tuple(map(str, tags))
