"""Sentences, each of one class: pairs of files, TREC, tables, JSONL, folders. In three splits, or in folds."""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int64

from legato.data.policy import SPLITS
from legato.data.splits import deal, hold_out, parse_fold, shares, who_validates
from legato.data.text_files import decoded, hidden, read_text
from legato.errors import DataError
from legato.task import Split

T = TypeVar("T")  # an example
Labelled = tuple[str, str]  # a text and its class
PAIR = {".neg": "negative", ".pos": "positive"}
TEXT = ("text", "sentence", "question", "review", "phrase")  # what the column of texts may be called
CLASS = ("label", "class", "category", "sentiment")
TENTHS = "train, valid and test are 80, 10 and 10 % of the examples, chosen by the hash of each"


@dataclass(frozen=True, eq=False)
class SentenceSet:
    """A data set as read: the names of its classes and, for each split, texts with the numbers of theirs."""

    format: str
    names: tuple[str, ...]
    splits: dict[Split, list[tuple[str, int]]]
    policy: str

    @property
    def fingerprint(self) -> str:
        return sha256(repr((self.names, self.splits)).encode("utf-8", "surrogatepass")).hexdigest()


def recognises(path: Path) -> bool:
    """Whether there are sentences with classes."""
    return path.exists() and any(recognised(path) for recognised in FORMATS.values())


def read(path: Path, fold: str = "", fine: bool = False) -> SentenceSet:
    """The set there, in whichever format it is. `fold`: "2/5", the second of five. `fine`: TREC's fine classes.

    Raises DataError, naming file and line, for what cannot be meant; UsageError for a fold that is none.
    """
    if not path.exists():
        raise DataError(f"{path}: not found; name a folder or a file of sentences")
    name = next((name for name, recognised in FORMATS.items() if recognised(path)), None)
    if name is None:
        raise DataError(
            f"{path}: no sentences with classes found; legato reads .pos and .neg files, TREC (COARSE:fine question), "
            "CSV, TSV or JSONL with text and label, and folders of .txt files, one a class"
        )
    parts, policy = READERS[name](path, fine)
    return divided(name, parts, policy, fold)


def divided(format: str, parts: dict[Split, list[Labelled]], policy: str, fold: str) -> SentenceSet:
    """Three splits of what was read, classes numbered in the order of their names."""
    for split, labelled in parts.items():
        if not labelled:
            raise DataError(f"{format}: no sentences in {split}")
    names = tuple(sorted({label for labelled in parts.values() for _, label in labelled}))
    if len(names) < 2:
        raise DataError(f"{format}: one class only ({', '.join(names)}); there must be two or more to tell apart")
    number = {name: k for k, name in enumerate(names)}
    splits: dict[Split, list[tuple[str, int]]] = {
        split: [(text, number[label]) for text, label in labelled] for split, labelled in parts.items()
    }
    splits, policy = in_parts(splits, policy, addresses, fold)
    unseen = {k for part in splits.values() for _, k in part} - {k for _, k in splits["train"]}
    if unseen:
        raise DataError(f"{format}: no training sentence of {', '.join(names[k] for k in sorted(unseen))}; add some")
    return SentenceSet(format, names, splits, policy)


def in_parts(
    splits: dict[Split, list[T]], policy: str, addresses: Callable[[Sequence[T]], tuple[Any, Any]], fold: str
) -> tuple[dict[Split, list[T]], str]:
    """Three splits of what a set has, by tenths, or as a fold says."""
    return in_folds(splits, policy, addresses, fold) if fold else in_tenths(splits, policy, addresses)


def in_tenths(
    splits: dict[Split, list[T]], policy: str, addresses: Callable[[Sequence[T]], tuple[Any, Any]]
) -> tuple[dict[Split, list[T]], str]:
    """A tenth validates and, where there is nothing but train, a tenth tests; by the hashes and classes in `addresses`.

    Examples of one hash stay together.
    """
    train = splits["train"]
    if set(splits) == {"train"}:
        part = hold_out(*addresses(train), parts=2)
        parts: dict[Split, list[T]] = {
            "train": taken(train, part == 0),
            "valid": taken(train, part == 1),
            "test": taken(train, part == 2),
        }
        return parts, f"{policy}; {TENTHS}"
    if "valid" not in splits:
        part = hold_out(*addresses(train))
        splits = splits | {"train": taken(train, part == 0), "valid": taken(train, part == 1)}
        policy += f"; valid is a tenth of train by the hash of each ({(part == 1).sum():,} of {len(part):,})"
    if "test" not in splits:
        splits, policy = splits | {"test": []}, policy + "; there is no test split"
    return splits, policy


