"""The units of a text, and the vectors a network reads in their place: what all looks into text networks share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from legato.errors import UsageError
from legato.networks.charrnn import CharRNN
from legato.networks.sentence import BagOfWords, SentenceCNN, SentenceRNN
from legato.networks.seq2seq import Seq2Seq
from legato.networks.tagger import Tagger
from legato.task import Task
from legato.tasks.classify_text import ClassifyText, words
from legato.tasks.language import Language
from legato.tasks.tag import Tag
from legato.tasks.translate import Translate

Xs = Float[Tensor, "t b e"]
TEXT = (Language, ClassifyText, Tag, Translate)


def units(task: Task[Any, Any, Any], input: Any, inputs: Any) -> tuple[str, ...]:
    """What a text is to the network, one name a step: characters, pieces, words. `inputs` is `input`, encoded alone."""
    match task:
        case Language() if task.unit == "byte":
            return tuple(bytes([i]).decode("ascii", "replace") for i in inputs.ids[:, 0].tolist())
        case Language():
            return tuple(task.known.vocabulary.names[i] for i in inputs.ids[:, 0].tolist())
        case ClassifyText():
            return tuple(words(input.text))
        case Tag():
            return tuple(input)
        case Translate():
            return tuple(task.known.reads.names[i] for i in inputs.ids[:, 0].tolist())
    raise UsageError(f"{task.name} reads no text")


def spaced(task: Task[Any, Any, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, so that joined they can be read: words get the space that their units do not hold."""
    return tuple(f"{name} " for name in names) if isinstance(task, ClassifyText | Tag) else names


def vectors(net: nn.Module, inputs: Any) -> Xs:
    """What stands for each unit where the network begins to read: its row of the table; for a tagger, spelling too."""
    match net:
        case CharRNN() | SentenceRNN() | SentenceCNN() | BagOfWords():
            return net.embed(inputs.ids)
        case Tagger():
            return net.features(inputs.words, inputs.spellings)
        case Seq2Seq():
            return net.encoder.embed(inputs.ids)
    raise UsageError(f"{type(net).__name__} reads no text")


@contextmanager
def given(net: nn.Module, xs: Xs) -> Iterator[None]:
    """Inside the block the network reads these vectors, whatever its inputs say."""
    instead: Callable[..., Any] = lambda _module, args: (xs, *args[1:])
    match net:
        case CharRNN() | SentenceRNN():
            hook = net.stack.register_forward_pre_hook(instead)
        case Tagger():
            hook = net.reader.register_forward_pre_hook(instead)
        case Seq2Seq():
            hook = net.encoder.stack.register_forward_pre_hook(instead)
        case SentenceCNN() | BagOfWords():
            hook = net.embed.register_forward_hook(lambda _module, _args, _output: xs)
        case _:
            raise UsageError(f"{type(net).__name__} reads no text")
    try:
        yield
    finally:
        hook.remove()
