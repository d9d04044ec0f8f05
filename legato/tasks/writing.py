"""A language model goes on with a text: unit after unit, each drawn from what it expects next."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from legato.decoding import Sampling, sample
from legato.networks.charrnn import CharRNN
from legato.recurrent.generate import Sampler

IMPOSSIBLE = -1e30  # added to a logit
AT_ONCE = 16  # units drawn in one call of C: often enough for who reads along


def written(net: CharRNN, ids: Int[Tensor, "t 1"], how: Sampling, rng: Generator, never: int = -1) -> Iterator[int]:
    """`how.length` units after those of `ids`. In C, where the whole distribution is drawn from, on a CPU.

    `never` is a unit that is not written: what stands for all that is unknown.
    """
    if in_c(ids, how):
        for drawn in in_strips(net, ids, how, [rng], never):
            yield from drawn[:, 0].tolist()
        return
    bar = barrier(net, never)
    logits, states = net(ids)
    step = lambda ids, states: after(net, ids, states, bar)
    yield from map(int, sample(step, logits[-1] + bar, states, how, rng))


def written_together(
    net: CharRNN, ids: Int[Tensor, "t 1"], how: Sampling, rngs: Sequence[Generator], never: int = -1
) -> list[list[int]]:
    """A text for each generator, the one it would write alone; in C all of them share each look at the weights."""
    if not in_c(ids, how):
        return [list(written(net, ids, how, rng, never)) for rng in rngs]
    return torch.cat(list(in_strips(net, ids.expand(-1, len(rngs)), how, rngs, never))).T.tolist()


def in_c(ids: Tensor, how: Sampling) -> bool:
    return not (how.top_k or how.top_p < 1) and ids.device.type == "cpu" and how.length > 0


def in_strips(
    net: CharRNN, ids: Int[Tensor, "t b"], how: Sampling, rngs: Sequence[Generator], never: int
) -> Iterator[Int[Tensor, "s b"]]:
    """A few units at a time of each text."""
    states = net.stack.first(len(rngs)) if len(net.stack.starts) else None
    head = barred(net.out, barrier(net, never))
    precision = torch.bfloat16 if torch.is_autocast_enabled("cpu") else torch.float32
    sampler = Sampler(list(net.stack.cells), net.embed.weight, head, precision)  # type: ignore[arg-type]
    for first in range(0, how.length, AT_ONCE):
        count = min(AT_ONCE, how.length - first)
        uniforms = torch.stack([torch.rand(count, generator=rng) for rng in rngs], 1)
        drawn, states = sampler(ids, uniforms, how.temperature, states)
        yield drawn
        ids = drawn[-1:]


def barrier(net: CharRNN, never: int) -> Float[Tensor, "v"]:
    """What is added to the logits, so that one unit is not written."""
    bar = torch.zeros(len(net.out.weight), device=net.out.weight.device)
    bar[never if never >= 0 else slice(0)] = IMPOSSIBLE
    return bar


def after(
    net: CharRNN, ids: Int[Tensor, "b"], states: Any, bar: Float[Tensor, "v"]
) -> tuple[Float[Tensor, "b v"], Any]:
    """One unit more."""
    logits, states = net(ids[None], states)
    return logits[0] + bar, states


def barred(head: nn.Linear, bar: Float[Tensor, "v"]) -> nn.Linear:
    """The last layer with `bar` in its bias; its weights are the same tensor."""
    other = nn.Linear(head.in_features, head.out_features, device="meta")
    other.weight = head.weight
    other.bias = nn.Parameter(bar if head.bias is None else head.bias + bar)
    return other