def in_folds(
    splits: dict[Split, list[T]], policy: str, addresses: Callable[[Sequence[T]], tuple[Any, Any]], fold: str
) -> tuple[dict[Split, list[T]], str]:
    """Train and valid dealt anew. The fold validates; where there is no test split it tests, and a tenth of the rest
    validates, so that no example both chooses the weights and judges them.
    """
    number, folds = parse_fold(fold)
    known = splits["train"] + splits.get("valid", [])
    dealt = deal(*addresses(known), folds)
    rest, own = taken(known, dealt != number), taken(known, dealt == number)
    if "test" in splits or fold == "all":
        said = f"{policy}; of the others {who_validates(fold)}"
        return {"train": rest, "valid": own, "test": splits.get("test", [])}, said
    part = hold_out(*addresses(rest))
    found: dict[Split, list[T]] = {
        "train": taken(rest, part == 0),
        "valid": taken(rest, part == 1),
        "test": own,
    }
    return (
        found,
        f"{policy}; test is fold {fold}, class by class by the hash of each, valid a tenth of the rest",
    )


def addresses(examples: Sequence[tuple[str, int]]) -> tuple[Any, Int64[np.ndarray, "n"]]:
    """The hash and the class of each."""
    return shares(text for text, _ in examples), np.array([k for _, k in examples], np.int64)


def taken(examples: Sequence[T], chosen: Any) -> list[T]:
    return [example for example, here in zip(examples, chosen.tolist()) if here]


# formats: who recognises a path, and who reads it


def pair_files(path: Path) -> dict[str, Path]:
    """{".pos": …, ".neg": …}"""
    files = sorted(path.iterdir()) if path.is_dir() else []
    return {p.suffix: p for p in files if p.suffix in PAIR}


def read_pair(path: Path, fine: bool) -> tuple[dict[Split, list[Labelled]], str]:
    """Pang & Lee's: rt-polarity.pos and rt-polarity.neg, a sentence a line."""
    files = pair_files(path)
    if len(files) < 2:
        raise DataError(f"{path}: {', '.join(files)} without its partner; both .pos and .neg are needed")
    labelled = [(line, PAIR[suffix]) for suffix, file in sorted(files.items()) for _, line in lines(file)]
    return {"train": labelled}, " and ".join(file.name for file in files.values())


AS_PUBLISHED: dict[str, Split] = {"train_5500": "train", "trec_10": "test"}  # Li & Roth's own names of TREC's files


def trec_files(path: Path) -> dict[Split, Path]:
    """{"train": TREC.train, "test": TREC.test}; their names or endings say which is which."""
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file() and not hidden([p.name]))
    if len(files) == 1:
        return {"train": files[0]}
    given = {p.suffix.removeprefix(".").lower() if p.suffix[1:].lower() in SPLITS else p.stem.lower(): p for p in files}
    names = SPLITS | AS_PUBLISHED
    return {split: p for split in SPLITS.values() for word, p in given.items() if names.get(word) == split}


def is_trec(path: Path) -> bool:
    files = trec_files(path)
    if "train" not in files or files["train"].suffix in TABLES:
        return False
    label, _, rest = first_line(files["train"]).partition(" ")
    return bool(rest) and label.count(":") == 1 and all(label.split(":"))


def read_trec(path: Path, fine: bool) -> tuple[dict[Split, list[Labelled]], str]:
    """Li & Roth's: `COARSE:fine question`, one a line."""
    files = trec_files(path)
    parts: dict[Split, list[Labelled]] = {}
    for split, file in files.items():
        parts[split] = []
        for number, line in lines(file):
            label, _, text = line.partition(" ")
            coarse, colon, _ = label.partition(":")
            if not colon or not text:
                raise DataError(f"{file}:{number}: {line[:40]!r} is not `COARSE:fine question`; mend the line")
            parts[split].append((text, label if fine else coarse))
    return parts, ", ".join(file.name for file in files.values())


TABLES = (".csv", ".tsv", ".jsonl")


def table_files(path: Path) -> dict[Split, Path]:
    """{"train": train.tsv, …}, or {"train": the only table}."""
    if path.is_file():
        return {"train": path} if path.suffix.lower() in TABLES else {}
    files = [p for p in sorted(path.iterdir()) if p.suffix.lower() in TABLES] if path.is_dir() else []
    given: dict[Split, Path] = {SPLITS[p.stem.lower()]: p for p in files if p.stem.lower() in SPLITS}
    return given if "train" in given else {"train": files[0]} if len(files) == 1 else {}


def is_table(path: Path) -> bool:
    """A table that names a column of texts, and one of classes; so that tables of pictures are left to others."""
    files = table_files(path)
    if not files:
        return False
    first = first_line(files["train"]).lower()
    return any(name in first for name in TEXT) and any(name in first for name in CLASS)


