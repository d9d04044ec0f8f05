"""Running text: a UTF-8 file, or a folder of files, in three splits. The last tenth validates, as it stands."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from os.path import isfile
from pathlib import Path

from legato.data.policy import SPLITS
from legato.errors import DataError
from legato.task import Split

INPUT = "input.txt"  # the one file of a folder that is meant, where there is such (Karpathy's char-rnn)


@dataclass(frozen=True)
class Corpus:
    """Texts to read from one end to the other; valid and test may be empty. `policy` says which came from where."""

    splits: dict[Split, str]
    policy: str
    format: str = "text"

    @property
    def fingerprint(self) -> str:
        return sha256("\0".join(self.splits.values()).encode("utf-8", "surrogatepass")).hexdigest()


def read(path: Path) -> Corpus:
    """A file; or a folder: its input.txt, or its train, valid and test files, or all its files one after another.

    Raises DataError for a path that is not there, for what is empty or not UTF-8.
    """
    files = text_files(path)
    there = {SPLITS[f.stem.lower()]: f for f in files if f.stem.lower() in SPLITS}
    given: dict[Split, Path] = {split: there[split] for split in dict.fromkeys(SPLITS.values()) if split in there}
    if path.is_dir() and "train" in given:
        splits: dict[Split, str] = {split: read_text(file) for split, file in given.items()}
        policy = "as in " + ", ".join(file.name for file in given.values())
    else:
        splits = {"train": "\n".join(read_text(file) for file in files)}
        policy = path.name if len(files) == 1 else f"{len(files)} files in order of their names"
    if "valid" not in splits:
        splits["train"], splits["valid"] = last_tenth(splits["train"])
        policy += "; valid is the last tenth of it"
    if "test" not in splits:
        policy += "; there is no test split"
    splits = {split: splits.get(split, "") for split in ("train", "valid", "test")}
    return Corpus(splits, policy)


def text_files(path: Path) -> list[Path]:
    """The files meant, in order of their names; hidden ones are not."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path}: not found; name a text file or a folder of text files")
    if (path / INPUT).is_file():
        return [path / INPUT]
    files = [p for p in sorted(path.rglob("*")) if p.is_file() and not hidden(p.relative_to(path).parts)]
    if not files:
        raise DataError(f"{path}: an empty folder; put text files in UTF-8 there")
    return files


def only_text(path: Path) -> bool:
    """A folder with .txt files, in it or further below, and nothing else."""
    endings = {p.suffix.lower() for p in path.rglob("*") if p.is_file() and not hidden(p.relative_to(path).parts)}
    return endings == {".txt"}


def hidden(parts: Iterable[str]) -> bool:
    return any(part.startswith(".") for part in parts)


def read_text(file: Path) -> str:
    """The text of a file, line ends made uniform, a byte-order mark left out.

    Raises DataError naming file and byte where it is not UTF-8, and for an empty file.
    """
    text = decoded(file)
    if not text.strip():
        raise DataError(f"{file}: empty; there is nothing to learn from")
    return text


def decoded(file: Path) -> str:
    """What a file says, even if that is nothing. Raises DataError naming file and byte where it is not UTF-8."""
    try:
        data = file.read_bytes()
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{file}: not UTF-8 at byte {error.start:,} (0x{data[error.start]:02X}, line {line:,}); save it as UTF-8"
        ) from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); name a text file") from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def lines_of(file: Path) -> list[str]:
    """The lines of a text file, line i of which is its [i - 1]. Raises DataError as `read_text` does."""
    return read_text(file).removesuffix("\n").split("\n")


def sentence(source: str) -> str:
    """`source` itself; or, where it names a file, the one line there. Raises DataError for a file of several."""
    if not isfile(source):  # unlike Path.is_file, it knows that a long sentence is no file
        must_not_be_lost(source)
        return source
    found = [line.strip() for line in read_text(Path(source)).split("\n") if line.strip()]
    if len(found) > 1:
        raise DataError(f"{source}: {len(found):,} lines, each a sentence of its own; give them one by one")
    return found[0]


def must_not_be_lost(source: str) -> None:
    """Raises DataError for what is written like the name of a text file, where there is no such file."""
    if re.fullmatch(r"\S+\.(txt|csv|tsv|jsonl|conllu?)", source) and not isfile(source):
        raise DataError(f"{source}: not found; name a text file, or write a sentence")


def last_tenth(text: str) -> tuple[str, str]:
    """What stays, and the last tenth of the characters."""
    cut = len(text) * 9 // 10
    return text[:cut], text[cut:]
