"""Which training pictures pulled an error there: the nearest ones of the class it was taken for, and of its own.

A network decides by features. Where a wrong example lies among those of another class, its nearest training examples
show what it shares with them (nearest neighbours as an explanation: Caruana et al. 1999, "Case-based explanation of
non-case-based learning methods"; Papernot & McDaniel 2018, arXiv:1803.04765, section 3).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from legato.errors import DataError
from legato.explain.among import Among
from legato.explain.features import NO_DATA, Gallery, Largest, cosine, merged, stage_of, vectors
from legato.explain.subject import AnyTask, Shown, Subject, method
from legato.picture import GREEN, VERMILLION, sheet
from legato.picture.style import percent
from legato.tasks.classify import Classify
from legato.training import evaluate

ERRORS, EACH, TILE = 5, 3, 168  # examples shown, and neighbours of each of two classes; pixels


@dataclass(frozen=True)
class Error:
    """A validation example that the network takes for another class."""

    index: int
    true: str
    said: str
    sure: float  # probability of `said`


def nearest_of(
    queries: Float[Tensor, "q n"],
    wanted: Sequence[str],
    batches: Iterable[tuple[list[int], Float[Tensor, "b n"], Sequence[str]]],
    k: int = EACH,
) -> Largest | None:
    """Of each query the k examples of largest cosine among those of the class it wants; None without examples.

    batches: (numbers of examples, their features, their classes).
    """
    best: Largest | None = None
    for indices, rows, classes in batches:
        own: Bool[Tensor, "q b"] = torch.tensor([[c == w for c in classes] for w in wanted])
        values = cosine(queries, rows).masked_fill(~own, -torch.inf)
        best = merged(best, Largest(values, (torch.tensor(indices).expand_as(values),)), k)
    return best


def fits(task: AnyTask, net: nn.Module) -> str:
    """Objects where an answer is not one class of several, or nobody knows what it was learnt from."""
    if not isinstance(task, Classify):
        return f"{task.name} does not give one class for another"
    return "" if task.data else NO_DATA


@method("errors", fits, needs_input=False)
def show_errors(subject: Subject) -> list[Shown]:
    """The worst validation errors, each beside the training pictures nearest to it: of its class, and of its answer."""
    stage = stage_of(subject)
    valid, train = (Gallery(subject, stage, Among(subject.task, split)) for split in ("valid", "train"))
    wrong = worst(subject, valid)
    if not wrong:
        raise DataError("no validation example is wrong: there is no error to explain")
    queries = torch.cat([vectors(seen.found, stage) for seen in valid.seen([error.index for error in wrong])])
    wanted = [name for error in wrong for name in (error.true, error.said)]
    batches = ((seen.indices, vectors(seen.found, stage), seen.classes) for seen in train.seen())
    best = nearest_of(queries.repeat_interleave(2, dim=0), wanted, batches)
    assert best is not None, "a network was trained on something"
    tiles, frames, lines = [], [], []
    for n, error in enumerate(wrong):
        image, source = valid.shown(error.index)
        tiles.append((image, f"{error.true}\n→ {error.said}"))
        frames.append("")
        lines.append(f"{source}: {error.true}, taken for {error.said} ({percent(error.sure)})")
        for name, ink, question in ((error.true, GREEN, 2 * n), (error.said, VERMILLION, 2 * n + 1)):
            for value, i in best.of(question):
                image, source = train.shown(int(i))
                tiles.append((image, f"{name}\n{value:.3f}"))
                frames.append(ink)
                lines.append(f"  {name} {value:.4f}: {source}")
    title = f"Errors (true → said), nearest training pictures by {stage}"
    return [Shown(sheet(tiles, 1 + 2 * EACH, title, frames, TILE), lines=tuple(lines))]


@torch.no_grad()
def worst(subject: Subject, valid: Gallery) -> list[Error]:
    """The validation examples that the network is most wrong about, worst first."""
    task, device = subject.task, subject.device
    found = evaluate(task, subject.net, "valid", task.recipe(), device, keep_worst=ERRORS).worst
    indices = [index for badness, index in found if badness > 0]
    if not indices:
        return []
    inputs, targets = task.batch(task.examples("valid"), indices, None)
    sure, said = task.outputs(subject.net, device.move(inputs), None)[0].max(dim=1)
    return [
        Error(i, task.names[t], task.names[s], p)
        for i, t, s, p in zip(indices, targets.tolist(), said.tolist(), sure.tolist())
    ]
