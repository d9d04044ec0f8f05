"""A picture described: places of a map are what an attentive decoder looks at, before each word it writes.

Xu et al. 2015, "Show, attend and tell", arXiv:1502.03044, with soft attention (section 4.2); without attention it is
the picture in one vector at every step (Vinyals et al. 2015, "Show and tell", arXiv:1411.4555, give it once, before the
first word).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from legato.networks.seq2seq import AttentiveDecoder, FeedingDecoder, FixedDecoder, Memory
from legato.networks.trunk import Trunk

Decoder = FixedDecoder | AttentiveDecoder | FeedingDecoder


class Captioner(nn.Module):
    """Pictures (b, c, h, w) in [0, 1] and what is written (s, b) → what comes next (s, b, v), where it looked."""

    def __init__(self, trunk: Trunk, decoder: Decoder, drop: float) -> None:
        super().__init__()
        self.trunk = trunk
        self.even = nn.LayerNorm(trunk.channels[-1])  # maps of different networks are of very different size
        self.dropout = nn.Dropout(drop)
        self.decoder = decoder

    def forward(
        self, pixels: Float[Tensor, "b c h w"], target: Int[Tensor, "s b"]
    ) -> tuple[Float[Tensor, "s b v"], Float[Tensor, "s b p"]]:
        return self.written(self.trunk(pixels)[-1], target)

    def written(
        self, map: Float[Tensor, "b m _h _w"], target: Int[Tensor, "s b"]
    ) -> tuple[Float[Tensor, "s b v"], Float[Tensor, "s b p"]]:
        """Teacher forcing on a map: after each word what would come next, and how it looked at the places."""
        memory = self.memory(map)
        logits, weights, _ = self.decoder(target, memory, self.decoder.start(memory))
        return logits, weights

    def memory(self, map: Float[Tensor, "b m _h _w"]) -> Memory:
        """A vector for each place, row by row, and their mean, with which the decoder begins (section 3.1.2)."""
        places = self.dropout(self.even(map.flatten(2).permute(2, 0, 1)))  # (h·w, b, m)
        return Memory(places, torch.ones(places.shape[:2], dtype=torch.bool, device=map.device), places.mean(0))
