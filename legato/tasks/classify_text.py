"""Which kind of sentence is it?"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from os.path import isfile
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from legato.data import sentences, text_files, vocabulary
from legato.data.vocabulary import UNKNOWN, Tokens, Vocabulary, side_by_side
from legato.draws import Draws
from legato.errors import DataError, UsageError, nearest
from legato.metrics import classification
from legato.networks.sentence import BagOfWords, SentenceCNN, SentenceRNN
from legato.recipe import Recipe
from legato.recurrent import cells
from legato.recurrent.scan import mask_of
from legato.recurrent.stack import Stack
from legato.task import Decoding, Split, Step, Tally, Task
from legato.values import Scores, Text

WIDTHS = {"cnn": 100, "rnn": 128, "bag": 100}  # Kim 2014 has 100 maps of each width


@dataclass(frozen=True)
class Learnt:
    """What `adapt` has found in the sentences."""

    format: str
    names: tuple[str, ...]  # of classes
    vocabulary: Vocabulary
    counts: tuple[int, ...]  # training sentences of each class
    examples: tuple[int, ...]  # of train, valid, test
    policy: str
    fingerprint: str


@dataclass(frozen=True)
class ClassifyText(Task[Text, int, nn.Module]):
    """One class of several for each sentence."""

    data: str = ""
    """Files .pos and .neg, TREC questions, a CSV, TSV or JSONL with text and label, or folders of .txt, one a class."""
    network: Literal["cnn", "rnn", "bag"] = "cnn"
    """Kim's convolutions over words, a recurrent network, or a dense one that does not see the order of words."""
    cell: str = "gru"
    """Of the recurrent network: a name from `legato list cells`."""
    both: bool = True
    """The recurrent network reads from both ends."""
    width: int = 0
    """Filters of each width, or numbers in the state. 0: 100 filters, 128 numbers."""
    depth: int = 1
    """Recurrent layers."""
    embed: int = 300
    """Numbers that stand for a word."""
    vocabulary: int = 0
    """Most words; 0: all that occur in training."""
    dropout: float = 0.5
    """Before the last layer."""
    fine: bool = False
    """TREC: the fine classes instead of the coarse."""
    fold: str = ""
    """2/10: the second tenth of the sentences tests, or validates where there is a test split. all: train on all."""
    learnt: Learnt | None = field(default=None, metadata={"flag": False})

    name: ClassVar[str] = "classify_text"
    takes: ClassVar[tuple[type, ...]] = (Text,)

    @property
    def known(self) -> Learnt:
        """What has been learnt; an error in the caller if nothing has."""
        assert self.learnt is not None, "adapt() first"
        return self.learnt

    # data
    @classmethod
    def recognises(cls, data: str) -> bool:
        return sentences.recognises(Path(data))

    def adapt(self) -> "ClassifyText":
        found = sentence_set(self.data, self.fold, self.fine)
        train = found.splits["train"]
        counted = Counter(k for _, k in train)
        learnt = Learnt(
            format=found.format,
            names=found.names,
            vocabulary=vocabulary.words_of((w for text, _ in train for w in words(text)), self.vocabulary),
            counts=tuple(counted[k] for k in range(len(found.names))),
            examples=tuple(len(found.splits[split]) for split in ("train", "valid", "test")),
            policy=found.policy,
            fingerprint=found.fingerprint,
        )
        return replace(self, width=self.width or WIDTHS[self.network], learnt=learnt)

    def about(self) -> list[str]:
        known, (train, valid, test) = self.known, self.known.examples
        how = f"{self.cell} of {self.width}" if self.network == "rnn" else f"width {self.width}"
        return [
            f"{self.data}: {known.format}, {len(known.names)} classes, {len(known.vocabulary):,} words, "
            f"{train:,} train, {valid:,} valid, {test:,} test; {known.policy}",
            f"{self.name} by {self.network}, {how}, words of {self.embed} numbers",
        ]

    @property
    def names(self) -> tuple[str, ...]:
        return self.known.names

    def examples(self, split: Split) -> Sequence[tuple[Text, int]]:
        return as_texts(self.data, self.fold, self.fine, split)

    def augment(self, input: Text, target: int, draws: Draws) -> tuple[Text, int]:
        """A word in ten is hidden, so that the network learns to do with what it knows."""
        units = words(input.text)
        hidden = draws.uniform("hide", len(units))[0] < 0.1
        kept = (UNKNOWN if hide else unit for unit, hide in zip(units, hidden.tolist()))
        return Text(" ".join(kept), input.source), target

    # tensors
    def encode_inputs(self, inputs: Sequence[Text]) -> Tokens:
        return side_by_side([self.known.vocabulary.numbered(words(x.text)) for x in inputs])

    def encode_targets(self, targets: Sequence[int], inputs: Tokens) -> Int[Tensor, "b"]:
        return torch.tensor(targets)

    # learning
    def build(self) -> nn.Module:
        embed = nn.Embedding(len(self.known.vocabulary), self.embed)
        nn.init.uniform_(embed.weight, -0.25, 0.25)  # Kim 2014, section 3.2
        classes = len(self.known.names)
        if self.network == "cnn":
            return SentenceCNN(embed, self.width, classes, self.dropout)
        if self.network == "bag":
            return BagOfWords(embed, self.width, classes, self.dropout)
        stack = Stack(cells.lookup(self.cell), self.embed, self.width, self.depth, self.both, self.dropout)
        return SentenceRNN(embed, stack, classes, self.dropout)

    def recipe(self) -> Recipe:
        """A first guess for 5,000 to 10,000 sentences; not yet compared with others on validation sentences."""
        return Recipe(epochs=10, batch_size=50, optimizer="adamw", lr=1e-3, weight_decay=1e-2, clip_norm=3.0)

    def loss(self, net: nn.Module, inputs: Tokens, targets: Int[Tensor, "b"], carry: Any) -> Step:
        return Step({"class": F.cross_entropy(logits(net, inputs), targets)}, weight=float(len(targets)))

    # measuring
    def outputs(self, net: nn.Module, inputs: Tokens, carry: Any) -> tuple[Float[Tensor, "b k"], None]:
        """Probabilities: their mean over networks is an ensemble's."""
        return logits(net, inputs).softmax(-1), None

    def tally(self, outputs: Float[Tensor, "b k"], targets: Int[Tensor, "b"]) -> Tally:
        return classification.tally(outputs, targets)

    def scores(self, tally: Tally) -> dict[str, float]:
        return classification.scores(tally)

    def badness(self, outputs: Float[Tensor, "b k"], targets: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
        """−ln of the true class's probability, where another is preferred; at most 0 where the answer is right."""
        own = outputs.gather(1, targets[:, None]).squeeze(1)
        wrong = outputs.argmax(dim=1) != targets
        return torch.where(wrong, -own.clamp(min=1e-12).log(), -own)

    def evidence(self, outputs: Float[Tensor, "b k"], what: str) -> Float[Tensor, "b"]:
        """The probability of class `what`; of the likeliest if it is empty."""
        if not what:
            return outputs.max(dim=1).values
        if what not in self.known.names:
            raise UsageError(f"no class called {what!r}{nearest(what, self.known.names)}")
        return outputs[:, self.known.names.index(what)]

    def score(self, net: nn.Module, inputs: Tokens, what: str) -> Float[Tensor, "b"]:
        """The logit of class `what`; of the likeliest if it is empty."""
        return self.evidence(logits(net, inputs), what)

    # use
    def read_input(self, source: str) -> Text:
        """The text of a file; or the sentence itself, where there is no such file."""
        return sentence(source)

    def predict(self, outputs: Float[Tensor, "b k"], inputs: Tokens, how: Decoding) -> list[dict[str, Any]]:
        """For each sentence: its class, how probable that is, and the `top` likeliest classes."""
        tops = [Scores(self.known.names, row).top(how.top) for row in outputs.cpu()]
        return [
            {"class": top[0][0], "probability": round(top[0][1], 6), "top": [[n, round(p, 6)] for n, p in top]}
            for top in tops
        ]

    def line(self, prediction: Any) -> str:
        return f"{prediction['class']} {prediction['probability']:.0%}"


def words(text: str) -> list[str]:
    """Lower case, punctuation by itself; � stays, for what is hidden."""
    return vocabulary.WORDS.findall(text.lower())


def sentence(source: str) -> Text:
    """The text of a file; or the words themselves, where there is no such file. Raises DataError if there is none."""
    if isfile(source):  # unlike Path.is_file, it knows that a long sentence is no file
        return Text(text_files.read_text(Path(source)).strip(), source)
    text_files.must_not_be_lost(source)
    if not source.strip():
        raise DataError("an empty sentence: there is nothing to answer")
    return Text(source)


def logits(net: nn.Module, inputs: Tokens) -> Float[Tensor, "b k"]:
    return net(inputs.ids, mask_of(inputs.lengths, len(inputs.ids))).float()


@lru_cache(maxsize=12)
def sentence_set(data: str, fold: str, fine: bool) -> sentences.SentenceSet:
    """The data set, read once a process."""
    return sentences.read(Path(data), fold, fine)


@lru_cache(maxsize=36)
def as_texts(data: str, fold: str, fine: bool, split: Split) -> list[tuple[Text, int]]:
    return [(Text(text), k) for text, k in sentence_set(data, fold, fine).splits[split]]
