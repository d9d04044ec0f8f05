"""What several demonstrations need that is not what they show: descent, and digits to learn from."""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

Labelled = tuple[Float[Tensor, "n 1 8 8"], Int[Tensor, "n"]]


def minimise(loss: Callable[[], Tensor], weights: Iterable[Tensor], steps: int = 200, exact: bool = False) -> float:
    """Down to the nearest minimum of a smooth function by L-BFGS (Liu & Nocedal 1989), in place; the value there.

    `exact`: until all steps are used, else until it hardly falls any more.
    """
    weights = [w.requires_grad_() for w in weights]
    rule = torch.optim.LBFGS(
        weights, max_iter=steps, history_size=20, line_search_fn="strong_wolfe",
        tolerance_grad=1e-12 if exact else 1e-7, tolerance_change=0 if exact else 1e-9,
    )  # fmt: skip

    def closure() -> Tensor:
        rule.zero_grad()
        value = loss()
        value.backward()
        return value

    rule.step(closure)
    return float(loss().detach())


def decay(net: nn.Module) -> Tensor:
    """Σ w²: what is added to a loss so that weights stay small."""
    return torch.stack([w.square().sum() for w in net.parameters()]).sum()


def classifier(
    net: nn.Sequential, x: Float[Tensor, "n ..."], y: Int[Tensor, "n"], steps: int, batch: int = 48
) -> nn.Sequential:
    """The network after so many steps of Adam on batches drawn at random, in eval mode."""
    rule = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(steps):
        some = torch.randint(len(x), (batch,))
        rule.zero_grad()
        cross_entropy(net(x[some]), y[some]).backward()
        rule.step()
    return net.eval()


def digits() -> Labelled:
    """1,797 real handwritten digits in [0, 1], and which they are; they come with scikit-learn."""
    from sklearn.datasets import load_digits

    pictures, classes = load_digits(return_X_y=True)
    return torch.from_numpy(pictures).float().view(-1, 1, 8, 8) / 16, torch.from_numpy(classes).long()


def seen_and_new(new: int = 360) -> tuple[Labelled, tuple[Float[Tensor, "m 1 8 8"], Int[Tensor, "m"]]]:
    """Digits to learn from, and others to judge by."""
    x, y = digits()
    order = torch.randperm(len(x))
    return (x[order[new:]], y[order[new:]]), (x[order[:new]], y[order[:new]])


def share(right: Tensor) -> float:
    """Of what is true."""
    return float(right.double().mean())
