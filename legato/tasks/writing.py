"""A language model goes on with a text: unit after unit, each drawn from what it expects next."""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from legato.decoding import Sampling, sample
from legato.networks.charrnn import CharRNN
from legato.recurrent.generate import Sampler

AT_ONCE = 16  # units drawn in one call of C: often enough for who reads along


def written(net: CharRNN, ids: Int[Tensor, "t 1"], how: Sampling, rng: Generator) -> Iterator[int]:
    """`how.length` units after those of `ids`. In C, where the whole distribution is drawn from, on a CPU."""
    cut_short = how.top_k or how.top_p < 1
    if cut_short or ids.device.type != "cpu" or not how.length:
        logits, states = net(ids)
        yield from map(int, sample(lambda ids, states: after(net, ids, states), logits[-1], states, how, rng))
        return
    states = net.stack.first(1) if len(net.stack.starts) else None
    sampler = Sampler(list(net.stack.cells), net.embed.weight, net.out)  # type: ignore[arg-type]
    for first in range(0, how.length, AT_ONCE):
        uniforms = torch.rand(min(AT_ONCE, how.length - first), 1, generator=rng)
        drawn, states = sampler(ids, uniforms, how.temperature, states)
        yield from drawn[:, 0].tolist()
        ids = drawn[-1:]


def after(net: CharRNN, ids: Int[Tensor, "b"], states: Any) -> tuple[Float[Tensor, "b v"], Any]:
    """One unit more."""
    logits, states = net(ids[None], states)
    return logits[0], states
