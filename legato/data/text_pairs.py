"""Sentences in two languages: parallel files, TSV, JSONL. In three splits."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from legato.data.policy import SPLITS
from legato.data.sentences import first_line, in_parts, json_object, lines
from legato.data.splits import shares
from legato.data.text_files import hidden, lines_of
from legato.errors import DataError, UsageError
from legato.task import Split

UNNAMED = ("first", "second")  # languages of a table without a header
Pair = tuple[str, str]  # a sentence, and the same in the other language
TABLES = (".tsv", ".jsonl")


@dataclass(frozen=True, eq=False)
class PairSet:
    """A data set as read: which languages, and the pairs of each split."""

    format: str
    languages: tuple[str, str]
    splits: dict[Split, list[Pair]]
    policy: str

    @property
    def fingerprint(self) -> str:
        return sha256(repr((self.languages, self.splits)).encode("utf-8", "surrogatepass")).hexdigest()


def recognises(path: Path) -> bool:
    """A folder with train.de beside train.en, or the like: two endings of two or three letters that are no tables.

    Or a table whose columns are called by languages: en and de, or source and target.
    """
    if not path.exists():
        return False
    tables = table_files(path)
    if tables:
        return bool(languages_of(tables["train"]))
    if not path.is_dir():
        return False
    endings = {p.suffix[1:] for p in path.iterdir() if p.stem == "train" and p.is_file()}
    return sum(len(e) in (2, 3) and e.isalpha() and e.islower() for e in endings - {"csv", "tsv", "txt", "npz"}) > 1


def read(path: Path, source: str = "", target: str = "", fold: str = "") -> PairSet:
    """A folder of parallel files, train.de and train.en, …; or a TSV or JSONL file, or a folder of those by split.

    `source`, `target`: languages, that is, endings of files, columns of a TSV with a header, or keys of JSONL; empty
    where there are just two. `fold`: "2/5" or "all". Raises DataError with both counts where parallel files are not
    equally long.
    """
    if not path.exists():
        raise DataError(f"{path}: not found; name a folder of parallel files, a TSV or a JSONL")
    tables = table_files(path)
    if tables:
        format = "TSV" if tables["train"].suffix.lower() == ".tsv" else "JSONL"
        languages, parts = read_tables(tables, source, target)
        policy = ", ".join(file.name for file in tables.values())
    else:
        format = "parallel files"
        languages, parts = read_parallel(path, source, target)
        policy = f"{', '.join(parts)} as in the names of the files"
    splits, policy = in_parts(parts, policy, addresses, fold)
    return PairSet(format, languages, splits, policy)


def table_files(path: Path) -> dict[Split, Path]:
    """{"train": train.tsv, …}, or {"train": the only table}."""
    if path.is_file():
        return {"train": path} if path.suffix.lower() in TABLES else {}
    files = [p for p in sorted(path.iterdir()) if p.suffix.lower() in TABLES]
    given: dict[Split, Path] = {SPLITS[p.stem.lower()]: p for p in files if p.stem.lower() in SPLITS}
    return given if "train" in given else {"train": files[0]} if len(files) == 1 else {}


def languages_of(file: Path) -> tuple[str, ...]:
    """The two languages a table itself names; none where its user has to, or where it is of something else."""
    first = first_line(file).strip()
    if file.suffix.lower() == ".tsv":
        found = tuple(cell.strip() for cell in first.split("\t"))
    else:
        try:
            found = tuple(json.loads(first))
        except (ValueError, TypeError):
            return ()
    return found if are_languages(found) or set(found) == {"source", "target"} else ()


def are_languages(names: Sequence[Any]) -> bool:
    """Two codes of ISO 639-1, by their looks."""
    return len(names) == 2 and all(isinstance(name, str) and re.fullmatch("[a-z]{2}", name) for name in names)


def read_tables(files: dict[Split, Path], source: str, target: str) -> tuple[tuple[str, str], dict[Split, list[Pair]]]:
    read = read_tsv if files["train"].suffix.lower() == ".tsv" else read_jsonl
    found = {split: read(file, source, target) for split, file in files.items()}
    return found["train"][0], {split: pairs for split, (_, pairs) in found.items()}


def read_tsv(file: Path, source: str, target: str) -> tuple[tuple[str, str], list[Pair]]:
    """Two columns. A first line of two codes, `en` and `de`, or with the languages that are named, is their header."""
    rows = [(number, line.split("\t")) for number, line in lines(file)]
    at, languages = (0, 1), UNNAMED
    header = [cell.strip() for cell in rows[0][1]]
    if not source and not target and are_languages(header):
        source, target = header
    if (source or target) and (source, target) != UNNAMED:
        for name in (source, target):
            if name not in header:
                raise DataError(
                    f"{file}:1: no column {name!r} among {', '.join(header)}; --source and --target name two"
                )
        at, languages, rows = (header.index(source), header.index(target)), (source, target), rows[1:]
    pairs = []
    for number, cells in rows:
        if len(cells) != len(header) or len(cells) < 2:
            raise DataError(f"{file}:{number}: {len(cells)} columns, the first line has {len(header)}; mend the line")
        pairs.append((cells[at[0]].strip(), cells[at[1]].strip()))
    return languages, pairs


def read_jsonl(file: Path, source: str, target: str) -> tuple[tuple[str, str], list[Pair]]:
    """An object a line, with a key for each language: {"de": …, "en": …} or {"source": …, "target": …}."""
    pairs = []
    for number, line in lines(file):
        row = json_object(file, number, line)
        if not source and not target and len(row) == 2:
            source, target = ("source", "target") if {"source", "target"} == set(row) else tuple(row)
        if source not in row or target not in row:
            raise DataError(
                f"{file}:{number}: has {', '.join(row)}; name two that every line has with --source, --target"
            )
        pairs.append((str(row[source]).strip(), str(row[target]).strip()))
    return (source, target), pairs


def read_parallel(path: Path, source: str, target: str) -> tuple[tuple[str, str], dict[Split, list[Pair]]]:
    """train.de beside train.en: line i of one is line i of the other."""
    if not path.is_dir():
        raise DataError(f"{path}: neither TSV nor JSONL; name a folder of parallel files such as train.de and train.en")
    files = parallel_files(path)
    there = sorted({language for _, language in files})
    if not source and not target and len(there) == 2:
        source, target = there
    for flag, language in (("--source", source), ("--target", target)):
        if language not in there:
            raise UsageError(f"{flag} {language or '?'}: name one of the languages there, {', '.join(there) or 'none'}")
    parts: dict[Split, list[Pair]] = {}
    for split in dict.fromkeys(SPLITS.values()):
        if (split, source) in files and (split, target) in files:
            parts[split] = parallel(files[split, source], files[split, target])
    if "train" not in parts:
        raise DataError(
            f"{path}: no train.{source} beside train.{target}; legato reads train, valid and test by these names"
        )
    return (source, target), parts


def parallel_files(path: Path) -> dict[tuple[Split, str], Path]:
    """Each split's file in each language."""
    if not path.is_dir():
        return {}
    return {(split, p.suffix[1:]): p for p in sorted(path.iterdir()) if p.suffix and (split := split_of(p))}


def split_of(file: Path) -> Split | None:
    """test2016.de → test."""
    if hidden([file.name]):
        return None
    return SPLITS.get(file.stem.lower().rstrip("0123456789_-."))


def parallel(source: Path, target: Path) -> list[Pair]:
    """Line by line. Raises DataError with both counts where they differ; a pair with an empty side is left out."""
    left, right = lines_of(source), lines_of(target)
    if len(left) != len(right):
        raise DataError(
            f"{source} has {len(left):,} lines, {target} has {len(right):,}; they must be translations line by line"
        )
    return [(a.strip(), b.strip()) for a, b in zip(left, right) if a.strip() and b.strip()]


def addresses(examples: Sequence[Pair]) -> tuple[Any, Int64[np.ndarray, "n"]]:
    """The hash of each source; all are one stratum."""
    return shares(source for source, _ in examples), np.zeros(len(examples), np.int64)
