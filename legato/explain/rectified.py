"""The way back through a network with its rectifiers changed: what the gradient then shows.

Forward, every y = max(x, 0) stays as it is. Backward, of the signal g that arrives,

    the gradient   passes where x > 0               (Simonyan, Vedaldi & Zisserman 2013, section 3)
    deconvnet      passes where g > 0               (Zeiler & Fergus 2013, section 2.1: "rectification")
    guided         passes where x > 0 and g > 0     (Springenberg et al. 2014, section 3.4)
    redirected     passes where x > 0; where that is nowhere in an example, where g > 0
                                                    (tensorflow/lucid, misc/redirected_relu_grad.py)

Convolutions go back by their transposed filters and maxima to where they stood, as autograd has it: with the second
rule the gradient *is* the deconvnet (Simonyan et al., section 4). The last rule tells a unit that is silent what would
wake it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Rule = Literal["deconvnet", "guided", "redirected"]
RELUS = (F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)


class Deconvnet(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g.clamp(min=0)


class Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.where(x > 0, g.clamp(min=0), 0)


class Redirected(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        plain = torch.where(x > 0, g, 0)
        silent = (plain == 0).flatten(1).all(1).view(-1, *[1] * (g.dim() - 1))
        return torch.where(silent, g.clamp(min=0), plain)


RULES = {"deconvnet": Deconvnet, "guided": Guided, "redirected": Redirected}


class Rectifying(TorchFunctionMode):
    """Every rectifier called inside is this one, however the network is written; none is changed in place."""

    def __init__(self, rectify: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.rectify = rectify

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return self.rectify(args[0] if args else kwargs["input"]) if func in RELUS else func(*args, **kwargs)


@contextmanager
def rectifying(rule: Rule) -> Iterator[None]:
    """Gradients of what is computed inside go back through rectifiers by this rule; nothing in the network changes.

    Other non-linearities keep their own derivative.
    """
    with Rectifying(RULES[rule].apply):
        yield
