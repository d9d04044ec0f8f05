"""How does one say it in the other language?"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from legato.data import text_files, text_pairs, vocabulary
from legato.data.vocabulary import BEGIN, END, IGNORED, Tokens, Vocabulary, side_by_side
from legato.decoding import Beam
from legato.draws import Draws
from legato.errors import DataError
from legato.layers.attention import AdditiveAttention, DotAttention
from legato.metrics import translation
from legato.networks.seq2seq import AttentiveDecoder, Encoder, FeedingDecoder, FixedDecoder, Seq2Seq
from legato.recipe import Recipe
from legato.recurrent import cells
from legato.recurrent.scan import mask_of
from legato.recurrent.stack import Stack
from legato.task import Decoding, Split, Step, Tally, Task
from legato.tasks.searching import search
from legato.values import Text

PIECES = 4_000  # of each language, where nothing else is said
LONGEST = 100  # pieces of a training sentence


class Targets(NamedTuple):
    """What to write: `<s>` and the words, the words and `</s>`, and the sentences as they are in the data."""

    given: Int[Tensor, "s b"]
    wanted: Int[Tensor, "s b"]
    sentences: tuple[str, ...]


class Outputs(NamedTuple):
    """What was written, and where the network looked for each piece of it and for the end."""

    written: tuple[tuple[int, ...], ...]
    scores: tuple[float, ...]
    weights: Float[Tensor, "s b t"]


@dataclass(frozen=True)
class Learnt:
    """What `adapt` has found in the sentences."""

    format: str
    languages: tuple[str, str]
    reads: Vocabulary
    writes: Vocabulary
    examples: tuple[int, ...]  # pairs in train, valid, test
    policy: str
    fingerprint: str
    bleu: str  # sacrebleu's signature

    @property
    def names(self) -> tuple[str, ...]:
        """Of the pieces that are written."""
        return self.writes.names


@dataclass(frozen=True)
class Translate(Task[Text, str, Seq2Seq]):
    """A sentence in another language."""

    data: str = ""
    """A folder of parallel files (train.de, train.en, …), or TSV or JSONL."""
    source: str = ""
    """The language that is read: the ending of its files, its column or key. Empty: the first of two."""
    target: str = ""
    """The language that is written. Empty: the second of two."""
    vocabulary: int = PIECES
    """Most pieces of words in each language."""
    attention: Literal["dot", "additive", "none"] = "dot"
    """How the decoder looks at the source: Luong's product, Bahdanau's sum, or only at one vector for all (Cho)."""
    feeding: bool = False
    """What it has seen enters its state (Bahdanau); slower, as its steps wait for one another."""
    cell: str = "gru"
    """A name from `legato list cells`."""
    width: int = 384
    """Numbers in the state of the decoder, and of the encoder both ways together."""
    embed: int = 256
    """Numbers that stand for a piece."""
    dropout: float = 0.4
    """Of pieces, states and what is made of them."""
    beam: int = 5
    """Beginnings kept when a sentence is searched for; 1: greedy."""
    fold: str = ""
    """2/5: validate on the second fifth of the training examples. all: train on every one, validate on none."""
    learnt: Learnt | None = field(default=None, metadata={"flag": False})

    name: ClassVar[str] = "translate"
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
        return text_pairs.recognises(Path(data))

    def adapt(self) -> "Translate":
        found = pair_set(self.data, self.source, self.target, self.fold)
        train = found.splits["train"]
        learnt = Learnt(
            format=found.format,
            languages=found.languages,
            reads=vocabulary.pieces((a for a, _ in train), self.vocabulary),
            writes=vocabulary.pieces((b for _, b in train), self.vocabulary),
            examples=tuple(len(found.splits[split]) for split in ("train", "valid", "test")),
            policy=found.policy,
            fingerprint=found.fingerprint,
            bleu=translation.signature(),
        )
        return replace(self, source=found.languages[0], target=found.languages[1], learnt=learnt)

    def about(self) -> list[str]:
        known, (train, valid, test) = self.known, self.known.examples
        pieces = f"{len(known.reads):,} and {len(known.writes):,} pieces of words"
        return [
            f"{self.data}: {known.format}, {' to '.join(known.languages)}, {pieces}, "
            f"{train:,} train, {valid:,} valid, {test:,} test; {known.policy}",
            f"{self.name} by {self.cell} of {self.width}, attention: {self.attention}; BLEU is {known.bleu}",
        ]

    @property
    def names(self) -> tuple[str, ...]:
        return self.known.names

    def examples(self, split: Split) -> Sequence[tuple[Text, str]]:
        return as_texts(self.data, self.source, self.target, self.fold, split)

    def batches(self, examples: Sequence[tuple[Text, str]], size: int, rng: Generator | None) -> list[list[int]]:
        """Sentences of like length together: less padding."""
        lengths = torch.tensor([len(a.text) + len(b) for a, b in examples])
        order = torch.arange(len(examples)) if rng is None else torch.randperm(len(examples), generator=rng)
        order = order[lengths[order].argsort(stable=True)]
        groups = [group.tolist() for group in order.split(size)]
        places = torch.arange(len(groups)) if rng is None else torch.randperm(len(groups), generator=rng)
        return [groups[i] for i in places.tolist()]

    def batch(
        self, examples: Sequence[tuple[Text, str]], indices: Sequence[int], draws: Draws | None
    ) -> tuple[Tokens, Targets]:
        inputs, targets = zip(*(examples[i] for i in indices))
        return (encoded := self.encode_inputs(inputs)), self.encode_targets(targets, encoded)

    # tensors
    def encode_inputs(self, inputs: Sequence[Text]) -> Tokens:
        """Pieces and `</s>`, at most 100."""
        reads = self.known.reads
        end = reads.numbers[END]
        return side_by_side([[*reads.encode(x.text)[: LONGEST - 1], end] for x in inputs], end)

    def encode_targets(self, targets: Sequence[str], inputs: Tokens) -> Targets:
        writes = self.known.writes
        begin, end = writes.numbers[BEGIN], writes.numbers[END]
        numbered = [writes.encode(sentence)[: LONGEST - 1] for sentence in targets]
        given = side_by_side([[begin, *ids] for ids in numbered], end)
        return Targets(given.ids, side_by_side([[*ids, end] for ids in numbered], IGNORED).ids, tuple(targets))

    # learning
    def build(self) -> Seq2Seq:
        known, cell, drop = self.known, cells.lookup(self.cell), self.dropout
        reads, writes = (nn.Embedding(len(units), self.embed) for units in (known.reads, known.writes))
        for table in (reads, writes):
            nn.init.normal_(table.weight, std=0.1)
        encoder = Encoder(reads, Stack(cell, self.embed, self.width // 2, both=True), drop)
        memory = encoder.outputs
        if self.attention == "none":
            return Seq2Seq(encoder, FixedDecoder(writes, cell, memory, self.width, drop))
        attention: AdditiveAttention | DotAttention
        if self.attention == "additive":
            attention = AdditiveAttention(self.width, memory, self.width)
        else:
            attention = DotAttention(self.width, memory)
        kind = FeedingDecoder if self.feeding else AttentiveDecoder
        return Seq2Seq(encoder, kind(writes, cell, attention, memory, self.width, drop))

    def recipe(self) -> Recipe:
        """For about 30,000 pairs of short sentences, such as Multi30K."""
        return Recipe(epochs=15, batch_size=64, optimizer="adamw", lr=2e-3, weight_decay=1e-4, clip_norm=1.0)

    def loss(self, net: Seq2Seq, inputs: Tokens, targets: Targets, carry: Any) -> Step:
        """Cross entropy of the next piece, a tenth of it spread over all (Szegedy et al. 2016, section 7)."""
        logits, _ = net(inputs.ids, mask_of(inputs.lengths, len(inputs.ids)), targets.given)
        wanted = targets.wanted.flatten()
        mean = F.cross_entropy(logits.flatten(0, 1).float(), wanted, ignore_index=IGNORED, label_smoothing=0.1)
        return Step({"next": mean}, weight=float((wanted >= 0).sum()))

    # measuring
    def outputs(self, net: Seq2Seq, inputs: Tokens, carry: Any) -> tuple[Outputs, None]:
        """The best sentences that a beam search finds. They are no numbers, and have no mean: there is no ensemble."""
        mask = mask_of(inputs.lengths, len(inputs.ids))
        longest = min(LONGEST, 2 * len(inputs.ids) + 10)
        found = search(
            net.decoder, net.encoder(inputs.ids, mask), self.known.writes, Beam(beam=self.beam, longest=longest)
        )
        begin = self.known.writes.numbers[BEGIN]
        given = side_by_side([[begin, *hypothesis.ids] for hypothesis in found]).ids.to(inputs.ids.device)
        weights = net(inputs.ids, mask, given)[1]
        return Outputs(tuple(tuple(h.ids) for h in found), tuple(h.score for h in found), weights.float()), None

    def tally(self, outputs: Outputs, targets: Targets) -> Tally:
        return translation.tally([self.known.writes.decode(ids) for ids in outputs.written], targets.sentences)

    def scores(self, tally: Tally) -> dict[str, float]:
        return translation.scores(tally)

    def score(self, net: Seq2Seq, inputs: Tokens, what: str) -> Float[Tensor, "b"]:
        """ln p of the translation `what`; if it is empty, of the one the network finds for the first sentence."""
        return self.log_likelihoods(net, inputs, self.written(net, inputs, what)).sum(0)

    def log_likelihoods(self, net: Seq2Seq, inputs: Tokens, written: Targets) -> Float[Tensor, "s b"]:
        """ln p of each piece of one translation, of the end too, when all before it is given."""
        rows = inputs.ids.shape[1]
        given, wanted = (ids.expand(-1, rows) for ids in (written.given, written.wanted))
        logits, _ = net(inputs.ids, mask_of(inputs.lengths, len(inputs.ids)), given)
        return logits.float().log_softmax(-1).gather(-1, wanted[..., None]).squeeze(-1)

    @torch.no_grad()
    def written(self, net: Seq2Seq, inputs: Tokens, what: str) -> Targets:
        """The translation `what` as pieces; if it is empty, the one the network finds for the first sentence."""
        if not what:
            first = Tokens(inputs.ids[: int(inputs.lengths[0]), :1], inputs.lengths[:1])
            what = self.predict(self.outputs(net, first, None)[0], first, Decoding())[0]["translation"]
        found = self.encode_targets([what], inputs)
        device = inputs.ids.device
        return Targets(found.given.to(device), found.wanted.to(device), found.sentences)

    # use
    def read_input(self, source: str) -> Text:
        """A sentence, or that of a file."""
        if not source.strip():
            raise DataError("an empty sentence: there is nothing to translate")
        return Text(text_files.sentence(source))

    def predict(self, outputs: Outputs, inputs: Tokens, how: Decoding) -> list[dict[str, Any]]:
        """For each sentence: the translation, its score, and where the network looked: a row for each piece written."""
        reads, writes = self.known.reads, self.known.writes
        answers = []
        for row, (written, length) in enumerate(zip(outputs.written, inputs.lengths.tolist())):
            weights = outputs.weights[: len(written) + 1, row, :length]
            answers.append(
                {
                    "translation": writes.decode(written),
                    "score": round(outputs.scores[row], 6),
                    "read": [reads.names[i] for i in inputs.ids[:length, row].tolist()],
                    "written": [*(writes.names[i] for i in written), END],
                    "attention": [[round(w, 4) for w in line] for line in weights.tolist()],
                }
            )
        return answers

    def line(self, prediction: Any) -> str:
        return str(prediction["translation"])


@lru_cache(maxsize=4)
def pair_set(data: str, source: str, target: str, fold: str) -> text_pairs.PairSet:
    """The data set, read once a process."""
    return text_pairs.read(Path(data), source, target, fold)


@lru_cache(maxsize=12)
def as_texts(data: str, source: str, target: str, fold: str, split: Split) -> list[tuple[Text, str]]:
    return [(Text(a), b) for a, b in pair_set(data, source, target, fold).splits[split]]
