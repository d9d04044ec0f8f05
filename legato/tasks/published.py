"""Published weights as something usable: a classifier with the classes it was trained for, and no training of ours."""

from collections import Counter
from pathlib import Path

import torch
from torch import nn

from legato.errors import DataError
from legato.networks import registry, weights
from legato.tasks.classify import Classify
from legato.tasks.pictures import Learnt
from legato.tasks.transfer import copy_fitting

NAMES = "*classes*.txt"  # beside the weights: a line a class, "name", or "synset<TAB>name, synonym, …"


def published_classifier(network: str, start_from: str) -> tuple[Classify, nn.Module]:
    """The task that these weights answer, and the network that holds them, in evaluation mode.

    start_from: a file of published weights, or `imagenet` to fetch them. Pictures are as large and scaled as those the
    weights were trained on; their classes are named by the file `*classes*.txt` beside them, else they are numbers.
    Raises UsageError for unknown names, DataError for weights of another network or without a head.
    """
    found = weights.published(network, start_from)
    entry = registry.lookup(network)
    head = weights_of(entry)[-1]
    if head not in found.tensors:
        raise DataError(f"{start_from}: has no weights for {head}, so no classes; train with --start-from instead")
    size = found.size or entry.size or 224
    learnt = Learnt(
        format=f"published weights {found.source}",
        names=class_names(start_from, len(found.tensors[head])),
        channels=found.channels,
        size=size,
        load=size,
        mean=found.mean,
        sd=found.sd,
        axes=(),
        counts=(),
        examples=(0, 0, 0),
        policy="",
        fingerprint="",
    )
    task = Classify(network=network, size=size, augmentation="none", start_from=start_from, learnt=learnt)
    net = task.build()
    copy_fitting(net, found.tensors, start_from)
    return task, net.eval()


def weights_of(entry: registry.Entry) -> list[str]:
    """Names of the parameters of a network, in its order."""
    with torch.device("meta"):
        return [name for name, _ in entry.build().named_parameters()]


def class_names(start_from: str, count: int) -> tuple[str, ...]:
    """Of `count` classes, from the file of names beside the weights; one met twice is told apart by its synset."""
    folder = Path(start_from).expanduser().parent
    found = sorted(folder.glob(NAMES)) if Path(start_from).expanduser().is_file() else []
    if not found:
        return tuple(map(str, range(count)))
    lines = [line for line in found[0].read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(lines) != count:
        raise DataError(f"{found[0]}: {len(lines)} names for {count} classes; one a line")
    parts = [line.rpartition("\t") for line in lines]
    often = Counter(name for _, _, name in parts)
    names = tuple(f"{name} ({synset})" if often[name] > 1 and synset else name for synset, _, name in parts)
    if len(set(names)) < count:
        raise DataError(f"{found[0]}: some classes have one name; a run tells classes apart by their names")
    return names
