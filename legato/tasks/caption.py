"""What would one say of this picture?"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from legato import picture
from legato.data import captions
from legato.data.captions import Captioned
from legato.data.decode import fit, read_image, with_channels
from legato.data.vocabulary import BEGIN, END, IGNORED, SPACED, UNKNOWN, Vocabulary, side_by_side
from legato.decoding import Beam
from legato.draws import Draws
from legato.errors import DataError
from legato.layers.attention import AdditiveAttention, DotAttention
from legato.metrics import captioning, translation
from legato.networks.captioner import Captioner, Decoder
from legato.networks.registry import lookup
from legato.networks.seq2seq import FeedingDecoder, FixedDecoder
from legato.networks.trunk import freeze, taps, trunk
from legato.recipe import Recipe
from legato.recurrent import cells
from legato.run import Run
from legato.task import Decoding, Split, Step, Tally, Task
from legato.tasks import trunks
from legato.tasks.pictures import as_image
from legato.tasks.remembered import through
from legato.tasks.searching import search
from legato.tasks.transfer import copy_fitting
from legato.values import Image

LONGEST = 30  # words of a caption
IN = " in: "  # between a word and the sentence it is in
EVENLY = 1.0  # how much it counts that every place is looked at (Xu et al. 2015, equation 14)


@dataclass(frozen=True)
class Learnt:
    """What `adapt` has found in the captions."""

    format: str
    writes: Vocabulary
    channels: int
    size: int  # side of the square the network sees, pixels
    mean: tuple[float, ...]  # a channel, of pixels in [0, 1]
    sd: tuple[float, ...]
    examples: tuple[int, ...]  # pictures in train, valid, test
    policy: str
    fingerprint: str
    bleu: str  # sacrebleu's signature

    @property
    def names(self) -> tuple[str, ...]:
        """Of the words that are written."""
        return self.writes.names


class Targets(NamedTuple):
    """What to write: `<s>` and the words, the words and `</s>`, and all captions of each picture as they are."""

    given: Int[Tensor, "s b"]
    wanted: Int[Tensor, "s b"]
    references: tuple[tuple[str, ...], ...]


class Outputs(NamedTuple):
    """What was written, and where the network looked for each word of it and for the end; places row by row."""

    written: tuple[tuple[int, ...], ...]
    scores: tuple[float, ...]
    weights: Float[Tensor, "s b p"]


class Pictures(Sequence[tuple[Image, tuple[str, ...]]]):
    """The pictures of a split with all their captions; or, to learn from, one for each caption."""

    def __init__(self, folder: Path, found: Sequence[Captioned], one_each: bool) -> None:
        self.folder = folder
        self.rows = [(name, (one,)) for name, said in found for one in said] if one_each else list(found)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[Image, tuple[str, ...]]:  # type: ignore[override]
        name, said = self.rows[i]
        file = self.folder / name
        return Image(read_image(file), str(file)), said


@dataclass(frozen=True)
class Caption(Task[Image, tuple[str, ...], Captioner]):
    """A sentence that describes the picture."""

    data: str = ""
    """Folder with captions.txt (`image,caption`) and the pictures; or Flickr8k's files."""
    trunk: str = "squeezenet"
    """A classifier from `legato list networks`; places of its last map are looked at."""
    size: int = 224
    """Side of the square the network sees, pixels."""
    attention: Literal["additive", "dot", "none"] = "additive"
    """How the decoder looks at the places before each word: Xu's sum, a product, or always at their mean."""
    cell: str = "lstm"
    """A name from `legato list cells`."""
    width: int = 256
    """Numbers in the state of the decoder."""
    embed: int = 128
    """Numbers that stand for a word."""
    at_least: int = 3
    """How often a word must occur in training to be written."""
    dropout: float = 0.5
    """Of places, words, states and what is made of them."""
    beam: int = 3
    """Beginnings kept when a sentence is searched for; 1: greedy."""
    start_from: str = ""
    """Weights to begin with: `imagenet`, a file of published weights for the trunk, or the folder of a run."""
    freeze: str = "trunk"
    """Stages that keep the weights they begin with, parted by commas, `trunk`: all, or `none`."""
    fold: str = ""
    """2/5: validate on the second fifth of the training examples. all: train on every one, validate on none."""
    learnt: Learnt | None = field(default=None, metadata={"flag": False})

    name: ClassVar[str] = "caption"
    takes: ClassVar[tuple[type, ...]] = (Image,)

    @property
    def known(self) -> Learnt:
        """What has been learnt; an error in the caller if nothing has."""
        assert self.learnt is not None, "adapt() first"
        return self.learnt

    @property
    def network(self) -> str:
        """What stands in reports."""
        return f"captioner on {self.trunk}"

    # data
    @classmethod
    def recognises(cls, data: str) -> bool:
        return captions.recognises(Path(data))

    def adapt(self) -> "Caption":
        found, published = caption_set(self.data, self.fold), trunks.published(self.trunk, self.start_from)
        counted = Counter(word for _, said in found.splits["train"] for one in said for word in words(one))
        common = sorted((w for w in counted if counted[w] >= self.at_least), key=lambda w: (-counted[w], w))
        if not common:
            raise DataError(f"{self.data}: no word occurs {self.at_least} times in training; --at-least 1 takes all")
        learnt = Learnt(
            format=found.format,
            writes=Vocabulary("word", (UNKNOWN, BEGIN, END, *common), unknown=0),
            channels=published.channels if published else 3,
            size=self.size,
            mean=published.mean if published else (0.5,) * 3,
            sd=published.sd if published else (0.25,) * 3,
            examples=tuple(len(found.splits[split]) for split in ("train", "valid", "test")),
            policy=found.policy,
            fingerprint=found.fingerprint,
            bleu=translation.signature(),
        )
        return replace(self, learnt=learnt)

    def about(self) -> list[str]:
        known, (train, valid, test) = self.known, self.known.examples
        frozen = f", {self.freeze} kept as it is" if self.frozen else ""
        return [
            f"{self.data}: {known.format}, {len(self.examples('train')):,} captions of {train:,} pictures to train on, "
            f"{valid:,} pictures valid, {test:,} test; {known.policy}",
            f"{self.name} by {self.cell} of {self.width} on {self.trunk} at {self.size} × {self.size}{frozen}, "
            f"attention: {self.attention}, {len(known.writes):,} words; BLEU is {known.bleu}",
        ]

    @property
    def names(self) -> tuple[str, ...]:
        return self.known.names

    @property
    def frozen(self) -> str:
        """Stages that are kept; none of a trunk that has learnt nothing yet."""
        return self.freeze if self.start_from and self.freeze != "none" else ""

    def examples(self, split: Split) -> Pictures:
        return pictures_of(self.data, self.fold, split)

    def batch(
        self, examples: Sequence[tuple[Image, tuple[str, ...]]], indices: Sequence[int], draws: Draws | None
    ) -> tuple[Float[Tensor, "b c s s"], Targets]:
        inputs, targets = zip(*(examples[i] for i in indices))
        return (encoded := self.encode_inputs(inputs)), self.encode_targets(targets, encoded)

    # tensors
    def encode_inputs(self, inputs: Sequence[Image]) -> Float[Tensor, "b c s s"]:
        """Stretched to squares: the edges of a picture are described, too."""
        pictures = [fit(with_channels(x.pixels, self.known.channels), self.known.size, "stretch") for x in inputs]
        return torch.stack(pictures).float() / 255

    def encode_targets(self, targets: Sequence[tuple[str, ...]], inputs: Tensor) -> Targets:
        writes = self.known.writes
        begin, end = writes.numbers[BEGIN], writes.numbers[END]
        numbered = [writes.numbered(words(said[0]))[: LONGEST - 1] for said in targets]
        given = side_by_side([[begin, *ids] for ids in numbered], end)
        wanted = side_by_side([[*ids, end] for ids in numbered], IGNORED)
        return Targets(given.ids, wanted.ids, tuple(tuple(said) for said in targets))

    # learning
    def build(self) -> Captioner:
        known = self.known
        stride = max(tap.stride for tap in taps(lookup(self.trunk), known.channels) if tap.stride <= 16)
        body = trunk(self.trunk, [stride], known.channels, known.mean, known.sd)
        net = Captioner(body, self.decoder(body.channels[-1]), self.dropout)
        if self.frozen:
            freeze(net.get_submodule("trunk.stages"), self.frozen)
        return net

    def decoder(self, memory: int) -> Decoder:
        """On places of `memory` numbers each."""
        embed = nn.Embedding(len(self.known.writes), self.embed)
        nn.init.normal_(embed.weight, std=0.1)
        cell, width = cells.lookup(self.cell), self.width
        if self.attention == "none":
            return FixedDecoder(embed, cell, memory, width, self.dropout)
        additive = self.attention == "additive"
        attention = AdditiveAttention(width, memory, width) if additive else DotAttention(width, memory)
        return FeedingDecoder(embed, cell, attention, memory, width, self.dropout)

    def initialise(self, net: Captioner) -> str:
        if not self.start_from:
            return ""
        if (found := trunks.published(self.trunk, self.start_from)) is None:
            return f"{self.start_from}: {copy_fitting(net, Run(self.start_from).best(), self.start_from)}"
        own = net.get_submodule("trunk.stages")
        return f"{self.start_from}: {len(copy_fitting(own, found.tensors, self.start_from).loaded)} tensors taken over"

    def recipe(self) -> Recipe:
        """For some thousand captions: validation is best after two of five epochs (docs/results.md)."""
        return Recipe(epochs=5, batch_size=32, optimizer="adamw", lr=2e-3, weight_decay=1e-4, clip_norm=1.0)

    def loss(self, net: Captioner, inputs: Tensor, targets: Targets, carry: Any) -> Step:
        """Cross entropy of the next word; and that every place be looked at alike in the end (Xu et al., eq. 14)."""
        logits, weights = net.written(through(net.trunk.stages, inputs, again=True), targets.given)
        wanted = targets.wanted
        mean = F.cross_entropy(logits.flatten(0, 1).float(), wanted.flatten(), ignore_index=IGNORED)
        values, said = {"next": mean}, (wanted >= 0).float()
        if self.attention != "none":
            seen = (weights.float() * said[..., None]).sum(0) * weights.shape[-1] / said.sum(0)[:, None]
            values["evenly"] = EVENLY * (1 - seen).square().mean() / weights.shape[-1]
        return Step(values, weight=float(said.sum()))

    # measuring
    def outputs(self, net: Captioner, inputs: Tensor, carry: Any) -> tuple[Outputs, None]:
        """The best sentences that a beam search finds. They are no numbers, and have no mean: there is no ensemble."""
        map = through(net.trunk.stages, inputs, again=False)
        found = search(net.decoder, net.memory(map), self.known.writes, Beam(beam=self.beam, longest=LONGEST))
        begin = self.known.writes.numbers[BEGIN]
        given = side_by_side([[begin, *hypothesis.ids] for hypothesis in found]).ids.to(inputs.device)
        weights = net.written(map, given)[1]
        return Outputs(tuple(tuple(h.ids) for h in found), tuple(h.score for h in found), weights.float()), None

    def tally(self, outputs: Outputs, targets: Targets) -> Tally:
        said = [self.said(ids) for ids in outputs.written]
        return captioning.tally(said, [[one.lower() for one in refs] for refs in targets.references])

    def said(self, ids: Sequence[int]) -> str:
        return self.known.writes.decode(ids).strip()

    def scores(self, tally: Tally) -> dict[str, float]:
        return captioning.scores(tally)

    def score(self, net: Captioner, inputs: Tensor, what: str) -> Float[Tensor, "b"]:
        """ln p of the sentence `what`; of `dog in: a dog runs .` that of the word alone, when what stands before it is
        given. If `what` is empty, of the sentence the network finds for the first picture."""
        word, _, sentence = what.rpartition(IN)
        if not sentence:
            with torch.no_grad():
                sentence = self.said(self.outputs(net, inputs[:1], None)[0].written[0])
        found = self.encode_targets([(sentence,)], inputs)
        given, wanted = (ids.to(inputs.device).expand(-1, len(inputs)) for ids in (found.given, found.wanted))
        p = net(inputs, given)[0].float().log_softmax(-1).gather(-1, wanted[..., None])[..., 0]
        own = self.known.writes.numbers.get(f" {word}", -1)
        counts = wanted == own if word else wanted != self.known.writes.numbers[END]
        return (p * counts).sum(0)

    def claim(self, prediction: Any, what: str) -> str:
        """Its own caption; a word of it, as `score` takes it; or a sentence of the user's."""
        caption = str(prediction["caption"])
        return f"{what}{IN}{caption}" if f" {what}" in words(caption) else what or caption

    # use
    def read_input(self, source: str) -> Image:
        return Image(read_image(Path(source), self.known.channels), source)

    def predict(self, outputs: Outputs, inputs: Tensor, how: Decoding) -> list[dict[str, Any]]:
        """For each picture: the caption, its score, its words, and for each, and for the end, how much each place of
        the map was looked at, row by row."""
        writes, answers = self.known.writes, []
        for row, (ids, score) in enumerate(zip(outputs.written, outputs.scores)):
            looked = outputs.weights[: len(ids) + 1, row].tolist()
            answers.append(
                {
                    "caption": self.said(ids),
                    "score": round(score, 6),
                    "words": [*(writes.names[i].strip() for i in ids), END],
                    "attention": [[round(w, 4) for w in line] for line in looked],
                }
            )
        return answers

    def line(self, prediction: Any) -> str:
        return str(prediction["caption"])

    def draw(self, input: Image, prediction: Any) -> Image:
        """The picture, and what is said of it below."""
        return as_image(picture.sheet([(input, prediction["caption"])], tile=448), input.source)


def words(caption: str) -> list[str]:
    """Lower case, each word with the space before it; � stays unknown."""
    return SPACED.findall(" " + " ".join(caption.lower().split()))


@lru_cache(maxsize=4)
def caption_set(data: str, fold: str) -> captions.CaptionSet:
    """The data set, read once a process."""
    return captions.read(Path(data), fold)


@lru_cache(maxsize=12)
def pictures_of(data: str, fold: str, split: Split) -> Pictures:
    found = caption_set(data, fold)
    return Pictures(found.pictures, found.splits[split], split == "train")