def read_tables(path: Path, fine: bool) -> tuple[dict[Split, list[Labelled]], str]:
    files = table_files(path)
    read = {split: read_jsonl(f) if f.suffix.lower() == ".jsonl" else read_csv(f) for split, f in files.items()}
    return read, ", ".join(file.name for file in files.values())


def read_csv(file: Path) -> list[Labelled]:
    """Columns parted by tabs, semicolons or commas, whichever the header uses first; it names text and label."""
    text = read_text(file)
    header_line = text.partition("\n")[0]
    separator = next((c for c in header_line if c in ",;\t"), ",")
    rows = csv.reader(text.splitlines(keepends=True), delimiter=separator, quoting=quoting(separator))
    header = [cell.strip().lower() for cell in next(rows)]
    text_at, class_at = column(file, header, TEXT), column(file, header, CLASS)
    found = []
    for row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise DataError(
                f"{file}:{rows.line_num}: {len(row)} values where the header names {len(header)}; mend the row"
            )
        found.append(complete(row[text_at], row[class_at], f"{file}:{rows.line_num}"))
    return found


def quoting(separator: str) -> Any:
    """Tabs part columns without quotes: a quotation mark there is one of the text's own."""
    return csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL


def column(file: Path, header: list[str], names: Sequence[str]) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise DataError(f"{file}:1: no column {', '.join(names[:-1])} or {names[-1]} among {', '.join(header)}")


def read_jsonl(file: Path) -> list[Labelled]:
    """An object a line: {"text": …, "label": …}."""
    found = []
    for number, line in lines(file):
        row = json_object(file, number, line)
        text = next((row[k] for k in TEXT if k in row), None)
        label = next((row[k] for k in CLASS if k in row), None)
        if text is None or label is None:
            raise DataError(f"{file}:{number}: needs text and label, has {', '.join(row)}")
        found.append(complete(str(text), str(label), f"{file}:{number}"))
    return found


def json_object(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(f"{file}:{number}: no JSON ({error}); write one object a line") from None
    if not isinstance(row, dict):
        raise DataError(f"{file}:{number}: {str(row)[:40]!r} is no object; write {{…}} on each line")
    return row


def complete(text: str, label: str, where: str) -> Labelled:
    if not text.strip() or not label.strip():
        raise DataError(f"{where}: no {'label' if text.strip() else 'text'}; write one or remove the row")
    return text.strip(), label.strip()


def class_folders(path: Path) -> list[Path]:
    """Folders that hold .txt files."""
    folders = sorted(p for p in path.iterdir() if p.is_dir() and not hidden([p.name])) if path.is_dir() else []
    return [p for p in folders if any(f.suffix.lower() == ".txt" for f in p.iterdir())]


def are_folders(path: Path) -> bool:
    return len(class_folders(path)) > 1 or any(class_folders(p) for p in split_folders(path).values())


def split_folders(path: Path) -> dict[Split, Path]:
    if not path.is_dir():
        return {}
    there = {SPLITS[p.name.lower()]: p for p in sorted(path.iterdir()) if p.is_dir() and p.name.lower() in SPLITS}
    return {split: there[split] for split in dict.fromkeys(SPLITS.values()) if split in there}


def read_folders(path: Path, fine: bool) -> tuple[dict[Split, list[Labelled]], str]:
    """A folder a class, a .txt file a text; maybe within train, valid and test."""
    given = split_folders(path)
    parts: dict[Split, Path] = given if any(class_folders(p) for p in given.values()) else {"train": path}
    read: dict[Split, list[Labelled]] = {
        split: [
            (read_text(file).strip(), folder.name)
            for folder in class_folders(root)
            for file in sorted(folder.iterdir())
            if file.suffix.lower() == ".txt"
        ]
        for split, root in parts.items()
    }
    return read, f"folders {', '.join(p.name for p in given.values())}" if parts is given else "a folder a class"


def first_line(file: Path) -> str:
    """To tell formats by, whatever it holds."""
    with file.open(encoding="utf-8-sig", errors="replace") as text:
        return text.readline(4096)


def lines(file: Path) -> list[tuple[int, str]]:
    """The lines that say something, with their numbers. Raises DataError for a file that has none."""
    found = [(i, line.strip()) for i, line in enumerate(decoded(file).split("\n"), 1) if line.strip()]
    if not found:
        raise DataError(f"{file}: empty; there is nothing to learn from")
    return found


FORMATS: dict[str, Callable[[Path], bool]] = {  # the first that recognises a path reads it
    "sentence pairs": lambda path: bool(pair_files(path)),
    "sentence table": is_table,
    "TREC": is_trec,
    "text folders": are_folders,
}
READERS: dict[str, Callable[[Path, bool], tuple[dict[Split, list[Labelled]], str]]] = {
    "sentence pairs": read_pair,
    "sentence table": read_tables,
    "TREC": read_trec,
    "text folders": read_folders,
}
