"""Choosing φ(x) for f(x) = w · φ(x) (lecture 003): by hand, or learnt as a hidden layer."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.demos.learning import decay, minimise
from legato.demos.registry import Demo, demo
from legato.picture.page import Lines, page

PHI = {
    "[1, x]": lambda x: torch.stack([x**0, x], 1),
    "[1, x, x², x³]": lambda x: torch.stack([x**0, x, x**2, x**3], 1),
    "[1, x, sin 3x]": lambda x: torch.stack([x**0, x, (3 * x).sin()], 1),
}


def truth(x: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    return x / 2 + (4 * (3 * x).sin()).tanh()


def fitted(phi: Float[Tensor, "n k"], y: Float[Tensor, "n"]) -> Float[Tensor, "k"]:
    """argmin over w of ‖Φ w − y‖², Φ a row of features for each point."""
    return torch.linalg.lstsq(phi, y[:, None]).solution[:, 0]


def learnt(x: Float[Tensor, "n"], y: Float[Tensor, "n"]) -> nn.Sequential:
    """φ(x) = tanh(W x + b): W and b are found together with w, by the gradient of the same error."""
    net = nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 1)).double()
    minimise(lambda: (net(x[:, None])[:, 0] - y).square().mean() + 1e-4 * decay(net), net.parameters())
    return net


@demo("F1")
def features() -> Demo:
    """Choosing φ(x): [1, x], [1, x, x², x³], [1, x, sin 3x], or learning it.

    All four are linear in w; what f can be is decided by φ. The learnt φ is 12 units tanh(wx + b).
    Errors are those on new points: that is how one chooses.
    """
    x = 4 * torch.rand(60).double() - 2
    y = truth(x) + 0.15 * torch.randn(60).double()
    new = torch.linspace(-2, 2, 401).double()
    found = {name: phi(new) @ fitted(phi(x), y) for name, phi in PHI.items()}
    found["learnt"] = learnt(x, y)(new[:, None])[:, 0].detach()
    errors = {name: float((f - truth(new)).square().mean()) for name, f in found.items()}
    panels = [
        Lines({name: (new, f)}, f"φ = {name}: test error {errors[name]:.3f}", "x", "y", {"": (x, y)}, legend="")
        for name, f in found.items()
    ]
    lines = [f"φ(x) = {name:16} mean squared error on 401 new points {error:.4f}" for name, error in errors.items()]
    return Demo(page(panels, "Four choices of φ(x), fitted to the same 60 points", 2, height=2.3), lines, errors)
