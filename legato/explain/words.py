"""Which words an answer rests on: gradient × input of their vectors, and what is lost when each is hidden.

gradient × input: Denil, Demiraj & de Freitas 2014 (arXiv:1412.6815) for texts; the first term of the score's Taylor
series, so that for a linear network the words' parts sum to the score less its bias.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.data.vocabulary import UNKNOWN
from legato.explain.attention import by_words
from legato.explain.subject import Shown, Subject, method
from legato.explain.units import TEXT, Xs, given, units, vectors
from legato.networks.seq2seq import Seq2Seq
from legato.picture.text import attention_matrix, coloured_text, coloured_words
from legato.task import Task
from legato.tasks.classify_text import ClassifyText
from legato.tasks.language import Language
from legato.tasks.tag import Tag
from legato.tasks.translate import Translate
from legato.values import Text

Score = Callable[[Xs], Float[Tensor, "b"]]  # (t, b, e) vectors → a number for each text, from its own vectors alone
LONGEST = 200  # units of a text before the one that is foretold
TOLD = 5  # words named on the terminal


def gradient_times_vectors(score: Score, xs: Xs) -> Float[Tensor, "t b"]:
    """Σ_e x_te ∂score/∂x_te of each word: by how much the score would fall, to first order, without its vector."""
    # The gradient goes back through a network in evaluation, dropout off. cuDNN's recurrent layers refuse that; cells
    # of legato never call them, and for networks that do, torch's own are used in here.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        xs = xs.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(score(xs).sum(), xs)
    return (gradient * xs.detach()).sum(-1)


@torch.no_grad()
def word_occlusion(
    score: Score, xs: Float[Tensor, "t 1 e"], instead: Float[Tensor, "e"], batch_size: int = 64
) -> Float[Tensor, "t"]:
    """The score lost when the vector of each word in turn is `instead`: `batch_size` such texts are read at a time."""
    lost = []
    for some in torch.arange(len(xs), device=xs.device).split(batch_size):
        hidden = xs.repeat(1, len(some), 1)
        hidden[some, torch.arange(len(some), device=xs.device)] = instead
        lost.append(score(xs) - score(hidden))
    return torch.cat(lost)


def score_of(subject: Subject) -> Score:
    """The subject's score as a function of the vectors of its words."""

    def score(xs: Xs) -> Float[Tensor, "b"]:
        copies = subject.device.move(subject.task.encode_inputs([subject.input] * xs.shape[1]))
        with given(subject.net, xs):
            return subject.score(copies)

    return score


def hidden_vector(subject: Subject) -> Float[Tensor, "e"]:
    """What stands for a word that is hidden: the unknown word where training hid words so, nothing elsewhere."""
    task = subject.task
    unknown: Any = Text(UNKNOWN) if isinstance(task, ClassifyText) else (UNKNOWN,)
    if isinstance(task, ClassifyText | Tag):
        return vectors(subject.net, subject.device.move(task.encode_inputs([unknown])))[0, 0].detach()
    return torch.zeros_like(vectors(subject.net, subject.encoded)[0, 0])


# the command line


def text(task: Task[Any, Any, Any], net: nn.Module) -> str:
    """The objection to what reads no text."""
    return "" if isinstance(task, TEXT) else f"{task.name} reads no text"


def both_ways(subject: Subject) -> dict[str, Float[Tensor, "t"]]:
    """What each word speaks for the answer, by its gradient and by its absence."""
    score, xs = score_of(subject), vectors(subject.net, subject.encoded).detach()
    return {
        "gradient × input": gradient_times_vectors(score, xs)[:, 0],
        "lost when hidden": word_occlusion(score, xs, hidden_vector(subject)),
    }


def strongest(names: tuple[str, ...], values: Float[Tensor, "t"]) -> str:
    """The words that count most, for and against."""
    first = values.abs().topk(min(TOLD, len(names))).indices.tolist()
    return ", ".join(f"{names[k].strip() or names[k]!r} {float(values[k]):+.2g}" for k in first)


@method("words", text)
def show_words(subject: Subject) -> list[Shown]:
    """Which words, or characters, an answer rests on: gradient × input, and what is lost when each is hidden."""
    match subject.task:
        case Tag() if not subject.what:
            return [every_tag(subject)]
        case Translate():
            return [every_word(subject, subject.task)]
        case Language():
            return before_the_next(subject, subject.task)
    names, found = units(subject.task, subject.input, subject.encoded), both_ways(subject)
    lines = tuple(f"{way}: {strongest(names, values)}" for way, values in found.items())
    title = f"What speaks for {subject.target}, word by word"
    return [Shown(coloured_words(names, found, title, "the answer: part of its logit"), lines=lines)]


def every_tag(subject: Subject) -> Shown:
    """A row for the tag of each word: what speaks for it."""
    names = units(subject.task, subject.input, subject.encoded)
    tags = subject.answer["tags"]
    rows = [replace(subject, what=f"#{i + 1}/{tag}") for i, tag in enumerate(tags)]
    xs = vectors(subject.net, subject.encoded).detach()
    parts = torch.stack([word_occlusion(score_of(row), xs, hidden_vector(row)) for row in rows])
    tagged = [f"{word} {tag}" for word, tag in zip(names, tags)]
    title = "What each tag rests on: its logit, lost when a word is hidden"
    lines = tuple(f"{tag}: {strongest(names, row)}" for tag, row in zip(tagged, parts))
    return Shown(attention_matrix(parts, tagged, names, title, "logit lost", signs=True), lines=lines)


def every_word(subject: Subject, task: Translate) -> Shown:
    """A row for each word that was written: what speaks for it, by gradient × input of its log p."""
    inputs, net = subject.encoded, subject.net
    assert isinstance(net, Seq2Seq)
    written, xs = task.written(net, inputs, subject.what), vectors(net, inputs).detach()

    def score(xs: Xs, piece: int) -> Float[Tensor, "b"]:
        with given(net, xs):
            return task.log_likelihoods(net, inputs, written)[piece]

    parts = [gradient_times_vectors(partial(score, piece=i), xs)[:, 0] for i in range(len(written.wanted))]
    names = [task.known.writes.names[i] for i in written.wanted[:, 0].tolist()]
    found = by_words(torch.stack(parts).cpu(), names, units(task, subject.input, inputs), mean=False)
    title, unit = "What each word of the translation rests on", "gradient × input of ln p"
    lines = [f"{subject.input.text} → {written.sentences[0]}"]
    lines += [f"{word}: {strongest(found.read, row)}" for word, row in zip(found.written, found.weights)]
    drawn = attention_matrix(found.weights, found.written, found.read, title, unit, signs=True)
    return Shown(drawn, lines=tuple(lines))


def before_the_next(subject: Subject, task: Language) -> list[Shown]:
    """What the next unit is foretold from: the last 200 units alone are read."""
    names = units(task, subject.input, subject.encoded)[-LONGEST:]
    cut = replace(subject, input=subject.encoded.ids[-LONGEST:, 0].cpu())
    next_one = subject.what or cut.answer["next"][0][0]
    shown = []
    for way, values in both_ways(replace(cut, what=next_one)).items():
        title = f"What speaks for {next_one!r} as the next {task.unit}: {way}"
        lines = (f"{way}: {strongest(names, values)}",)
        shown.append(Shown(coloured_text(names, values, title, "of ln p"), way.split()[0], lines))
    return shown
