"""From probabilities to an answer, one unit after another: sampling, and beam search. Networks know nothing of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from legato.errors import UsageError
from legato.task import Decoding

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]  # (ids (n,), state) → (logits (n, v) of what comes next, state)


@dataclass(frozen=True)
class Sampling(Decoding):
    """How to write: `length` units, each drawn from what the network expects."""

    length: int = 500
    """Units to write."""
    temperature: float = 1.0
    """Divides the logits: below 1 surer, above 1 more adventurous; 0: always the likeliest."""
    top_k: int = 0
    """Only the k likeliest may be drawn; 0: any."""
    top_p: float = 1.0
    """Only the fewest likeliest that have this probability together may be drawn (Holtzman et al. 2020)."""
    seed: int = 0
    """Of the draws."""

    def __post_init__(self) -> None:
        for name, fits, must in (
            ("length", self.length >= 0, "not be negative"),
            ("temperature", self.temperature >= 0, "not be negative"),
            ("top_k", self.top_k >= 0, "not be negative"),
            ("top_p", 0 < self.top_p <= 1, "be above 0 and at most 1"),
        ):
            if not fits:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: must {must}")


@dataclass(frozen=True)
class Beam(Decoding):
    """How to search: the best sentence among those that begin with the best beginnings."""

    beam: int = 5
    """Beginnings kept at each step; 1: greedy."""
    longest: int = 100
    """Units after which a sentence ends in any case."""
    length_penalty: float = 1.0
    """α of Wu et al. 2016, eq. 14: 0 compares probabilities, which prefers short sentences; 1 nearly their mean."""


class Hypothesis(NamedTuple):
    """A sentence found, without its end; `score` is its log probability over the length penalty."""

    ids: list[int]
    score: float


def probabilities(logits: Float[Tensor, "*n v"], how: Sampling) -> Float[Tensor, "*n v"]:
    """What to draw from: softmax(logits / T), cut to the top k, then to the top p, and normalised again."""
    if how.temperature == 0:
        return torch.zeros_like(logits).scatter(-1, logits.argmax(-1, keepdim=True), 1.0)
    p = (logits / how.temperature).softmax(-1)
    if how.top_k:
        least = p.topk(min(how.top_k, p.shape[-1])).values[..., -1:]
        p = p.where(p >= least, 0)
    if how.top_p < 1:
        p = p / p.sum(-1, keepdim=True)
        ranked, order = p.sort(-1, descending=True)
        before = ranked.cumsum(-1) - ranked  # the probability of all likelier ones
        p = torch.zeros_like(p).scatter(-1, order, ranked.where(before < how.top_p, 0))
    return p / p.sum(-1, keepdim=True)


def draw(p: Float[Tensor, "n v"], rng: Generator) -> Int[Tensor, "n"]:
    """One of v for each row."""
    return torch.multinomial(p, 1, generator=rng).squeeze(-1)


def sample(
    step: Step, logits: Float[Tensor, "n v"], state: Any, how: Sampling, rng: Generator
) -> Iterator[Int[Tensor, "n"]]:
    """What comes after the state that has these logits: each unit drawn is the next input (lectures: feed it back)."""
    for left in reversed(range(how.length)):
        ids = draw(probabilities(logits.float(), how), rng)
        yield ids
        if left:
            logits, state = step(ids, state)


def beam_search(step: Step, state: Any, begin: Int[Tensor, "b"], end: int, how: Beam) -> list[Hypothesis]:
    """The best sentence for each row of `begin`, with beam width k = `how.beam`.

    `step` sees b·k rows, of which k after one another belong to one sentence; so does `state`, a nest of tensors whose
    first axis is the row. A finished sentence stays in the beam, and is compared there with those that go on.
    """
    b, k = len(begin), how.beam
    rows = torch.arange(b, device=begin.device)[:, None] * k
    found = begin.new_empty(b, k, 0)
    last = begin.repeat_interleave(k)
    totals = begin.new_full((b, k), -inf, dtype=torch.float32)
    totals[:, 0] = 0  # at first all k are the same sentence
    lengths, over = begin.new_zeros(b, k), torch.zeros_like(totals, dtype=torch.bool)
    for _ in range(how.longest):
        logits, state = step(last, state)
        log_p = logits.float().log_softmax(-1).unflatten(0, (b, k))
        totals, parent, ids = best_of(totals, log_p, lengths, over, end, how)
        over, lengths = over.gather(1, parent), lengths.gather(1, parent)
        lengths = lengths + (~over).long()
        over = over | (ids == end)
        found = torch.cat((found.gather(1, parent[..., None].expand_as(found)), ids[..., None]), dim=-1)
        state, last = taken(state, (rows + parent).flatten()), ids.flatten()
        if over.all():
            break
    scores, best = (totals / penalty(lengths, how.length_penalty)).max(dim=1)
    chosen = found[torch.arange(b, device=begin.device), best].tolist()
    return [Hypothesis(until(ids, end), score) for ids, score in zip(chosen, scores.tolist())]


def best_of(
    totals: Float[Tensor, "b k"],
    log_p: Float[Tensor, "b k v"],
    lengths: Int[Tensor, "b k"],
    over: Bool[Tensor, "b k"],
    end: int,
    how: Beam,
) -> tuple[Float[Tensor, "b k"], Int[Tensor, "b k"], Int[Tensor, "b k"]]:
    """The k best ways to go on: log probability so far, which beginning, which unit. A finished one only waits."""
    v = log_p.shape[-1]
    waits = log_p.new_full((v,), -inf)
    waits[end] = 0
    sums = totals[..., None] + torch.where(over[..., None], waits, log_p)
    ranked = sums / penalty(lengths + (~over).long(), how.length_penalty)[..., None]
    best = ranked.flatten(1).topk(how.beam).indices
    return sums.flatten(1).gather(1, best), best // v, best % v


def penalty(lengths: Int[Tensor, "*n"], alpha: float) -> Float[Tensor, "*n"]:
    """lp(Y) = ((5 + |Y|) / 6)^α (Wu et al. 2016, "Google's Neural Machine Translation System", eq. 14)."""
    return ((5 + lengths) / 6) ** alpha


def taken(nest: Any, rows: Int[Tensor, "n"]) -> Any:
    """These rows of every tensor of a nest of tuples."""
    if isinstance(nest, Tensor):
        return nest[rows]
    return tuple(taken(part, rows) for part in nest)


def until(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end)] if end in ids else ids
