"""Non-linearities, their slopes, and why recurrent gates do not use ReLU (lectures 003 and 004)."""

import torch
from jaxtyping import Float
from torch import Tensor

from legato.demos.registry import Demo, demo
from legato.layers.activations import ACTIVATIONS, slope
from legato.picture.page import Lines, page

WEIGHT = 1.2  # of h ← σ(1.2 h): how fast what is not bounded grows


def again_and_again(name: str, steps: int = 20) -> Float[Tensor, "t"]:
    """h ← σ(w h), as a recurrent network without input does, from h = 1."""
    hs = [torch.tensor(1.0).double()]
    for _ in range(steps):
        hs.append(ACTIVATIONS[name](WEIGHT * hs[-1]))
    return torch.stack(hs)


def live(name: str) -> tuple[float, float]:
    """The least and the greatest x in [−10, 10] at which the slope is at least 1 % of the greatest slope."""
    x = torch.linspace(-10, 10, 2001).double()
    slopes = slope(ACTIVATIONS[name], x)
    alive = x[slopes >= 0.01 * slopes.max()]
    return float(alive.min()), float(alive.max())


@demo("F4")
def activations() -> Demo:
    """Logistic, tanh, ReLU, leaky ReLU: values, slopes, and what repetition does.

    Logistic and tanh saturate: far from 0 hardly any gradient passes. ReLU passes all of it, or none.
    LSTM and GRU keep to bounded units: what is not bounded may grow with every step.
    """
    x = torch.linspace(-5, 5, 401).double()
    values = {name: (x, f(x)) for name, f in ACTIVATIONS.items()}
    slopes = {name: (x, slope(f, x)) for name, f in ACTIVATIONS.items()}
    repeated = {name: (range(21), again_and_again(name)) for name in ACTIVATIONS}
    panels = [
        Lines(values, "σ(x)", "x", within=(-1.3, 3), legend="upper left"),
        Lines(slopes, "σ′(x), which gradients pass through", "x", within=(-0.1, 1.25), legend=""),
        Lines(repeated, f"h ← σ({WEIGHT} h), again and again", "steps", "h", log="y", legend=""),
    ]
    ends = {name: float(hs[-1]) for name, (_, hs) in repeated.items()}
    lines = []
    for name, (_, slopes_) in slopes.items():
        low, high = live(name)
        steepest = f"steepest {slopes_.max():.2f}, learns for x in [{low:.1f}, {high:.1f}]"
        lines.append(f"{name:10} {steepest}; h after 20 steps {ends[name]:.3g}")
    return Demo(page(panels, "Activations, their derivatives, and their repetition", height=3), lines, ends)
