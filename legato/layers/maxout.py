"""Maxout (Goodfellow et al. 2013, arXiv:1302.4389): a unit is the largest of several linear ones."""

from jaxtyping import Float
from torch import Tensor, nn

from legato.errors import UsageError


class Maxout(nn.Module):
    """The largest of `pieces` neighbouring channels: (b, pieces·o, …) → (b, o, …), after an `nn.Linear` or a conv.

    All the gradient goes to the largest, none to the others; of equals to the first (where torch's `amax` would share
    it out), so that there is always exactly one piece that learns.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Float[Tensor, "b i *map"]) -> Float[Tensor, "b o *map"]:
        if x.shape[1] % self.pieces:
            raise UsageError(f"Maxout takes the largest of {self.pieces} channels, which do not divide {x.shape[1]}")
        return x.unflatten(1, (-1, self.pieces)).max(2).values
