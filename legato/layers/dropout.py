"""Dropout as the lecture defines it, and the average over many of its sub-networks."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.errors import UsageError
from legato.layers.modes import evaluating

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


class LectureDropout(nn.Module):
    """Training: x·δ, δ ~ Ber(keep). Use: keep·x, the expectation (Srivastava et al. 2014).

    The lecture writes p both for omitting and for scaling, which only agree at ½; in its formula E(s) = p Σ wᵢxᵢ it is
    the probability to *keep*, and so it is here. `nn.Dropout(1 − keep)` is the same, divided by `keep` in both modes.
    """

    def __init__(self, keep: float = 0.5) -> None:
        super().__init__()
        if not 0 < keep <= 1:
            raise UsageError(f"a unit is kept with a probability in (0, 1], not {keep}")
        self.keep = keep

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return x * (torch.rand_like(x) < self.keep) if self.training else self.keep * x


def monte_carlo(net: nn.Module, x: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the outputs of `samples` sub-networks drawn by net's dropout layers.

    For a linear unit the mean approaches net.eval()(x), else only nearly (Baldi & Sadowski 2014, "The dropout learning
    algorithm"); the deviation says how unsure the network is (Gal & Ghahramani 2016, arXiv:1506.02142).
    """
    with torch.no_grad(), evaluating(net):
        for module in net.modules():
            module.training = isinstance(module, (LectureDropout, *DROPOUTS))
        outputs = torch.stack([net(x) for _ in range(samples)])
    return outputs.mean(0), outputs.std(0)
