"""How far back a gradient reaches in a trained network, and how long its memory keeps what is in it.

∂s_T/∂s_t on all ways is measured by `legato.recurrent.gradient_flow`. An LSTM's straight way is shorter to say:
∂c_t/∂c_{t−1} = f while the gates stand still, so that after k steps the product of k forget gates is left (Hochreiter &
Schmidhuber 1997, "constant error carousel"); for a GRU's h it is z.
"""

from collections.abc import Sequence
from math import nan

import torch
from jaxtyping import Float
from torch import Tensor

from legato.explain.cells import Gate, Track, gates, read, recurrent
from legato.explain.subject import Shown, Subject, method
from legato.picture import curves
from legato.picture.style import number, percent
from legato.recurrent.cells import GRU, LSTM, CudnnGRU
from legato.recurrent.gradient_flow import jacobian_norms, largest_singular_value

STEPS = 60  # back
ENDS = 6  # places of the text that one goes back from
SMALL = 0.01  # of the gradient: what is called gone
FLOOR = 1e-6  # below, a curve ends
Points = tuple[Sequence[float], Sequence[float]]


def back_norms(track: Track, ends: list[int], steps: int, which: int = 0) -> Float[Tensor, "ends k"]:
    """‖∂s_T/∂s_{T−k}‖₂ for k = 0 … steps, a row for each end T of the first sequence; T ≥ steps.

    s is the state's tensor `which`; on every way, through this cell alone. Of a track read backwards, T counts from the
    text's end.
    """
    xs, before = in_order(track, track.xs), [in_order(track, s) for s in track.before]
    rows = []
    for end in ends:
        state = tuple(s[end - steps] for s in before)  # what step T − steps found
        rows.append(jacobian_norms(track.cell, xs[end - steps : end + 1], state, which).flip(0))
    return torch.stack(rows)


def in_order(track: Track, values: Gate) -> Gate:
    """As the cell met them."""
    return values.flip(0) if track.reverse else values


def kept(gate: Gate, ends: list[int], steps: int) -> Float[Tensor, "ends k n"]:
    """∏ of a gate over the last k steps before each end, k = 0 … steps: what is left of each memory."""
    back = torch.stack([gate[end - steps + 1 : end + 1, 0].flip(0) for end in ends])  # (ends, steps, n)
    return torch.cat((torch.ones_like(back[:, :1]), back.cumprod(1)), dim=1)


def straight(track: Track) -> str:
    """The gate that is ∂s_t/∂s_{t−1} on the straight way; "" for cells of which none is known."""
    return "f" if isinstance(track.cell, LSTM) else "z" if isinstance(track.cell, GRU | CudnnGRU) else ""


def reach(norms: Tensor) -> str:
    """In words."""
    below = (norms < SMALL).nonzero().flatten().tolist()
    if below:
        return f"is below {percent(SMALL)} after {below[0]} steps"
    return f"is still {number(float(norms[-1]))} after {len(norms) - 1} steps"


@method("gradient-flow", recurrent, needs_input=None)
def show_flow(subject: Subject) -> list[Shown]:
    """How fast the gradient fades or explodes on its way back through time."""
    found = read(subject, most=2_000)
    steps = min(STEPS, len(found.names) - 1)
    ends = torch.linspace(steps, len(found.names) - 1, ENDS).long().unique().tolist()
    which = 1 if len(found.tracks[0].after) > 1 else 0
    s, series, lines = "hc"[which], dict[str, Points](), [f"means over {len(ends)} places of the text"]
    for track in found.tracks:
        norms = back_norms(track, ends, steps, which).clamp(min=FLOOR).log().mean(0).exp()  # geometric: one may explode
        name = track.name.replace("cells.", "")
        series[name] = points(norms)
        largest = ", ".join(f"{gate} {value:.2f}" for gate, value in largest_singular_value(track.cell).items())
        lines.append(f"{track.name}: ‖∂{s}_T/∂{s}_t‖ {reach(norms)}; largest singular value of W_hh: {largest}")
        if gate := straight(track):
            left = kept(in_order(track, gates(track)[gate]), ends, steps).mean(0)
            series[f"{name}, best ∏ {gate}"] = points(left.amax(-1))
            lines.append(f"{track.name}: the cell that keeps most {reach(left.amax(-1))}, ∏ {gate} alone")
    title = "How far back the gradient reaches"
    drawn = curves(series, "steps back in time, T − t", f"‖∂{s}_T/∂{s}_t‖₂, geometric mean", title, log=True)
    return [Shown(drawn, lines=tuple(lines))]


def points(values: Tensor) -> Points:
    """(steps back, value), without what lies below the floor."""
    return list(range(len(values))), [v if v > FLOOR else nan for v in values.tolist()]
