"""From a sentence to one class. Three ways to read it: all words at once, a few at a time, one after another.

Each is given its table of words; ids (t, b) are padded at the end, where `mask` (t, b) is False. → logits (b, k).
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn, relu
from torch.nn.functional import pad

from legato.recurrent.stack import Stack

Ids = Int[Tensor, "t b"]
Mask = Bool[Tensor, "t b"]
Logits = Float[Tensor, "b k"]


class BagOfWords(nn.Module):
    """The mean of the words' vectors, through a dense layer: order does not count (Iyyer et al. 2015, DAN)."""

    def __init__(self, embed: nn.Embedding, width: int, classes: int, drop: float) -> None:
        super().__init__()
        self.embed = embed
        self.hidden = nn.Linear(embed.embedding_dim, width)
        self.dropout = nn.Dropout(drop)
        self.out = nn.Linear(width, classes)

    def forward(self, ids: Ids, mask: Mask) -> Logits:
        there = mask[..., None].to(self.embed.weight.dtype)
        mean = (self.embed(ids) * there).sum(0) / there.sum(0).clamp(min=1)
        return self.out(self.dropout(relu(self.hidden(self.dropout(mean)))))


class SentenceCNN(nn.Module):
    """Filters over 3, 4 and 5 words, the strongest answer of each (Kim 2014, arXiv:1408.5882, figure 1, "CNN-rand")."""

    def __init__(
        self, embed: nn.Embedding, maps: int, classes: int, drop: float, widths: tuple[int, ...] = (3, 4, 5)
    ) -> None:
        super().__init__()
        self.embed, self.widest = embed, max(widths)
        self.filters = nn.ModuleList(nn.Conv1d(embed.embedding_dim, maps, width) for width in widths)
        self.dropout = nn.Dropout(drop)
        self.out = nn.Linear(maps * len(widths), classes)

    def forward(self, ids: Ids, mask: Mask) -> Logits:
        xs = (self.embed(ids) * mask[..., None]).permute(1, 2, 0)  # (b, e, t)
        xs = pad(xs, (self.widest - 1, self.widest - 1))  # so that each filter meets each word, in any batch
        strongest = [relu(self.strongest(conv, xs, mask.sum(0))) for conv in self.filters]
        return self.out(self.dropout(torch.cat(strongest, dim=1)))

    def strongest(self, conv: nn.Module, xs: Float[Tensor, "b e p"], lengths: Int[Tensor, "b"]) -> Float[Tensor, "b m"]:
        """The largest answer of each filter to windows that hold a word: longer padding changes nothing."""
        answers = conv(xs)
        last = lengths[:, None] + self.widest - 1  # windows that begin from here on are all padding
        begins = torch.arange(answers.shape[-1], device=xs.device)
        return answers.masked_fill((begins >= last)[:, None], -torch.inf).amax(-1)


class SentenceRNN(nn.Module):
    """Word after word, and the class from the last state (lectures: many to one); from both last states of two ways."""

    def __init__(self, embed: nn.Embedding, stack: Stack, classes: int, drop: float) -> None:
        super().__init__()
        self.embed, self.stack = embed, stack
        self.dropout = nn.Dropout(drop)
        self.out = nn.Linear(stack.outputs, classes)

    def forward(self, ids: Ids, mask: Mask) -> Logits:
        _, finals = self.stack(self.dropout(self.embed(ids)), None, mask)
        last = torch.cat([final[0] for final in finals[-self.stack.ways :]], dim=-1)
        return self.out(self.dropout(last))
