"""Which runs of words the filters of Kim's text CNN answered to, and what that says for a class.

Grad-CAM (Selvaraju et al. 2017) over words, taken place by place: the gradient of a logit times the activation. Here it
is exact: each filter passes its strongest answer alone, so that all parts sum to the logit less its bias.
"""

from collections import defaultdict
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from legato.explain.subject import Shown, Subject, method
from legato.explain.units import units
from legato.networks.sentence import SentenceCNN
from legato.picture.text import coloured_words
from legato.recurrent.scan import mask_of
from legato.task import Task
from legato.tasks.class_names import class_index
from legato.tasks.classify_text import ClassifyText

Run = tuple[int, int]  # the first word, and the one after the last
TOLD = 5


@torch.no_grad()
def phrases(net: SentenceCNN, ids: Int[Tensor, "t 1"], mask: Bool[Tensor, "t 1"], k: int) -> dict[Run, float]:
    """What each run of words adds to the logit of class k, through the filters that answered most to it.

    Windows over the sentence's edge count for the words they hold.
    """
    xs = (net.embed(ids) * mask[..., None]).permute(1, 2, 0)
    edge, words = net.widest - 1, int(mask.sum())
    padded = nn.functional.pad(xs, (edge, edge))
    parts: defaultdict[Run, float] = defaultdict(float)
    first = 0
    for conv in net.filters:
        answers = conv(padded)[0, :, : words + edge]  # windows that hold a word, or lie before all
        strongest, begins = answers.max(-1)
        weights = net.out.weight[k, first : first + len(answers)]
        width = conv.kernel_size[0]  # type: ignore[index]
        for begin, part in zip(begins.tolist(), (weights * strongest.relu()).tolist()):
            parts[max(0, begin - edge), min(words, max(0, begin - edge + width))] += part
        first += len(answers)
    return dict(parts)


def by_word(parts: dict[Run, float], words: int) -> Float[Tensor, "t"]:
    """Each run's part, shared evenly among its words; what came from padding alone is nobody's."""
    found = torch.zeros(words)
    for (first, last), part in parts.items():
        found[first:last] += part / max(1, last - first)
    return found


def convolutional(task: Task[Any, Any, Any], net: nn.Module) -> str:
    """The objection to what is not Kim's network."""
    return "" if isinstance(net, SentenceCNN) else f"{type(net).__name__} has no filters over words"


@method("phrases", convolutional)
def show_phrases(subject: Subject) -> list[Shown]:
    """Runs of words that a text CNN's filters answered to: Grad-CAM over words."""
    net, task, inputs = subject.net, subject.task, subject.encoded
    assert isinstance(net, SentenceCNN)
    assert isinstance(task, ClassifyText)
    k = class_index(subject.target, task.names)
    names = units(task, subject.input, inputs)
    parts = phrases(net, inputs.ids, mask_of(inputs.lengths, len(inputs.ids)), k)
    title = f"What the filters found for {task.names[k]}"
    loudest = sorted(parts.items(), key=lambda one: -abs(one[1]))[:TOLD]
    lines = [f"{part:+.2f}  {' '.join(names[first:last])}" for (first, last), part in loudest]
    drawn = coloured_words(names, {"part of the logit": by_word(parts, len(names))}, title, "the class")
    return [Shown(drawn, lines=(f"{task.names[k]}: runs of words that count most", *lines))]
