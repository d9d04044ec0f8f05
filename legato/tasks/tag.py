"""What is each word in its sentence?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from legato.data import conllu, text_files, vocabulary
from legato.data.vocabulary import IGNORED, UNKNOWN, Vocabulary, side_by_side
from legato.draws import Draws
from legato.errors import DataError, UsageError, nearest
from legato.metrics import tagging
from legato.networks.tagger import LimitedLookahead, SpellingCNN, SpellingRNN, Tagger, WordByWord
from legato.recipe import Recipe
from legato.recurrent import cells
from legato.recurrent.scan import mask_of
from legato.recurrent.stack import Stack
from legato.task import Decoding, Split, Step, Tally, Task
from legato.values import Text

Sentence = tuple[str, ...]  # words


class Inputs(NamedTuple):
    """Sentences side by side: words, their characters (padding −1), lengths."""

    words: Int[Tensor, "t b"]
    spellings: Int[Tensor, "c n"]
    lengths: Int[Tensor, "b"]

    @property
    def mask(self) -> Bool[Tensor, "t b"]:
        return mask_of(self.lengths, len(self.words))


class Targets(NamedTuple):
    """The number of each word's tag (padding −1), and which words training never saw."""

    tags: Int[Tensor, "t b"]
    unknown: Bool[Tensor, "t b"]


@dataclass(frozen=True)
class Learnt:
    """What `adapt` has found in the sentences."""

    format: str
    names: tuple[str, ...]  # of tags
    words: Vocabulary
    characters: Vocabulary
    examples: tuple[int, ...]  # sentences of train, valid, test
    policy: str
    fingerprint: str


