"""What comes next?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from os.path import isfile
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn import Embedding
from torch.nn import functional as F

from legato.data import sentences, text_files, vocabulary
from legato.data.vocabulary import IGNORED, Tokens, Unit, Unseen, Vocabulary, side_by_side
from legato.decoding import Sampling
from legato.device import each
from legato.draws import Draws, generator
from legato.errors import DataError, UsageError
from legato.metrics import language
from legato.networks.charrnn import CharRNN, onehot
from legato.recipe import Recipe
from legato.recurrent import cells
from legato.recurrent.stack import Stack
from legato.task import Decoding, Split, Step, Tally, Task
from legato.tasks.writing import written, written_together
from legato.values import Scores, Text

Ids = Int[Tensor, "_"]  # as long as it likes
LISTENERS = 16  # streams that a validation text is read in
SIZES = {"word": 10_000, "piece": 2_000}  # most units, where nothing else is said
LARGE = 200_000  # units of text, from which on a wide network pays


@dataclass(frozen=True)
class Learnt:
    """What `adapt` has found in the text."""

    format: str
    vocabulary: Vocabulary
    examples: tuple[int, ...]  # units of train, valid, test
    policy: str
    fingerprint: str

    @property
    def names(self) -> tuple[str, ...]:
        """Of the units."""
        return self.vocabulary.names


class Windows(Sequence[tuple[Ids, Ids]]):
    """Pieces of one text: what is read, and the same a unit later, which is to be foretold.

    A number names a window: where it begins, and how much shorter it is than `size`.
    """

    in_memory = True  # a window is sooner cut out than handed over by a thread

    def __init__(self, ids: Ids, size: int) -> None:
        self.ids, self.size = ids, size

    @property
    def units(self) -> int:
        """That have one before them, and so can be foretold."""
        return max(0, len(self.ids) - 1)

    def __len__(self) -> int:
        return self.units * self.size

    def number(self, begin: int, length: int) -> int:
        return begin * self.size + self.size - length

    def __getitem__(self, i: int) -> tuple[Ids, Ids]:  # type: ignore[override]
        begin, less = divmod(i, self.size)
        end = begin + self.size - less
        return self.ids[begin:end], self.ids[begin + 1 : end + 1]


@dataclass(frozen=True)
class Language(Task[Text | Ids, Ids, CharRNN]):
    """A text read unit by unit, each time with a guess at the next one; trained, it writes.

    A batch is `batch_size` places of the text, far apart, that go on where the last batch left them: the state is
    carried, the gradient goes back no further than a window (truncated backpropagation through time).
    """

    data: str = ""
    """A text file, or a folder of them."""
    unit: Unit = "char"
    """What is foretold: characters, bytes, words, or pieces of words (sentencepiece)."""
    vocabulary: int = 0
    """Most words or pieces; 0: 10,000 words, 2,000 pieces."""
    unseen: Unseen = "map"
    """A character or word that training did not see: mapped to �, or refused."""
    cell: str = "lstm"
    """A name from `legato list cells`."""
    width: int = 0
    """Numbers in the state of each layer. 0: 512, or 128 for short texts."""
    depth: int = 2
    """Layers on top of one another."""
    embed: int = 0
    """Numbers that stand for a unit. 0: one-hot for characters and bytes, as many as `width` for words and pieces."""
    window: int = 100
    """Units read at a time: as far back as the gradient goes."""
    stride: int = 0
    """New units a step. 0: as many as the window. 1: a window that slides (Williams & Peng 1990, BPTT(h; 1))."""
    dropout: float = -1.0
    """Between layers and before the last. Negative: 0.2, or 0 for short texts."""
    learnt: Learnt | None = field(default=None, metadata={"flag": False})

    name: ClassVar[str] = "language"
    takes: ClassVar[tuple[type, ...]] = (Text,)

    @property
    def known(self) -> Learnt:
        """What has been learnt; an error in the caller if nothing has."""
        assert self.learnt is not None, "adapt() first"
        return self.learnt

    # data
    @classmethod
    def recognises(cls, data: str) -> bool:
        """A .txt file without classes or tags, or a folder with input.txt, train.txt or nothing but .txt."""
        path = Path(data)
        if path.is_dir():
            named = any((path / name).is_file() for name in (text_files.INPUT, "train.txt"))
            return named or text_files.only_text(path)
        return path.is_file() and path.suffix.lower() == ".txt" and not sentences.recognises(path)

    def adapt(self) -> "Language":
        """Raises DataError for a text shorter than a window, UsageError for a stride that does not fit in it."""
        found = corpus(self.data)
        stride = self.stride or self.window
        if not 1 <= stride <= self.window:
            raise UsageError(f"--stride {self.stride}: must lie between 1 and the window, {self.window}")
        units = self.units_of(found.splits["train"])
        counts = tuple(len(units.encode(found.splits[split])) for split in ("train", "valid", "test"))
        if counts[0] <= self.window:
            raise DataError(
                f"{self.data}: {counts[0]} units to train on are no more than a window of {self.window}; "
                f"give more text, or try --window {max(1, counts[0] // 2)}"
            )
        long = counts[0] >= LARGE
        learnt = Learnt(found.format, units, counts, found.policy, found.fingerprint)
        width = self.width or (512 if long else 128)
        dropout = self.dropout if self.dropout >= 0 else (0.2 if long else 0.0)
        return replace(self, stride=stride, width=width, dropout=dropout, learnt=learnt)

    def about(self) -> list[str]:
        known, (train, valid, test) = self.known, self.known.examples
        return [
            f"{self.data}: {known.format}, {len(known.names):,} different {self.unit}s, "
            f"{train:,} train, {valid:,} valid, {test:,} test; {known.policy}",
            f"{self.name} by {self.cell}, depth {self.depth}, width {self.width}, windows of {self.window}",
        ]

    @property
    def names(self) -> tuple[str, ...]:
        return self.known.names

    def units_of(self, text: str) -> Vocabulary:
        """The vocabulary of a training text."""
        match self.unit:
            case "char":
                return vocabulary.characters(text, self.unseen)
            case "byte":
                return vocabulary.bytes_of_text()
            case "piece":
                sentences = (line for line in text.split("\n") if line.strip())
                return vocabulary.pieces(sentences, self.vocabulary or SIZES["piece"], reversible=True)
        return vocabulary.words_of(vocabulary.SPACED.findall(text), self.vocabulary or SIZES["word"], 1, self.unseen)

    def examples(self, split: Split) -> Windows:
        return Windows(numbers(self.data, self.known.vocabulary, split), self.window)

    def batches(self, examples: Sequence[tuple[Text | Ids, Ids]], size: int, rng: Generator | None) -> list[list[int]]:
        """Each batch goes on, row by row, where the one before ended.

        In training windows end at other places in each epoch. Elsewhere every unit but the first is foretold once, in
        the same streams whatever the batch size; one that has ended is missing from the end of the batch.
        """
        assert isinstance(examples, Windows)
        n, window, stride = examples.units, self.window, self.stride
        if rng is None:
            streams = max(1, min(LISTENERS, n // window))
            length = -(-n // streams)
            starts = range(0, n, length) if n else range(0)
            return [
                [examples.number(s + t, min(window, length - t, n - s - t)) for s in starts if s + t < n]
                for t in range(0, length, window)
            ]
        streams = max(1, min(size, n // window))
        length = n // streams
        count = max(1, length // stride - 1)
        phase = int(torch.randint(length - count * stride + 1, (), generator=rng))
        ends = [(t + 1) * stride for t in range(count)]
        return [
            [examples.number(s * length + phase + max(0, end - window), min(window, end)) for s in range(streams)]
            for end in ends
        ]

    def batch(
        self, examples: Sequence[tuple[Text | Ids, Ids]], indices: Sequence[int], draws: Draws | None
    ) -> tuple[Tokens, Int[Tensor, "t b"]]:
        """All windows at once."""
        inputs, targets = zip(*(examples[i] for i in indices))
        return side_by_side(inputs), side_by_side(targets, IGNORED).ids

    # tensors
    def encode_inputs(self, inputs: Sequence[Text | Ids]) -> Tokens:
        return side_by_side([self.known.vocabulary.encode(x.text) if isinstance(x, Text) else x for x in inputs])

    def encode_targets(self, targets: Sequence[Ids], inputs: Tokens) -> Int[Tensor, "t b"]:
        return side_by_side(targets, IGNORED).ids

    # learning
    def build(self) -> CharRNN:
        units, cell = len(self.known.vocabulary), cells.lookup(self.cell)
        as_vectors = self.unit in ("word", "piece") or cell.adds_x
        embed = Embedding(units, self.embed or self.width) if self.embed or as_vectors else onehot(units)
        stack = Stack(cell, embed.embedding_dim, self.width, self.depth, drop=self.dropout)
        return CharRNN(embed, stack, units, self.dropout)

    def recipe(self) -> Recipe:
        """For a million characters by its validation text (docs/results.md); for short ones a first guess."""
        long = self.known.examples[0] >= LARGE
        epochs, batch = (8, 32) if long else (20, 16)
        return Recipe(epochs=epochs, batch_size=batch, optimizer="adamw", lr=3e-3, warmup=0.05, clip_norm=1.0)

    def loss(self, net: CharRNN, inputs: Tokens, targets: Int[Tensor, "t b"], carry: Any) -> Step:
        """−ln p of the newest `stride` units. The state after the oldest `stride` is where the next window begins."""
        ids, new = inputs.ids, targets[-self.stride :]
        if len(ids) < self.window or self.stride == self.window:
            logits, after = net(ids, carry)
            carry = after if len(ids) == self.window else carry  # a window that still grows begins where it began
        else:
            old, carry = net(ids[: self.stride], carry)
            logits = torch.cat((old, net(ids[self.stride :], carry)[0]))
        logits = logits[-self.stride :].flatten(0, 1).float()
        return Step({"next": F.cross_entropy(logits, new.flatten())}, carry, float(new.numel()))

    # measuring
    def outputs(self, net: CharRNN, inputs: Tokens, carry: Any) -> tuple[Float[Tensor, "t b v"], Any]:
        """Probabilities of the next unit after each: their mean over networks is an ensemble's."""
        rows = inputs.ids.shape[1]
        logits, carry = net(inputs.ids, each(carry, lambda state: state[:rows]))
        return logits.float().softmax(-1), carry

    def tally(self, outputs: Float[Tensor, "t b v"], targets: Int[Tensor, "t b"]) -> Tally:
        lengths = torch.tensor(self.known.vocabulary.lengths, device=targets.device)
        return language.tally(outputs, targets, lengths)

    def scores(self, tally: Tally) -> dict[str, float]:
        return language.scores(tally)

    def score(self, net: CharRNN, inputs: Tokens, what: str) -> Float[Tensor, "b"]:
        """ln p of `what` as the next unit after each text; of the likeliest if it is empty. Raises UsageError."""
        last = net(inputs.ids)[0][inputs.lengths - 1, torch.arange(len(inputs.lengths), device=inputs.ids.device)]
        log_p = last.float().log_softmax(-1)
        if not what:
            return log_p.max(dim=1).values
        ids = self.known.vocabulary.encode(what)
        if len(ids) != 1:
            raise UsageError(f"{what!r}: is {len(ids)} {self.unit}s; name one, the next")
        return log_p[:, ids[0]]

    # use
    def read_input(self, source: str) -> Text:
        """The text of a file; or the words themselves, where there is no such file."""
        text_files.must_not_be_lost(source)
        return Text(text_files.read_text(Path(source)), source) if isfile(source) else Text(source)

    def predict(self, outputs: Float[Tensor, "t b v"], inputs: Tokens, how: Decoding) -> list[dict[str, Any]]:
        """For each text: the likeliest next units, and nats a unit of the text itself, from its second unit on."""
        answers = []
        for row, length in enumerate(inputs.lengths.tolist()):
            p, ids = outputs[:length, row], inputs.ids[:length, row]
            nats = -p[:-1].gather(1, ids[1:, None]).clamp(min=1e-30).log().mean()
            top = Scores(self.known.names, p[-1].cpu()).top(how.top) if length else []
            answers.append({"next": [[n, round(v, 6)] for n, v in top], "nats": float(nats) if length > 1 else None})
        return answers

    @torch.inference_mode()
    def stream(self, net: CharRNN, inputs: Sequence[Text | Ids], how: Decoding) -> Iterator[str]:
        """What follows each text, unit by unit; a character that takes several units comes when it is whole."""
        how = how if isinstance(how, Sampling) else Sampling()
        device = net.out.weight.device
        for row, prompt in enumerate(inputs):
            ids = self.encode_inputs([prompt]).ids.to(device) if not is_empty(prompt) else self.beginning(device)
            rng, unknown = generator("sample", how.seed, row), self.known.vocabulary.unknown
            yield from self.whole_characters(written(net, ids, how, rng, unknown))

    @torch.inference_mode()
    def several(self, net: CharRNN, prompt: Text, how: Sampling, count: int) -> list[str]:
        """So many texts after one prompt, drawn together: the k-th is what the seed k numbers on writes alone."""
        device = net.out.weight.device
        ids = self.beginning(device) if is_empty(prompt) else self.encode_inputs([prompt]).ids.to(device)
        rngs = [generator("sample", how.seed + k, 0) for k in range(count)]
        texts = written_together(net, ids, how, rngs, self.known.vocabulary.unknown)
        return ["".join(self.whole_characters(iter(numbers))) for numbers in texts]

    def beginning(self, device: torch.device) -> Int[Tensor, "t b"]:
        """What goes before a text that is to begin from nothing: the end of a line."""
        units = self.known.vocabulary
        first = units.encode("\n") if units.unit == "byte" or "\n" in units.numbers else [0]
        return torch.tensor(first[:1], device=device)[:, None]

    def whole_characters(self, numbers: Iterator[int]) -> Iterator[str]:
        waiting: list[int] = []
        for number in numbers:
            waiting.append(number)
            text = self.known.vocabulary.decode(waiting)
            if not text.endswith(vocabulary.UNKNOWN) or len(waiting) == 4:  # a character has at most four bytes
                yield text
                waiting = []
        if waiting:
            yield self.known.vocabulary.decode(waiting)

    def specimen(self, net: CharRNN, length: int = 200) -> str:
        """A short text the network writes from nothing: for the strip of samples through a training."""
        return "".join(self.stream(net.eval(), [Text("")], Sampling(length=length, temperature=0.8)))

    def line(self, prediction: Any) -> str:
        return "  ".join(f"{name!r} {p:.0%}" for name, p in prediction["next"])


def is_empty(prompt: Text | Ids) -> bool:
    return not (prompt.text if isinstance(prompt, Text) else len(prompt))


@lru_cache(maxsize=4)
def corpus(data: str) -> text_files.Corpus:
    """The text, read once a process."""
    return text_files.read(Path(data))


@lru_cache(maxsize=8)
def numbers(data: str, units: Vocabulary, split: Split) -> Ids:
    """A split of it as numbers."""
    return torch.tensor(units.encode(corpus(data).splits[split]), dtype=torch.long)
