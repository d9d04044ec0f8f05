"""Convolution as signal processing defines it, beside the cross-correlation that networks call convolution."""

from torch import Tensor, nn


class TrueConv2d(nn.Conv2d):
    """(f ∗ g)(t) = Σ_τ f(τ) g(t − τ): the kernel is flipped, then shifted; `nn.Conv2d` only shifts it.

    The two agree exactly when the kernel is symmetric about its centre; one is the other with the flipped kernel, so
    that a network learns the same functions with either. Arguments and shapes are those of `nn.Conv2d`.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(input, weight.flip(-2, -1), bias)
