"""Matched filters (lecture 004): correlate noise with the pattern sought, and a peak stands where it is.

For white noise of deviation σ no linear filter has a higher peak than the pattern s itself (North 1943): ‖s‖ / σ = d
deviations of the noise. Hence the detector's curve: hits = Q(Q⁻¹(false alarms) − d), Q the normal's upper tail.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv1d, conv2d

from legato.demos.registry import Demo, demo
from legato.picture.page import Grid, Lines, Panel, page

NORMAL = torch.distributions.Normal(torch.tensor(0.0).double(), torch.tensor(1.0).double())
AT, LENGTH, ROW, COLUMN = 210, 60, 30, 12  # where the patterns begin
NOISE = 0.8  # of the picture; the signal's is 1
RATES = torch.linspace(0.001, 0.999, 200).double()  # of false alarms


def pattern(length: int) -> Float[Tensor, "k"]:
    """A sweep from slow to fast."""
    t = torch.linspace(0, 1, length).double()
    return (2 * torch.pi * (1 + 4 * t) * t).sin()


def hits(d: float, false_alarms: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    return 1 - NORMAL.cdf(NORMAL.icdf(1 - false_alarms) - d)


def counted(s: Float[Tensor, "k"], d: float, trials: int = 4000) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """False alarms and hits for all thresholds, by trial: the filter's output on noise, and on noise and pattern."""
    sigma, thresholds = s.norm() / d, torch.linspace(-4, 8, 61).double()[:, None]
    without, present = ((sigma * torch.randn(trials, len(s)).double() + there * s) @ s / s.norm() for there in (0, 1))
    return (without > sigma * thresholds).double().mean(1), (present > sigma * thresholds).double().mean(1)


@demo("C13")
def matched_filter() -> Demo:
    """Matched filters: a peak in noise, in one dimension and two; hits against false alarms by SNR.

    d is the peak's height in deviations of the noise. No linear filter can do better in white noise.
    The weights of a convolution are such filters: a unit is loud where the picture looks like its weights.
    """
    s, x = pattern(LENGTH), torch.randn(400).double()
    patch, plane = torch.outer(pattern(16), pattern(16)), NOISE * torch.randn(64, 64).double()
    x[AT : AT + LENGTH] += s
    plane[ROW : ROW + 16, COLUMN : COLUMN + 16] += patch
    y = conv1d(x[None, None], s[None, None])[0, 0] / s.norm()
    z = conv2d(plane[None, None], patch[None, None])[0, 0] / patch.norm() / NOISE
    row, column = divmod(int(z.argmax()), z.shape[1])
    signal = {"signal": (range(400), x), "pattern": (range(AT, AT + LENGTH), s)}
    tried = {f"d = {d}": counted(s, d) for d in (1, 2, 3)}
    theory = {f"_{d}": (RATES, hits(d, RATES)) for d in (1, 2, 3)}
    panels: list[Panel] = [
        Lines(signal, "a pattern in noise", "t", legend="upper right", within=(-4, 5)),
        Lines({"": (range(len(y)), y)}, f"after the filter: a peak at {int(y.argmax())}", "t", "deviations"),
        Lines(theory, "formula, and trials", "false alarms", "hits", tried),
        Grid(plane, "a pattern in a noisy picture", "pixel"),
        Grid(z, f"filtered: a peak at {row}, {column}", "deviations"),
        Grid(patch, "the pattern", "pixel"),
    ]
    lines = [
        f"pattern at {AT}, peak at {int(y.argmax())}; height {s.norm():.1f} deviations expected, {y.max():.1f} found"
    ]
    lines += [f"in two dimensions: pattern at {ROW}, {COLUMN}, peak at {row}, {column}"]
    lines += [f"d = {d}: at 5 % false alarms {float(hits(d, RATES.new_tensor([0.05]))):.1%} hits" for d in (1, 2, 3)]
    numbers = {"peak": float(y.argmax()), "row": float(row), "column": float(column), "height": float(y.max())}
    return Demo(page(panels, "Matched filters find a pattern in noise", 3), lines, numbers)
