"""A tag for each word of a sentence: what the word is, how it is spelt, and what stands around it.

Shapes: words (t, b), padded at the end, where `mask` is False; spellings (c, t·b), the characters of every word, column
i·b + j for word i of sentence j, padded by −1. → logits (t, b, k).
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn, relu

from legato.recurrent.cells import Cell
from legato.recurrent.lookahead import Lookahead
from legato.recurrent.stack import Stack, States

Xs = Float[Tensor, "t b i"]
Ys = Float[Tensor, "t b m"]
Mask = Bool[Tensor, "t b"]
Spellings = Int[Tensor, "c n"]


class SpellingCNN(nn.Module):
    """Filters over three characters, the strongest answer of each (Ma & Hovy 2016, arXiv:1603.01354, section 2.1)."""

    def __init__(self, embed: nn.Embedding, maps: int) -> None:
        super().__init__()
        self.embed, self.outputs = embed, maps
        self.conv = nn.Conv1d(embed.embedding_dim, maps, 3, padding=1)

    def forward(self, spellings: Spellings) -> Float[Tensor, "n m"]:
        there = spellings >= 0
        xs = self.embed(spellings.clamp(min=0)) * there[..., None]
        answers = relu(self.conv(xs.permute(1, 2, 0)))
        return (answers * there.T[:, None]).amax(-1)  # none is below 0, so padding is never the strongest


class SpellingRNN(nn.Module):
    """A stack reads each word both ways, letter by letter; its last states (Ling et al. 2015, arXiv:1508.02096)."""

    def __init__(self, embed: nn.Embedding, stack: Stack) -> None:
        super().__init__()
        self.embed, self.stack, self.outputs = embed, stack, stack.outputs

    def forward(self, spellings: Spellings) -> Float[Tensor, "n m"]:
        there = spellings >= 0
        _, finals = self.stack(self.embed(spellings.clamp(min=0)), None, there)
        return torch.cat([final[0] for final in finals[-self.stack.ways :]], dim=-1)


class WordByWord(nn.Module):
    """A dense layer that sees each word by itself: what the lecture shows to fail where the past matters."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.hidden, self.outputs = nn.Linear(inputs, width), width

    def forward(self, xs: Xs, states: None = None, mask: Mask | None = None) -> tuple[Ys, None]:
        return relu(self.hidden(xs)), None


class LimitedLookahead(nn.Module):
    """A bidirectional layer that waits for `ahead` words and no more, so that it can tag while one speaks.

    Sentences in a batch must be equally long: the way back would begin in the padding.
    """

    def __init__(self, cell: type[Cell], inputs: int, width: int, chunk: int, ahead: int) -> None:
        super().__init__()
        self.both = Lookahead(cell(inputs, width), cell(inputs, width), chunk, ahead)
        self.outputs = 2 * width

    def forward(self, xs: Xs, states: States | None = None, mask: Mask | None = None) -> tuple[Ys, States]:
        hs, state = self.both(xs, states[0] if states else None)
        return hs, (state,)


class Tagger(nn.Module):
    """Words and spellings side by side into a reader: `Stack`, `WordByWord` or `LimitedLookahead`."""

    def __init__(
        self,
        words: nn.Embedding,
        spelling: SpellingCNN | SpellingRNN | None,
        reader: Stack | WordByWord | LimitedLookahead,
        tags: int,
        drop: float,
    ) -> None:
        super().__init__()
        self.words, self.spelling, self.reader = words, spelling, reader
        self.dropout = nn.Dropout(drop)
        self.out = nn.Linear(reader.outputs, tags)

    def forward(self, words: Int[Tensor, "t b"], spellings: Spellings, mask: Mask) -> Float[Tensor, "t b k"]:
        hs, _ = self.reader(self.dropout(self.features(words, spellings)), None, mask)
        return self.out(self.dropout(hs))

    def features(self, words: Int[Tensor, "t b"], spellings: Spellings) -> Xs:
        """What is known of each word by itself."""
        xs = self.words(words)
        if self.spelling is None:
            return xs
        return torch.cat((xs, self.spelling(spellings).unflatten(0, words.shape)), dim=-1)
