"""How often gates stand wide open or shut (Karpathy, Johnson & Fei-Fei 2015, arXiv:1506.02078, figure 2)."""

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn

from legato.explain.cells import Gate, gates, read, recurrent, track
from legato.explain.subject import Shown, Subject, method
from legato.picture.style import percent
from legato.picture.text import gate_scatter
from legato.recurrent.cells import Cell
from legato.task import Task

SHUT, OPEN = 0.1, 0.9  # the paper's bounds
NAMES = {"i": "input", "f": "forget", "o": "output", "r": "reset", "z": "update"}  # of gates


def saturation(gate: Gate, mask: Bool[Tensor, "t b"] | None = None) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """For each unit the share of steps at which its gate is shut (below 0.1), and at which it is open (above 0.9).

    With a `mask`, of the steps where it is True. The two add up to at most 1.
    """
    there = gate.flatten(0, 1) if mask is None else gate[mask]
    return (there < SHUT).float().mean(0), (there > OPEN).float().mean(0)


def gated(task: Task[Any, Any, Any], net: nn.Module) -> str:
    """The objection to a network without gates."""
    if why := recurrent(task, net):
        return why
    cell = next(one for one in net.modules() if isinstance(one, Cell))
    heard = gates(track("", cell, next(cell.parameters()).new_zeros(1, 1, cell.inputs)))
    return "" if heard else f"{type(cell).__name__} has no gates"


@method("gates", gated, needs_input=None)
def show_gates(subject: Subject) -> list[Shown]:
    """How often each gate of a recurrent network stands open or shut."""
    found = read(subject)
    panels: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    lines = [f"{len(found.names):,} steps; gates below {SHUT} are shut, above {OPEN} open"]
    for one in found.tracks:
        for name, gate in gates(one).items():
            shut, opened = saturation(gate)
            panels.setdefault(f"{NAMES.get(name, name)} gate {name}", {})[one.name] = opened.tolist(), shut.tolist()
            lines.append(said(one.name, name, shut, opened))
    return [Shown(gate_scatter(panels, "How often gates are open or shut"), lines=tuple(lines))]


def said(where: str, gate: str, shut: Tensor, opened: Tensor) -> str:
    """A line for the terminal: means over cells, and how many cells hold still nearly always."""
    means = f"open {percent(float(opened.mean()))} of the time, shut {percent(float(shut.mean()))}"
    return f"{where} {gate}: {means}; open in over 90 % of steps: {int((opened > 0.9).sum())} of {len(opened)} cells"
