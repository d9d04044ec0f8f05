"""The best sentence that a decoder can write about what was read: of a text, or of a picture."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from legato.data.vocabulary import BEGIN, END, Vocabulary
from legato.decoding import Beam, Hypothesis, beam_search
from legato.networks.seq2seq import AttentiveDecoder, FeedingDecoder, FixedDecoder, Memory


def search(
    decoder: FixedDecoder | AttentiveDecoder | FeedingDecoder, memory: Memory, writes: Vocabulary, how: Beam
) -> list[Hypothesis]:
    """One for each row of the memory, which stands there `how.beam` times as rows of the beam; no unknown words."""
    words, mask = (part.repeat_interleave(how.beam, dim=1) for part in (memory.words, memory.mask))
    wide = Memory(words, mask, memory.summary.repeat_interleave(how.beam, dim=0))

    def step(ids: Int[Tensor, "n"], state: Any) -> tuple[Float[Tensor, "n v"], Any]:
        logits, _, state = decoder(ids[None], wide, state)
        if writes.unit == "word" and writes.unknown >= 0:
            logits[..., writes.unknown] = -torch.inf
        return logits[0], state

    begin = torch.full((memory.words.shape[1],), writes.numbers[BEGIN], device=memory.words.device)
    return beam_search(step, decoder.start(wide), begin, writes.numbers[END], how)
