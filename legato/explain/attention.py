"""Where a translator looked for each word it wrote (Bahdanau, Cho & Bengio 2015, arXiv:1409.0473, figure 3)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from legato.data.vocabulary import END
from legato.explain.subject import Shown, Subject, method
from legato.networks.seq2seq import FixedDecoder, Seq2Seq
from legato.picture.text import attention_matrix
from legato.recurrent.scan import mask_of
from legato.task import Task
from legato.tasks.translate import Translate


class Words(NamedTuple):
    """A matrix between two sentences, once pieces have been put together to words."""

    weights: Float[Tensor, "s t"]
    written: tuple[str, ...]
    read: tuple[str, ...]


@torch.no_grad()
def attention(
    net: Seq2Seq, source: Int[Tensor, "t b"], mask: Bool[Tensor, "t b"], given: Int[Tensor, "s b"]
) -> Float[Tensor, "s b t"]:
    """Each row, the weights with which the network looked at the source for what comes after each of `given`: sum 1."""
    return net(source, mask, given)[1].float()


def by_words(weights: Float[Tensor, "s t"], written: Sequence[str], read: Sequence[str], mean: bool = True) -> Words:
    """Of pieces that read one word the sum, of pieces that write one the mean: rows still sum to 1.

    `mean` False takes the sum there, too: for what adds up over pieces, such as gradient × input of log p.
    """
    down, across = starts(written), starts(read)
    rows = [weights[a:b].mean(0) if mean else weights[a:b].sum(0) for a, b in pairwise(down)]
    columns = [torch.stack(rows)[:, a:b].sum(1) for a, b in pairwise(across)]
    join = lambda names, begins: tuple("".join(names[a:b]).strip() for a, b in pairwise(begins))
    return Words(torch.stack(columns, dim=1), join(written, down), join(read, across))


def starts(pieces: Sequence[str]) -> list[int]:
    """Where words begin: at a space, at a sign, after a sign; and at last the end."""
    sign = lambda piece: not any(letter.isalnum() for letter in piece) or piece == END
    return [
        *(
            i
            for i, p in enumerate(pieces)
            if i == 0 or p.startswith(" ") or sign(p) or sign(pieces[i - 1].strip() or "a")
        ),
        len(pieces),
    ]


def attentive(task: Task[Any, Any, Any], net: nn.Module) -> str:
    """The objection to a network that does not look."""
    if not isinstance(net, Seq2Seq):
        return f"{type(net).__name__} has no attention"
    return "this translator was trained with --attention none" if isinstance(net.decoder, FixedDecoder) else ""


@method("attention", attentive)
def show_attention(subject: Subject) -> list[Shown]:
    """Where a translator looked for each word it wrote (--what: a translation of yours instead of its own)."""
    assert isinstance(subject.task, Translate)
    assert isinstance(subject.net, Seq2Seq)
    task, net, inputs = subject.task, subject.net, subject.encoded
    written = task.written(net, inputs, subject.what)
    weights = attention(net, inputs.ids, mask_of(inputs.lengths, len(inputs.ids)), written.given)
    writes, reads = task.known.writes.names, task.known.reads.names
    names = [writes[i] for i in written.wanted[:, 0].tolist()]
    found = by_words(weights[:, 0].cpu(), names, [reads[i] for i in inputs.ids[:, 0].tolist()])
    title = "Where the translator looked, word by word"
    drawn = attention_matrix(found.weights, found.written, found.read, title)
    most = found.weights.max(1)
    lines = [f"{subject.input.text} → {written.sentences[0]}"]
    lines += [f"{word}\t{found.read[k]} {w:.0%}" for word, w, k in zip(found.written, *map(Tensor.tolist, most))]
    return [Shown(drawn, lines=tuple(lines))]
