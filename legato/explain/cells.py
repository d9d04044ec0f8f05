"""What single cells of a recurrent network hold while it reads (Karpathy, Johnson & Fei-Fei 2015, arXiv:1506.02078).

`fast.scan` gives h alone. Here the reference runs, and every tensor of the state is kept at every step. The gates
follow in one call: a cell treats each row alone, so all steps, their states now known, are rows of one batch.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

from legato.errors import UsageError, nearest
from legato.explain.subject import Shown, Subject, method
from legato.explain.units import spaced, units, vectors
from legato.networks.charrnn import CharRNN
from legato.networks.sentence import SentenceRNN
from legato.networks.seq2seq import Seq2Seq
from legato.networks.tagger import LimitedLookahead, Tagger
from legato.picture.text import coloured_text
from legato.recurrent.cells import Cell, State
from legato.recurrent.scan import Mask, Xs, scan
from legato.recurrent.stack import Stack, States
from legato.task import Task
from legato.tasks.language import Language

Gate = Float[Tensor, "t b n"]
Held = tuple[Float[Tensor, "t b n"], ...]  # a state, at every step
MOST = 20_000  # units read where a text is longer
SHOWN = 3  # cells coloured where none is named


class Track(NamedTuple):
    """Everything one cell went through. Read backwards, step t is what it held when it had come to t from the end."""

    name: str  # its path in the network
    cell: Cell
    xs: Xs
    before: Held  # the state that step t found
    after: Held  # and the one it left
    reverse: bool


@torch.no_grad()
def unrolled(
    stack: Stack, xs: Xs, states: States | None = None, mask: Mask | None = None, name: str = "stack"
) -> list[Track]:
    """One track a scan, in the order of `stack.cells`: equal to what `stack` computes in evaluation, all of it kept."""
    if states is None and len(stack.starts):
        states = stack.first(xs.shape[1])
    tracks: list[Track] = []
    below = xs
    for layer in range(0, len(stack.cells), stack.ways):
        for place in range(layer, layer + stack.ways):
            state = None if states is None else states[place]
            cell: Any = stack.cells[place]
            tracks.append(track(f"{name}.cells.{place}", cell, below, state, mask, reverse=place > layer))
        below = torch.cat([way.after[0] for way in tracks[layer:]], dim=-1)
    return tracks


@torch.no_grad()
def track(
    name: str, cell: Cell, xs: Xs, state: State | None = None, mask: Mask | None = None, reverse: bool = False
) -> Track:
    """The reference, one step at a time."""
    state = cell.start(xs[0]) if state is None else state
    before, after = [state] * len(xs), [state] * len(xs)
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        before[t] = state
        _, state = scan(cell, xs[t : t + 1], state, None if mask is None else mask[t : t + 1])
        after[t] = state
    return Track(name, cell, xs, together(before), together(after), reverse)


def together(states: list[State]) -> Held:
    return tuple(torch.stack(tensors) for tensors in zip(*states))


def activity(track: Track) -> Float[Tensor, "t b n"]:
    """What is coloured: tanh(c) of a cell with a memory, as in the paper; h of any other."""
    return torch.tanh(track.after[1]) if len(track.after) > 1 else track.after[0]


class Listening(TorchFunctionMode):
    """While a cell's forward runs: what comes out of each sigmoid, by the name of the gate.

    The name comes from the weights: W (h; x) + b of `self.ifog`, in four parts, is i, f, o, g. A sum keeps the name of
    the one summand that has one, as with peepholes: sigm(f + Vf * c). A cell need not be changed to be listened to.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.weights = {id(getattr(cell, "".join(gate)).weight): tuple(gate) for gate in cell.sees}
        self.named: dict[
            int, tuple[tuple[str, ...], Tensor]
        ] = {}  # the tensors are kept, so that identities stay theirs
        self.heard: dict[str, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        known = [self.named[id(a)][0] for a in args if id(a) in self.named]
        match func.__name__.strip("_"):
            case "linear" if func is linear and id(args[1]) in self.weights:
                self.named[id(result)] = self.weights[id(args[1])], result
            case "chunk" if known:
                self.named |= {id(part): ((gate,), part) for gate, part in zip(known[0], result)}
            case "add" | "radd" if known:
                self.named[id(result)] = known[0], result
            case "sigmoid" if known:
                self.heard["".join(known[0])] = result
        return result


@torch.no_grad()
def gates(track: Track) -> dict[str, Gate]:
    """What each gate let through at each step, 0 … 1: {"i", "f", "o"} of an LSTM, {"r", "z"} of a GRU."""
    with Listening(track.cell) as listening:
        track.cell(track.xs.flatten(0, 1), tuple(s.flatten(0, 1) for s in track.before))
    heard, order = listening.heard, [gate for several in track.cell.sees for gate in several]
    return {gate: heard[gate].unflatten(0, track.xs.shape[:2]) for gate in sorted(heard, key=order.index)}


# the command line


def recurrent(task: Task[Any, Any, Any], net: nn.Module) -> str:
    """The objection to a network that has no cells."""
    known = isinstance(net, CharRNN | SentenceRNN | Seq2Seq) or (
        isinstance(net, Tagger) and isinstance(net.reader, Stack | LimitedLookahead)
    )
    return "" if known else f"{type(net).__name__} has no recurrent cells"


def tracks_of(net: nn.Module, xs: Xs) -> list[Track]:
    """What the cells of a text network went through while it read these vectors; of a translator, its encoder's.

    Of a reader with limited look-ahead only the way forward: the way back begins anew before every word.
    """
    match net:
        case CharRNN() | SentenceRNN():
            return unrolled(net.stack, xs)
        case Seq2Seq():
            return unrolled(net.encoder.stack, xs, name="encoder.stack")
        case Tagger(reader=Stack()):
            return unrolled(net.reader, xs, name="reader")  # type: ignore[arg-type]
        case Tagger(reader=LimitedLookahead()):
            return [track("reader.both.forth", net.reader.both.forth, xs)]  # type: ignore[union-attr,arg-type]
    raise UsageError(f"{type(net).__name__} has no recurrent cells")


class Read(NamedTuple):
    """A text that was read: its units as they are shown, and the tracks of all cells."""

    names: tuple[str, ...]
    tracks: list[Track]


@torch.no_grad()
def read(subject: Subject, most: int = MOST) -> Read:
    """The subject's text; without one, a language model reads its own validation text. The first `most` units count."""
    task, input = subject.task, subject.input
    if isinstance(task, Language):  # cut as numbers: a book need not become vectors
        ids = task.examples("valid").ids if input is None else task.encode_inputs([input]).ids[:, 0]
        input = ids[:most]
    if input is None:
        raise UsageError(f"{task.name}: name a text to read")
    inputs = subject.device.move(task.encode_inputs([input]))
    xs = vectors(subject.net, inputs)
    return Read(spaced(task, units(task, input, inputs)), tracks_of(subject.net, xs))


def chosen(tracks: list[Track], stage: str) -> Track:
    """The track of this path; where none is named, the highest that reads forwards. Raises UsageError."""
    if not stage:
        return [one for one in tracks if not one.reverse][-1]
    names = [one.name for one in tracks]
    if stage not in names:
        raise UsageError(f"--stage {stage}: no cell of that name{nearest(stage, names)}")
    return tracks[names.index(stage)]


@method("cells", recurrent, needs_input=None)
def show_cells(subject: Subject) -> list[Shown]:
    """Characters or words coloured by what a cell of a recurrent network holds (--channel)."""
    found = read(subject)
    one = chosen(found.tracks, subject.stage)
    held = activity(one)[:, 0]  # (t, n)
    n = held.shape[1]
    if subject.channel >= n:
        raise UsageError(f"--channel {subject.channel}: {one.name} has {n} cells, 0 to {n - 1}")
    swing = held.std(0, correction=0)
    cells = [subject.channel] if subject.channel >= 0 else swing.topk(min(SHOWN, n)).indices.tolist()
    line = f"{one.name}: {n} cells; --channel picks one, cell-search looks for what they hold"
    return [
        Shown(
            coloured_text(found.names, held[:, k], f"Cell {k} of {one.name}", unit_of(one), middle=middle(held[:, k])),
            f"cell{k}",
            () if subject.channel >= 0 or place else (line, f"shown: the {len(cells)} that swing most"),
        )
        for place, k in enumerate(cells)
    ]


def middle(held: Float[Tensor, "t"]) -> float:
    """What is left white: 0, or the middle of its range where a cell hardly ever crosses 0."""
    positive = float((held > 0).float().mean())
    if 0.05 < positive < 0.95:
        return 0.0
    low, high = held.quantile(held.new_tensor([0.02, 0.98])).tolist()
    return (low + high) / 2


def unit_of(track: Track) -> str:
    """What the colours stand for."""
    return "tanh(c)" if len(track.after) > 1 else "h"