@dataclass(frozen=True)
class Tag(Task[Sentence, Sentence, Tagger]):
    """A tag for each word: parts of speech, grammar, names."""

    data: str = ""
    """CoNLL-U, CoNLL columns or JSONL: a file, or a folder with train, dev and test."""
    column: str = "upos"
    """Of CoNLL-U: upos, xpos or deprel."""
    reads: Literal["both", "ahead", "forward", "dnn"] = "both"
    """The whole sentence; up to `ahead` words ahead, while one speaks; only what was; or each word by itself."""
    cell: str = "lstm"
    """A name from `legato list cells`."""
    width: int = 192
    """Numbers in the state of each layer and direction."""
    depth: int = 1
    """Layers on top of one another."""
    embed: int = 100
    """Numbers that stand for a word."""
    spelling: Literal["cnn", "rnn", "none"] = "cnn"
    """How the characters of a word are read: by convolution, by a recurrent network both ways, or not at all."""
    ahead: int = field(default=2, metadata={"least": 0})
    """Words that a tag may wait for, if it reads ahead."""
    chunk: int = 1
    """Words tagged at once, if it reads ahead: larger is cheaper, and later."""
    dropout: float = 0.5
    """Before and after the recurrent layers."""
    fold: str = ""
    """2/5: validate on the second fifth of the training examples. all: train on every one, validate on none."""
    learnt: Learnt | None = field(default=None, metadata={"flag": False})

    name: ClassVar[str] = "tag"
    takes: ClassVar[tuple[type, ...]] = (Text,)
    by_line: ClassVar[bool] = True

    @property
    def known(self) -> Learnt:
        """What has been learnt; an error in the caller if nothing has."""
        assert self.learnt is not None, "adapt() first"
        return self.learnt

    # data
    @classmethod
    def recognises(cls, data: str) -> bool:
        return conllu.recognises(Path(data))

    def adapt(self) -> "Tag":
        if self.reads == "ahead" and self.depth > 1:
            raise UsageError("--depth: one layer reads ahead; a second would wait twice as long")
        found = tagged_set(self.data, self.column, self.fold)
        train = found.splits["train"]
        learnt = Learnt(
            format=found.format,
            names=found.names,
            words=vocabulary.words_of(word.lower() for words, _ in train for word in words),
            characters=vocabulary.characters("".join(word for words, _ in train for word in words)),
            examples=tuple(len(found.splits[split]) for split in ("train", "valid", "test")),
            policy=found.policy,
            fingerprint=found.fingerprint,
        )
        return replace(self, learnt=learnt)

    def about(self) -> list[str]:
        known, (train, valid, test) = self.known, self.known.examples
        reads = {"ahead": f"{self.ahead} words ahead", "dnn": "word by word"}.get(self.reads, self.reads)
        return [
            f"{self.data}: {known.format}, {len(known.names)} tags, {len(known.words):,} words, "
            f"{train:,} train, {valid:,} valid, {test:,} test; {known.policy}",
            f"{self.name} by {self.cell} of {self.width}, reading {reads}, spelling by {self.spelling}",
        ]

    @property
    def names(self) -> tuple[str, ...]:
        return self.known.names

    def examples(self, split: Split) -> Sequence[tuple[Sentence, Sentence]]:
        return tagged_set(self.data, self.column, self.fold).splits[split]

    def batches(
        self, examples: Sequence[tuple[Sentence, Sentence]], size: int, rng: Generator | None
    ) -> list[list[int]]:
        """Sentences of like length together: little padding, and none at all if it reads ahead."""
        lengths = torch.tensor([len(words) for words, _ in examples])
        order = torch.arange(len(examples)) if rng is None else torch.randperm(len(examples), generator=rng)
        order = order[lengths[order].argsort(stable=True)]
        if self.reads == "ahead":
            alike = lengths[order].unique_consecutive(return_counts=True)[1].tolist()
            groups = [part.tolist() for same in order.split(alike) for part in same.split(size)]
        else:
            groups = [part.tolist() for part in order.split(size)]
        places = torch.arange(len(groups)) if rng is None else torch.randperm(len(groups), generator=rng)
        return [groups[i] for i in places.tolist()]

    def augment(self, input: Sentence, target: Sentence, draws: Draws) -> tuple[Sentence, Sentence]:
        """A word in ten is hidden, spelling and all, so that the network learns to do with what stands around it."""
        hidden = draws.uniform("hide", len(input))[0] < 0.1
        return tuple(UNKNOWN if hide else word for word, hide in zip(input, hidden.tolist())), target

    # tensors
    def encode_inputs(self, inputs: Sequence[Sentence]) -> Inputs:
        known = self.known
        numbered = [known.words.numbered(word.lower() for word in words) for words in inputs]
        ids, lengths = side_by_side(numbered)
        columns = [words[i] if i < len(words) else "" for i in range(len(ids)) for words in inputs]
        spellings = side_by_side([known.characters.numbered(word) for word in columns], IGNORED)
        return Inputs(ids, spellings.ids, lengths)

    def encode_targets(self, targets: Sequence[Sentence], inputs: Inputs) -> Targets:
        """Raises DataError for a tag that training does not have."""
        number = {name: k for k, name in enumerate(self.known.names)}
        unheard = {tag for tags in targets for tag in tags} - number.keys()
        if unheard:
            raise DataError(f"{self.data}: no training sentence has the tag {min(unheard)!r}; add one, or mend it")
        numbered = [[number[tag] for tag in tags] for tags in targets]
        return Targets(side_by_side(numbered, IGNORED).ids, inputs.words == self.known.words.unknown)

    # learning
    def build(self) -> Tagger:
        known, cell = self.known, cells.lookup(self.cell)
        letters = nn.Embedding(len(known.characters), 30)
        spelling: SpellingCNN | SpellingRNN | None = None
        if self.spelling == "cnn":
            spelling = SpellingCNN(letters, 60)
        elif self.spelling == "rnn":
            spelling = SpellingRNN(letters, Stack(cells.lookup("lstm"), 30, 30, both=True))
        inputs = self.embed + (spelling.outputs if spelling else 0)
        reader: Stack | WordByWord | LimitedLookahead
        if self.reads == "dnn":
            reader = WordByWord(inputs, self.width)
        elif self.reads == "ahead":
            reader = LimitedLookahead(cell, inputs, self.width, self.chunk, self.ahead)
        else:
            reader = Stack(cell, inputs, self.width, self.depth, self.reads == "both", self.dropout)
        words = nn.Embedding(len(known.words), self.embed)
        nn.init.normal_(words.weight, std=0.3)
        return Tagger(words, spelling, reader, len(known.names), self.dropout)

    def recipe(self) -> Recipe:
        """For about 12,000 sentences (docs/results.md); not compared with other recipes."""
        return Recipe(epochs=12, batch_size=32, optimizer="adamw", lr=3e-3, weight_decay=1e-4, clip_norm=5.0)

    def loss(self, net: Tagger, inputs: Inputs, targets: Targets, carry: Any) -> Step:
        logits = net(inputs.words, inputs.spellings, inputs.mask).float()
        mean = F.cross_entropy(logits.flatten(0, 1), targets.tags.flatten(), ignore_index=IGNORED)
        return Step({"tag": mean}, weight=float(inputs.lengths.sum()))

    # measuring
    def outputs(self, net: Tagger, inputs: Inputs, carry: Any) -> tuple[Float[Tensor, "t b k"], None]:
        """Probabilities of each tag: their mean over networks is an ensemble's."""
        return net(inputs.words, inputs.spellings, inputs.mask).float().softmax(-1), None

    def tally(self, outputs: Float[Tensor, "t b k"], targets: Targets) -> Tally:
        return tagging.tally(outputs, targets.tags, targets.unknown)

    def scores(self, tally: Tally) -> dict[str, float]:
        return tagging.scores(tally)

    def badness(self, outputs: Float[Tensor, "t b k"], targets: Targets) -> Float[Tensor, "b"]:
        """Share of wrong tags in each sentence."""
        there = targets.tags >= 0
        wrong = (outputs.argmax(-1) != targets.tags) & there
        return wrong.sum(0) / there.sum(0).clamp(min=1)

    def score(self, net: Tagger, inputs: Inputs, what: str) -> Float[Tensor, "b"]:
        """The logit of a tag of one word: `dog/NOUN`, or `dog` for its likeliest; `#3/NOUN` is the third word's.

        If `what` is empty, the sum over all words of the likeliest. All sentences have the word where the first has it.
        """
        logits = net(inputs.words, inputs.spellings, inputs.mask).float()
        if not what:
            return (logits.max(-1).values * inputs.mask).sum(0)
        word, _, tag = what.rpartition("/") if "/" in what[1:] else (what, "", "")
        own = logits[self.place(word, inputs)]
        if not tag:
            return own.max(-1).values
        if tag not in self.known.names:
            raise UsageError(f"no tag called {tag!r}{nearest(tag, self.known.names)}")
        return own[:, self.known.names.index(tag)]

    def place(self, word: str, inputs: Inputs) -> int:
        """Where this word, or `#3`, stands in the first sentence. Raises UsageError."""
        steps, rows = int(inputs.lengths[0]), len(inputs.lengths)
        if word.startswith("#") and word[1:].isdigit():
            if not 1 <= int(word[1:]) <= steps:
                raise UsageError(f"{word}: the sentence has {steps} words")
            return int(word[1:]) - 1
        spelt = self.known.characters.numbered(word)
        for step, letters in enumerate(inputs.spellings[:, ::rows].T.tolist()[:steps]):
            if [letter for letter in letters if letter != IGNORED] == spelt:
                return step
        raise UsageError(f"no word {word!r} in the sentence; #1 is its first")

    # use
    def read_input(self, source: str) -> Sentence:
        """A sentence, or that of a file; words and punctuation are parted."""
        words = tuple(vocabulary.WORDS.findall(text_files.sentence(source)))
        if not words:
            raise DataError("an empty sentence: there is nothing to tag")
        return words

    def predict(self, outputs: Float[Tensor, "t b k"], inputs: Inputs, how: Decoding) -> list[dict[str, Any]]:
        """For each sentence: the tag of each word, and how probable it is."""
        best = outputs.max(-1)
        return [
            {
                "tags": [self.known.names[k] for k in best.indices[:length, row].tolist()],
                "probabilities": [round(p, 6) for p in best.values[:length, row].tolist()],
            }
            for row, length in enumerate(inputs.lengths.tolist())
        ]

    @torch.inference_mode()
    def stream(self, net: Tagger, inputs: Sequence[Sentence], how: Decoding) -> Iterator[dict[str, Any]]:
        """Word after word: {"word", "tag", "probability"}, each as soon as the network can know it.

        Reading ahead, a tag comes `ahead` words (and the rest of its chunk) after its word; reading forward, at once;
        else at the sentence's end.
        """
        for words in inputs:
            for hs, first in self.live(net, words):
                p = net.out(hs)[:, 0].float().softmax(-1).max(-1)
                for word, k, probability in zip(words[first:], p.indices.tolist(), p.values.tolist()):
                    yield {"word": word, "tag": self.known.names[k], "probability": round(probability, 6)}

    def live(self, net: Tagger, words: Sentence) -> Iterator[tuple[Float[Tensor, "c b m"], int]]:
        """What comes out of the reader, chunk by chunk, and the place of each chunk's first word."""
        device = net.out.weight.device
        features = [net.features(x.words.to(device), x.spellings.to(device)) for x in self.one_by_one(words)]
        if isinstance(net.reader, LimitedLookahead):
            both, state = net.reader.both, None
            for first in range(0, len(words), both.chunk):
                hs, state = both.push(torch.cat(features[first : first + both.chunk + both.ahead]), state)
                yield hs, first
        elif self.reads == "both":
            yield net.reader(torch.cat(features))[0], 0
        else:
            states = None
            for first, xs in enumerate(features):
                hs, states = net.reader(xs, states)
                yield hs, first

    def one_by_one(self, words: Sentence) -> Iterator[Inputs]:
        return (self.encode_inputs([(word,)]) for word in words)

    def line(self, prediction: Any) -> str:
        return " ".join(prediction["tags"])

    def draw(self, input: Sentence, prediction: Any) -> str:
        return " ".join(f"{word}/{tag}" for word, tag in zip(input, prediction["tags"]))


@lru_cache(maxsize=4)
def tagged_set(data: str, column: str, fold: str) -> conllu.TaggedSet:
    """The data set, read once a process."""
    return conllu.read(Path(data), column, fold)
