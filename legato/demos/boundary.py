"""The decision boundary φ(x) · w = 0 (lecture 003): flat in the space of features, a curve in that of x."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from legato.demos.learning import minimise, share
from legato.demos.registry import Demo, demo
from legato.picture.page import Field, page

PHI = {
    "[1, x₁, x₂]": lambda x: torch.stack([x[:, 0] ** 0, x[:, 0], x[:, 1]], 1),
    "[1, x₁, x₂, x₁², x₁x₂, x₂²]": lambda x: torch.stack(
        [x[:, 0] ** 0, x[:, 0], x[:, 1], x[:, 0] ** 2, x[:, 0] * x[:, 1], x[:, 1] ** 2], 1
    ),
}


def is_boat(x: Float[Tensor, "n 2"]) -> Float[Tensor, "n"]:
    """1 inside an ellipse, 0 around it."""
    return (((x[:, 0] - 0.8) / 1.7) ** 2 + ((x[:, 1] + 0.7) / 1.1) ** 2 < 1).double()


def fitted(phi: Float[Tensor, "n k"], y: Float[Tensor, "n"]) -> Float[Tensor, "k"]:
    """Logistic regression: the w of the smallest cross-entropy, which is convex in w."""
    w = torch.zeros(phi.shape[1]).double()
    minimise(lambda: binary_cross_entropy_with_logits(phi @ w, y) + 1e-3 * w.square().sum(), [w])
    return w.detach()


@demo("F2")
def boundary() -> Demo:
    """Decision boundary φ(x) · w = 0: boats inside, others outside.

    Black: φ(x) · w = 0, where both classes are equally probable. Red: boat, P = 1; blue: none, P = 0.
    In the six features the boundary is flat; seen in x it is a conic section.
    """
    x, new = (4 * torch.rand(n, 2).double() - 2 for n in (200, 5000))
    y, axis = is_boat(x), torch.linspace(-2, 2, 161).double()
    plane = torch.cartesian_prod(axis, axis).flip(1)  # rows of equal x₂
    dots = {"boat": tuple(x[y == 1].T), "no boat": tuple(x[y == 0].T)}
    panels, right = [], {}
    for name, phi in PHI.items():
        w = fitted(phi(x), y)
        right[name] = share((phi(new) @ w > 0) == is_boat(new).bool())
        two_p_less_1 = (phi(plane) @ w / 2).tanh().view(161, 161)
        title = f"φ = {name}: {right[name]:.1%} right"
        panels.append(Field(two_p_less_1, (-2, 2, -2, 2), title, "x₁", "x₂", signed=True, dots=dots))
    lines = [f"φ(x) = {name:28} right on 5,000 new points: {value:.1%}" for name, value in right.items()]
    return Demo(page(panels, "Where φ(x) · w changes its sign", side=3.6, height=3.1), lines, right)
