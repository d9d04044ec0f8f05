"""Squared error and gradient descent w ← w − α ∂L/∂w (lecture 003): curvature decides how large a step may be."""

import torch
from jaxtyping import Float
from torch import Tensor

from legato.demos.registry import Demo, demo
from legato.picture.page import Field, Lines, page

W = Float[Tensor, "*ws 2"]
Phi = Float[Tensor, "n 2"]
Y = Float[Tensor, "n"]


def risk(w: W, phi: Phi, y: Y) -> Float[Tensor, "*ws"]:
    """L(w) = ½ · mean of (w · φ(x) − y)², for each w."""
    return (w @ phi.T - y).square().mean(-1) / 2


def gradient(w: Float[Tensor, "2"], phi: Phi, y: Y) -> Float[Tensor, "2"]:
    """∂L/∂w = Φᵀ (Φ w − y) / n."""
    return phi.T @ (phi @ w - y) / len(y)


def path(w: Float[Tensor, "2"], alpha: float, steps: int, phi: Phi, y: Y) -> Float[Tensor, "t 2"]:
    ws = [w]
    for _ in range(steps):
        ws.append(ws[-1] - alpha * gradient(ws[-1], phi, y))
    return torch.stack(ws)


@demo("F6")
def descent() -> Demo:
    """Squared error, and gradient descent with a step too small, good, and too large."""
    x = 2 * torch.rand(40).double() - 0.6
    phi, y = torch.stack([x**0, x], 1), 0.5 + 1.5 * x + 0.2 * torch.randn(40).double()
    best = torch.linalg.lstsq(phi, y[:, None]).solution[:, 0]
    curvatures = torch.linalg.eigvalsh(phi.T @ phi / len(y))  # of L
    limit = 2 / float(curvatures.max())  # it converges for 0 < α < 2 / the largest curvature
    rates = {"too small": 0.05 * limit, "good": 0.6 * limit, "too large": 1.03 * limit}
    start = best + torch.tensor([-1.6, 1.5]).double()
    paths = {f"α = {a:.2f}, {name}": path(start, a, 25, phi, y) for name, a in rates.items()}
    risks = {name: risk(ws, phi, y) for name, ws in paths.items()}
    axis = torch.linspace(-2.2, 2.2, 81).double()
    surface = risk(torch.cartesian_prod(axis, axis).flip(1) + best, phi, y).view(81, 81)
    b0, b1 = best.tolist()
    trails = {name: tuple(ws.T) for name, ws in paths.items()}
    extent = (b0 - 2.2, b0 + 2.2, b1 - 2.2, b1 + 2.2)
    left = Field(surface.sqrt(), extent, "√L over w, and 25 steps", "w₀", "w₁", levels=10, paths=trails)
    right = Lines({name: (range(26), r) for name, r in risks.items()}, "the same steps", "step", "L(w)", log="y")
    lines = [f"{name:22} L: {r[0]:.3f} → {r[-1]:.4g}" for name, r in risks.items()]
    lines += [f"smallest possible: {risk(best, phi, y):.4f}"]
    lines += [
        f"curvatures of L {curvatures[0]:.3f}, {curvatures[1]:.3f}: α must stay below 2 over the larger = {limit:.2f}"
    ]
    numbers = {name: float(r[-1]) for name, r in zip(rates, risks.values())} | {"limit": limit}
    return Demo(page([left, right], "Gradient descent on the squared error", side=3.9, height=3.2), lines, numbers)
