"""Where a captioner looked for each word it wrote (Xu et al. 2015, "Show, attend and tell", arXiv:1502.03044)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato import picture
from legato.data.vocabulary import END
from legato.explain.subject import Shown, Subject, method
from legato.networks.captioner import Captioner
from legato.networks.seq2seq import FixedDecoder
from legato.task import Task
from legato.tasks.caption import Caption

MOST = 15  # words that one page shows


@torch.no_grad()
def word_maps(net: Captioner, pixels: Float[Tensor, "1 c h w"], given: Tensor) -> Float[Tensor, "s _h _w"]:
    """How much the decoder looked at each place of the map before what comes after each of `given` (s, 1): sum 1."""
    map = net.trunk(pixels)[-1]
    weights = net.written(map, given)[1][:, 0]
    return weights.float().unflatten(1, map.shape[2:])


def attentive(task: Task[Any, Any, Any], net: nn.Module) -> str:
    """The objection to a network that does not look at places."""
    if not isinstance(net, Captioner):
        return f"{type(net).__name__} writes no captions"
    return "this captioner was trained with --attention none" if isinstance(net.decoder, FixedDecoder) else ""


@method("word-maps", attentive)
def show_word_maps(subject: Subject) -> list[Shown]:
    """Where a captioner looked for each word it wrote (--what: a caption of yours instead of its own)."""
    assert isinstance(subject.task, Caption)
    assert isinstance(subject.net, Captioner)
    task, x = subject.task, subject.pixels
    caption = subject.what or subject.answer["caption"]
    given = task.encode_targets([(caption,)], x).given.to(x.device)
    names = [*(task.names[i].strip() for i in given[1:, 0].tolist()), END]
    maps = word_maps(subject.net, x, given).cpu()
    drawn = picture.panels(x[0], list(zip(names, maps))[:MOST], caption, "share of the attention")
    rows, columns = maps.shape[1:]
    peaks = maps.flatten(1).max(1)
    lines = [caption]
    lines += [
        f"{name}\trow {k // columns + 1} of {rows}, column {k % columns + 1} of {columns}: {share:.0%}"
        for name, share, k in zip(names, peaks.values.tolist(), peaks.indices.tolist())
    ]
    return [Shown(drawn, lines=tuple(lines))]
