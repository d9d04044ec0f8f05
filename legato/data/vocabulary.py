"""Units of text and their numbers: characters, bytes, words, or pieces of words. Plain values, at home in run.json."""

import base64
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from legato.errors import DataError, UsageError

Unit = Literal["char", "byte", "word", "piece"]
Unseen = Literal["map", "refuse"]
UNKNOWN = "\ufffd"
IGNORED = -1  # a target that is none: padding
SPACED = re.compile(r" ?\w+| ?[^\w\s]|\s")  # a word with the space before it: joined, they are the text again
WORDS = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
BEGIN, END = "<s>", "</s>"  # around the sentences that a network writes; the first two pieces


@dataclass(frozen=True)
class Vocabulary:
    """The units of one kind, by number.

    `unknown` is the number of whatever is not among them; where there is none, -1, text that holds it is refused.
    `model` is the sentencepiece model of pieces, as base64 of zlib of its bytes.
    """

    unit: Unit
    names: tuple[str, ...]
    unknown: int = -1
    model: str = ""

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def numbers(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Characters a unit stands for. What an unknown one hides is not counted; of a character its first byte is."""
        counted = [0 if i == self.unknown else width(self.unit, name) for i, name in enumerate(self.names)]
        if self.unit == "char" and self.unknown >= 0:
            counted[self.unknown] = 1
        return tuple(counted)

    def encode(self, text: str) -> list[int]:
        """The numbers of its units. Raises DataError naming the first that is unknown, if such are refused."""
        match self.unit:
            case "byte":
                return list(text.encode())
            case "piece":
                return self.processor.encode(text)
            case "char":
                return self.numbered(text)
        return self.numbered(SPACED.findall(text))

    def numbered(self, units: Iterable[str]) -> list[int]:
        """The numbers of these units. Raises DataError as `encode` does."""
        if self.unknown >= 0:
            return [self.numbers.get(unit, self.unknown) for unit in units]
        try:
            return [self.numbers[unit] for unit in units]
        except KeyError as missing:
            unit = missing.args[0]
            code = f" (U+{ord(unit):04X})" if len(unit) == 1 else ""
            raise DataError(
                f"{unit!r}{code} is not in the training text; take it out, or train with --unseen map"
            ) from None

    def decode(self, numbers: Sequence[int]) -> str:
        """The text of these units; bytes that are no UTF-8 become �."""
        match self.unit:
            case "byte":
                return bytes(numbers).decode("utf-8", "replace")
            case "piece":
                return str(self.processor.decode(list(numbers)))
        return "".join(self.names[i] for i in numbers)

    @cached_property
    def processor(self) -> Any:
        """What cuts text into pieces."""
        return sentencepiece().SentencePieceProcessor(model_proto=zlib.decompress(base64.b64decode(self.model)))


def width(unit: Unit, name: str) -> int:
    """Characters a unit stands for; of a byte, 1 unless it goes on with a character that has begun."""
    if unit == "byte" or re.fullmatch(r"<0x[0-9A-F]{2}>", name):
        return int(int(name[3:5], 16) & 0xC0 != 0x80)
    return 0 if name in (BEGIN, END) else len(name)


def characters(text: str, unseen: Unseen = "map") -> Vocabulary:
    """Every character of a text, in order of appearance: hello → h, e, l, o."""
    return with_unknown("char", tuple(dict.fromkeys(text)), unseen)


def bytes_of_text() -> Vocabulary:
    """All 256 bytes: any text can be written in them."""
    return Vocabulary("byte", tuple(f"<0x{i:02X}>" for i in range(256)))


def words_of(units: Iterable[str], most: int = 0, at_least: int = 1, unseen: Unseen = "map") -> Vocabulary:
    """The words that occur `at_least` so often, the commonest first, `most` of them at most (0: all)."""
    counts = Counter(units)
    common = sorted((word for word in counts if counts[word] >= at_least), key=lambda word: (-counts[word], word))
    return with_unknown("word", tuple(common[: most or None]), unseen)


def with_unknown(unit: Unit, names: tuple[str, ...], unseen: Unseen) -> Vocabulary:
    if unseen == "refuse":
        return Vocabulary(unit, names)
    names = tuple(name for name in names if name != UNKNOWN)
    return Vocabulary(unit, (*names, UNKNOWN), unknown=len(names))


def pieces(sentences: Iterable[str], size: int, reversible: bool = False) -> Vocabulary:
    """At most `size` pieces of words, learnt from sentences (unigram model, Kudo 2018); first unknown, <s> and </s>.

    `reversible`: what is cut can be put together again to the letter, spaces and line ends included, and whatever
    character was never seen is cut into its bytes. Raises DataError where not even single characters find room.
    """
    written = io.BytesIO()
    exact = {
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "add_dummy_prefix": False,
        "byte_fallback": True,
        "user_defined_symbols": ["\n"],
    }
    try:
        sentencepiece().SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=written,
            vocab_size=size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            num_threads=2,
            minloglevel=2,
            **(exact if reversible else {}),
        )
    except RuntimeError as error:
        needed = re.search(r"required_chars. \d+ vs (\d+)", str(error))
        why = (
            f": its single characters and bytes alone are {needed[1]}"
            if needed
            else f" ({str(error).rpartition('] ')[2].strip()})"
        )
        least = f"--vocabulary {needed[1]} or more" if needed else "a larger --vocabulary"
        raise DataError(f"{size} pieces cannot be learnt from this text{why}; try {least}") from None
    model = written.getvalue()
    processor = sentencepiece().SentencePieceProcessor(model_proto=model)
    names = tuple(processor.id_to_piece(i).replace("▁", " ") for i in range(processor.get_piece_size()))
    unknown = -1 if reversible else processor.unk_id()
    return Vocabulary("piece", names, unknown, base64.b64encode(zlib.compress(model, 9)).decode())


def sentencepiece() -> Any:
    try:
        import sentencepiece as package
    except ImportError:
        raise UsageError("pieces of words need the package sentencepiece: pip install 'legato[text]'") from None
    return package


class Tokens(NamedTuple):
    """Sequences side by side, time first, the shorter ones padded at their end."""

    ids: Int[Tensor, "t b"]
    lengths: Int[Tensor, "b"]


def side_by_side(sequences: Sequence[Sequence[int] | Tensor], padding: int = 0, least: int = 1) -> Tokens:
    """All as columns of one table, at least `least` rows long."""
    lengths = [len(sequence) for sequence in sequences]
    ids = torch.full((max([least, *lengths]), len(sequences)), padding)
    for column, sequence in enumerate(sequences):
        ids[: lengths[column], column] = torch.as_tensor(sequence)
    return Tokens(ids, torch.tensor(lengths))
