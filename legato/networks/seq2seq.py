"""From one sentence to another: an encoder reads, a decoder writes. Three decoders, one a paper.

Shapes: source (t, b), padded at the end, where `mask` is False; target (s, b), what is already written; memory
(t, b, m), what the encoder has made of each word. Every decoder gives logits (s, b, v) of what comes next, the weights
(s, b, t) with which it looked at the source, and its state, with which it goes on: a word at a time, or all at once.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn, tanh

from legato.layers.attention import AdditiveAttention, DotAttention
from legato.recurrent.cells import Cell
from legato.recurrent.cells import State as CellState
from legato.recurrent.fast import scan
from legato.recurrent.stack import Stack

Ids = Int[Tensor, "s b"]
Written = tuple[Float[Tensor, "s b v"], Float[Tensor, "s b t"], tuple]


class Memory(NamedTuple):
    """What was read: a vector a word, where there are words, and a summary of all."""

    words: Float[Tensor, "t b m"]
    mask: Bool[Tensor, "t b"]
    summary: Float[Tensor, "b m"]


class Encoder(nn.Module):
    """Reads the source with a stack; its summary is the last state, of both ways where it reads both."""

    def __init__(self, embed: nn.Embedding, stack: Stack, drop: float) -> None:
        super().__init__()
        self.embed, self.stack, self.outputs = embed, stack, stack.outputs
        self.dropout = nn.Dropout(drop)

    def forward(self, source: Int[Tensor, "t b"], mask: Bool[Tensor, "t b"]) -> Memory:
        hs, finals = self.stack(self.dropout(self.embed(source)), None, mask)
        summary = torch.cat([final[0] for final in finals[-self.stack.ways :]], dim=-1)
        return Memory(self.dropout(hs), mask, summary)


class FixedDecoder(nn.Module):
    """The whole source in one vector c, which every step sees (Cho et al. 2014, arXiv:1406.1078, section 2.2).

    Without maxout before the softmax. Its weights say where c comes from: the last word.
    """

    def __init__(self, embed: nn.Embedding, cell: type[Cell], memory: int, width: int, drop: float) -> None:
        super().__init__()
        self.embed = embed
        self.first = nn.Linear(memory, width)
        self.cell = cell(embed.embedding_dim + memory, width)
        self.dropout = nn.Dropout(drop)
        self.combine = nn.Linear(width + memory + embed.embedding_dim, embed.embedding_dim)
        self.out = nn.Linear(embed.embedding_dim, embed.num_embeddings)

    def start(self, memory: Memory) -> CellState:
        return starting(self.cell, tanh(self.first(memory.summary)))

    def forward(self, target: Ids, memory: Memory, state: CellState) -> Written:
        ys = self.dropout(self.embed(target))
        cs = memory.summary.expand(len(target), -1, -1)
        hs, state = scan(self.cell, torch.cat((ys, cs), dim=-1), state)
        read = tanh(self.combine(self.dropout(torch.cat((hs, cs, ys), dim=-1))))
        last = memory.mask.sum(0) - 1
        weights = nn.functional.one_hot(last, len(memory.mask)).to(hs.dtype).expand(len(target), -1, -1)
        return self.out(self.dropout(read)), weights, state


class AttentiveDecoder(nn.Module):
    """Looks at the source after each step of its own: h̃ = tanh(W [c; h]) (Luong et al. 2015, arXiv:1508.04025, eq. 5).

    What it has seen does not enter its state, so all steps of a known target are computed at once.
    """

    def __init__(
        self,
        embed: nn.Embedding,
        cell: type[Cell],
        attention: AdditiveAttention | DotAttention,
        memory: int,
        width: int,
        drop: float,
    ) -> None:
        super().__init__()
        self.embed, self.attention = embed, attention
        self.first = nn.Linear(memory, width)
        self.cell = cell(embed.embedding_dim, width)
        self.dropout = nn.Dropout(drop)
        self.combine = nn.Linear(width + memory, embed.embedding_dim)
        self.out = nn.Linear(embed.embedding_dim, embed.num_embeddings)

    def start(self, memory: Memory) -> CellState:
        return starting(self.cell, tanh(self.first(memory.summary)))

    def forward(self, target: Ids, memory: Memory, state: CellState) -> Written:
        hs, state = scan(self.cell, self.dropout(self.embed(target)), state)
        cs, weights = self.attention(hs, self.attention.keys(memory.words), memory.words, memory.mask)
        read = tanh(self.combine(self.dropout(torch.cat((hs, cs), dim=-1))))
        return self.out(self.dropout(read)), weights, state


class FeedingDecoder(nn.Module):
    """Looks at the source before each step, and what it sees enters its state (Bahdanau et al. 2015, arXiv:1409.0473).

    s_i = f(s_{i−1}, y_{i−1}, c_i), where c_i is what s_{i−1} looks for. Without maxout before the softmax.
    """

    def __init__(
        self,
        embed: nn.Embedding,
        cell: type[Cell],
        attention: AdditiveAttention | DotAttention,
        memory: int,
        width: int,
        drop: float,
    ) -> None:
        super().__init__()
        self.embed, self.attention = embed, attention
        self.first = nn.Linear(memory, width)
        self.cell = cell(embed.embedding_dim + memory, width)
        self.dropout = nn.Dropout(drop)
        self.combine = nn.Linear(width + memory + embed.embedding_dim, embed.embedding_dim)
        self.out = nn.Linear(embed.embedding_dim, embed.num_embeddings)

    def start(self, memory: Memory) -> CellState:
        return starting(self.cell, tanh(self.first(memory.summary)))

    def forward(self, target: Ids, memory: Memory, state: CellState) -> Written:
        keys, ys = self.attention.keys(memory.words), self.dropout(self.embed(target))
        steps, weights = [], []
        for y in ys:
            c, α = self.attention(state[0][None], keys, memory.words, memory.mask)
            state = self.cell(torch.cat((y, c[0]), dim=-1), state)
            steps.append(torch.cat((state[0], c[0], y), dim=-1))
            weights.append(α[0])
        read = tanh(self.combine(self.dropout(torch.stack(steps))))
        return self.out(self.dropout(read)), torch.stack(weights), state


class Seq2Seq(nn.Module):
    """An encoder and a decoder (Sutskever et al. 2014; Cho et al. 2014)."""

    def __init__(self, encoder: Encoder, decoder: FixedDecoder | AttentiveDecoder | FeedingDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(
        self, source: Int[Tensor, "t b"], mask: Bool[Tensor, "t b"], target: Ids
    ) -> tuple[Float[Tensor, "s b v"], Float[Tensor, "s b t"]]:
        """Teacher forcing: after each word of a known target, what would come next, and where it looked."""
        memory = self.encoder(source, mask)
        logits, weights, _ = self.decoder(target, memory, self.decoder.start(memory))
        return logits, weights


def starting(cell: Cell, h: Float[Tensor, "b n"]) -> CellState:
    """A state whose h is given; what else it has begins at zero."""
    return (h, *(torch.zeros_like(h) for _ in range(cell.memories - 1)))
