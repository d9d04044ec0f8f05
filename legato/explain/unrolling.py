"""The network as a graph over a text, unrolled: how often each matrix is used (lectures 000 and 003)."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from legato.explain.cells import recurrent, tracks_of
from legato.explain.subject import Shown, Subject, method
from legato.explain.units import units, vectors
from legato.networks.seq2seq import Seq2Seq
from legato.picture.unrolled import unrolled_graph
from legato.recurrent.cells import Cell, Gate
from legato.task import Task
from legato.tasks.language import Language
from legato.tasks.tag import Tag

STEPS = 8  # drawn


def one_pass(task: Task[Any, Any, Any], net: nn.Module) -> str:
    """The objection to a network that is not one stack over one text."""
    return "a translator reads and writes: two graphs" if isinstance(net, Seq2Seq) else recurrent(task, net)


@method("unrolled", one_pass)
def show_unrolled(subject: Subject) -> list[Shown]:
    """The network unrolled over a text: one matrix in all steps, and what each step answers."""
    names = units(subject.task, subject.input, subject.encoded)
    tracks = tracks_of(subject.net, vectors(subject.net, subject.encoded)[:1])
    layers: list[list[str]] = []
    for one in tracks:
        if one.reverse:
            layers[-1].append(f"layer {len(layers)}, backwards\n{weights(one.cell)}")
        else:
            layers.append([f"layer {len(layers) + 1}\n{weights(one.cell)}"])
    answers = each_step(subject)
    once = len(answers) == 1  # many to one: what counts is the end
    part = slice(-STEPS, None) if once else slice(STEPS)
    kind = "one answer for all" if once else "an answer at every step"
    title = f"{type(tracks[0].cell).__name__}, unrolled: {kind}, the same weights in all steps"
    more = len(names) > STEPS and not once
    return [Shown(unrolled_graph(names[part], layers, answers[part], title, more))]


def weights(cell: Cell) -> str:
    """The matrices of a cell: rows × columns."""
    return "W: " + "\n    ".join(
        f"{m.weight.shape[0]} × {m.weight.shape[1]}" for m in cell.children() if isinstance(m, Gate)
    )


def each_step(subject: Subject) -> Sequence[str]:
    """What is said after each step; or once, at the end."""
    match subject.task:
        case Language():
            return [subject.task.names[k] for k in subject.outputs[:, 0].argmax(-1).tolist()]
        case Tag():
            return subject.answer["tags"]
    return [subject.target or subject.task.line(subject.answer)]
