"""A language model goes on with a text: unit after unit, each drawn from what it expects next."""

from collections.abc import Iterator
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
    bar = torch.zeros(len(net.out.weight), device=ids.device)
    bar[never if never >= 0 else slice(0)] = IMPOSSIBLE
    cut_short = how.top_k or how.top_p < 1
    if cut_short or ids.device.type != "cpu" or not how.length:
        logits, states = net(ids)
        step = lambda ids, states: after(net, ids, states, bar)
        yield from map(int, sample(step, logits[-1] + bar, states, how, rng))
        return
    states = net.stack.first(1) if len(net.stack.starts) else None
    sampler = Sampler(list(net.stack.cells), net.embed.weight, barred(net.out, bar))  # type: ignore[arg-type]
    for first in range(0, how.length, AT_ONCE):
        uniforms = torch.rand(min(AT_ONCE, how.length - first), 1, generator=rng)
        drawn, states = sampler(ids, uniforms, how.temperature, states)
        yield from drawn[:, 0].tolist()
        ids = drawn[-1:]


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
