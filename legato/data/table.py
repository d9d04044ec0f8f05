"""CSV and TSV: a header, then a picture a row: `path,label`, or `path` and several columns of numbers.

One file, or train.csv, valid.csv and test.csv in one folder; a column `split` may say where each row belongs.
"""

import csv
import os
import sys
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
from jaxtyping import Float32, Shaped

from legato.data.decode import ENDINGS
from legato.data.examples import Kind, Paths, Pictures, PictureSet, kind_of, pictures
from legato.data.policy import SPLITS, TENTHS, tenths
from legato.errors import DataError
from legato.task import Split

PATH = ("path", "file", "filename", "image")  # what the column of pictures may be called
CLASS, LABELS = ("label", "class", "category"), ("labels", "tags")  # and a single column of targets
HEADER = "write a header such as path,label"


@dataclass
class Table:
    """The rows of one file, by columns."""

    file: Path
    columns: list[str]  # of targets
    paths: list[str] = field(default_factory=list)
    lines: array = field(default_factory=lambda: array("q"))
    splits: list[str] = field(default_factory=list)  # if there is such a column
    words: list[str] = field(default_factory=list)  # if there is one column of targets
    numbers: array = field(default_factory=lambda: array("f"))  # if there are several, row after row

    def where(self, row: int) -> str:
        return f"{self.file}:{self.lines[row]}"


def recognises(path: Path) -> bool:
    """A table, or a folder with train.csv, or with one table that has paths or at most one folder beside it."""
    files = table_files(path)
    if None not in files or path.is_file():
        return bool(files)
    with files[None].open(encoding="utf-8-sig", errors="replace") as text:
        header = text.readline().lower()
    return any(name in header for name in PATH) or sum(p.is_dir() for p in path.iterdir()) < 2


def read(path: Path) -> PictureSet:
    """One column of targets: classes; labels if it is called labels or any row has several (`cat;dog`); numbers if all
    are numbers and it is not called label or class. Several columns: labels if all are 0 or 1, else numbers; an empty
    field is an unknown. Paths are relative to the file.

    Raises DataError, naming file and line, for a header, row, number or picture that is missing or wrong.
    """
    tables = {split: read_table(file) for split, file in table_files(path).items()}
    store = Paths(path if path.is_dir() else path.parent)
    kind, names, targets = encode(list(tables.values()))
    every: dict[Split | None, Pictures] = {}
    for (split, table), values in zip(tables.items(), targets):
        must_exist(table, store.root)
        first = len(store)
        store.extend(table.paths)
        every[split] = pictures(store, values, first)
    splits, policy = divide(tables, every)
    return PictureSet("table", kind, names, splits, policy)


def table_files(path: Path) -> dict[Split | None, Path]:
    """{"train": train.csv, …}, or {None: the only table}."""
    if path.is_file():
        return {None: path} if path.suffix.lower() in (".csv", ".tsv") else {}
    files = [p for p in sorted(path.iterdir()) if p.suffix.lower() in (".csv", ".tsv")] if path.is_dir() else []
    given: dict[Split | None, Path] = {s: p for word, s in SPLITS.items() for p in files if p.stem.lower() == word}
    if "train" in given:
        return given
    return {None: files[0]} if len(files) == 1 else {}


def read_table(file: Path) -> Table:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            return parse(file, text)
    except UnicodeDecodeError:
        raise DataError(f"{file}: not UTF-8 text; save it as CSV in UTF-8") from None
    except (OSError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read ({error}); save it again as CSV") from None


def parse(file: Path, text: TextIO) -> Table:
    """The columns, parted by whichever of `,`, `;` and tab the header uses."""
    separator = next((c for c in text.readline() if c in ",;\t"), ",")
    text.seek(0)
    rows = csv.reader(text, delimiter=separator)
    header = [cell.strip() for cell in next(rows, [])]
    path, split, targets = roles(file, header)
    table = Table(file, [header[i] for i in targets])
    for row in filter(None, rows):
        where = f"{file}:{rows.line_num}"
        if len(row) != len(header):
            raise DataError(f"{where}: {len(row)} values where the header names {len(header)}; mend the row")
        table.paths.append(row[path].strip())
        table.lines.append(rows.line_num)
        if split is not None:
            table.splits.append(sys.intern(row[split].strip().lower()))
        if len(targets) == 1:
            table.words.append(sys.intern(row[targets[0]].strip()))
        else:
            table.numbers.extend(as_number(row[i], where, header[i]) for i in targets)
    if not table.paths:
        raise DataError(f"{file}: a header without rows; add a row for each picture")
    return table


def roles(file: Path, header: list[str]) -> tuple[int, int | None, list[int]]:
    """Which column holds the pictures, which, if any, the split, and which the targets."""
    lower = [cell.lower() for cell in header]
    path = next((i for i, name in enumerate(lower) if name in PATH), None)
    if path is None:
        raise no_header(file, header)
    split = lower.index("split") if "split" in lower else None
    targets = [i for i in range(len(header)) if i not in (path, split)]
    if not targets:
        raise DataError(f"{file}:1: no column of labels beside {header[path]}; {HEADER}")
    return path, split, targets


def no_header(file: Path, header: list[str]) -> DataError:
    if not header:
        return DataError(f"{file}: an empty table; {HEADER}, then a row for each picture")
    if any(cell.lower().endswith(ENDINGS) for cell in header):
        return DataError(f"{file}:1: no header, the first line is already a picture; {HEADER} above it")
    return DataError(f"{file}:1: no column {', '.join(PATH[:-1])} or {PATH[-1]} among {', '.join(header)}; {HEADER}")


def as_number(cell: str, where: str, column: str) -> float:
    """NaN where the cell is empty."""
    try:
        value = float(cell) if cell.strip() else np.nan
    except ValueError:
        raise DataError(f"{where}: {cell!r} in column {column} is no number; leave it empty where unknown") from None
    if np.isinf(value):
        raise DataError(f"{where}: {cell!r} in column {column} is infinite; leave it empty where unknown")
    return value


def encode(tables: list[Table]) -> tuple[Kind, tuple[str, ...], list[Shaped[np.ndarray, "n *k"]]]:
    """What is asked, the names of the answers, and the targets of each table. The first table is train."""
    columns = tables[0].columns
    for table in tables[1:]:
        if table.columns != columns:
            raise DataError(
                f"{table.file}:1: columns {table.columns}, but {tables[0].file.name} has {columns}; name them alike"
            )
    if len(columns) > 1:
        return encode_numbers(columns, [np.array(t.numbers, np.float32).reshape(-1, len(columns)) for t in tables])
    words = sorted({word for table in tables for word in table.words})
    name = columns[0].lower()
    if name in LABELS or any(";" in word for word in words):
        return encode_labels(words, tables)
    if name not in CLASS and all(map(is_number, words)):
        rows = [[[as_number(w, t.where(i), columns[0])] for i, w in enumerate(t.words)] for t in tables]
        return encode_numbers(columns, [np.array(values, np.float32) for values in rows])
    return encode_classes(words, tables)


def encode_numbers(
    columns: list[str], values: list[Float32[np.ndarray, "n k"]]
) -> tuple[Kind, tuple[str, ...], list[Shaped[np.ndarray, "n *k"]]]:
    return kind_of(np.concatenate(values)), tuple(columns), values


def encode_labels(
    words: list[str], tables: list[Table]
) -> tuple[Kind, tuple[str, ...], list[Shaped[np.ndarray, "n *k"]]]:
    """`cat;dog` → 1 for these two, 0 for all others; an empty field has none."""
    names = in_order({label for word in words for label in parts(word)})
    index = {label: k for k, label in enumerate(names)}
    values = [np.zeros((len(table.words), len(names)), np.float32) for table in tables]
    for table, value in zip(tables, values):
        for row, word in enumerate(table.words):
            value[row, [index[label] for label in parts(word)]] = 1
    return "labels", names, values


def encode_classes(
    words: list[str], tables: list[Table]
) -> tuple[Kind, tuple[str, ...], list[Shaped[np.ndarray, "n *k"]]]:
    for table in tables:
        if "" in table.words:
            raise DataError(f"{table.where(table.words.index(''))}: no label; write one or remove the row")
    names = in_order(set(words))
    index = {word: k for k, word in enumerate(names)}
    return "class", names, [np.array([index[word] for word in table.words], np.int64) for table in tables]


def parts(word: str) -> list[str]:
    return [label for label in map(str.strip, word.split(";")) if label]


def in_order(names: set[str]) -> tuple[str, ...]:
    """Alphabetical; by value if all are whole numbers."""
    return tuple(sorted(names, key=int if all(map(str.isdecimal, names)) else None))


def is_number(word: str) -> bool:
    try:
        float(word or 0)
    except ValueError:
        return False
    return True


def must_exist(table: Table, root: Path) -> None:
    """Raises DataError for a picture that is not there. Each folder is listed once, no file is touched."""
    there: dict[str, set[str]] = {}
    missing = []
    for row, path in enumerate(table.paths):
        folder, name = os.path.split(path)
        if folder not in there:
            there[folder] = names_in(root / folder)
        if name not in there[folder]:
            missing.append(row)
    if missing:
        count = f"{len(missing):,} of {len(table.paths):,} are missing"
        raise DataError(
            f"{table.where(missing[0])}: {table.paths[missing[0]]!r} is not there ({count}); paths start at {root}"
        )


def names_in(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def divide(tables: dict[Split | None, Table], every: dict[Split | None, Pictures]) -> tuple[dict[Split, Pictures], str]:
    """By files, by a column, or by tenths."""
    if None not in tables:
        names = ", ".join(table.file.name for table in tables.values())
        return {
            split: rows for split, rows in every.items() if split
        }, f"{', '.join(filter(None, every))} as in {names}"
    table, rows = tables[None], every[None]
    if not table.splits:
        return tenths(rows), TENTHS
    splits: dict[Split, list[int]] = {"train": [], "valid": [], "test": []}
    for row, word in enumerate(table.splits):
        if word not in SPLITS:
            raise DataError(f"{table.where(row)}: split {word!r}; write train, valid or test")
        splits[SPLITS[word]].append(row)
    chosen = {split: rows.take(np.array(members, np.int64)) for split, members in splits.items()}
    return chosen, f"train, valid and test as in the column split of {table.file.name}"
