"""What a task is: what to read, what to learn, how to measure, how to use. Not a word of devices or run folders."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import torch
from torch import Generator, Tensor, nn

from legato.draws import Draws
from legato.errors import UsageError, nearest
from legato.recipe import Recipe
from legato.values import Image

Input = TypeVar("Input")  # what one is given: an image, a text, an image and a question
Target = TypeVar("Target")  # what one should say of it: a class, boxes, a caption
Net = TypeVar("Net", bound=nn.Module)
Own = TypeVar("Own", bound="Task[Any, Any, Any]")
Split = Literal["train", "valid", "test"]
Tally = dict[str, Tensor]  # sums over examples: merged by +, across batches and machines
TASKS: dict[str, type["Task[Any, Any, Any]"]] = {}


class Step(NamedTuple):
    """What one batch gives to learn from: means over `weight` terms, and what the next batch is told."""

    values: dict[str, Tensor]
    carry: Any = None
    weight: float = 1.0


def same(outputs: Any) -> Any:
    """What brings back outputs of a view that lies as the input does."""
    return outputs


@dataclass(frozen=True)
class Decoding:
    """How outputs become an answer. Tasks that have more to say subclass it."""

    top: int = 5
    """How many of the likeliest answers."""


@dataclass(frozen=True)
class Task(ABC, Generic[Input, Target, Net]):
    """Subclasses are frozen dataclasses: their fields are what one may choose, on the command line too.

    What `adapt` has learnt from the data stands in one field, `learnt`, which is no flag.
    """

    data: str = ""
    """Folder or file of the data set, or the name of a built-in one."""

    name: ClassVar[str]
    takes: ClassVar[tuple[type, ...]]
    decoding: ClassVar[type[Decoding]] = Decoding  # what one may say of answers, as flags of `legato predict`
    by_line: ClassVar[bool] = False  # a text file holds an input on each line, not one in all

    def __post_init__(self) -> None:
        """Raises UsageError for a size below 0, or below 1 where that is no choice: metadata `least`, else the default
        says which; and for a dropout that leaves nothing."""
        for f in fields(self):
            value = getattr(self, f.name)
            if type(f.default) is int and value < (least := f.metadata.get("least", min(1, f.default))):
                raise UsageError(f"--{f.name.replace('_', '-')} {value}: must be at least {least}")
            if f.name == "dropout" and not value < 1:
                raise UsageError(f"--dropout {value:g}: a share of what is dropped, below 1")

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" in cls.__dict__:
            TASKS[cls.name] = cls

    # data
    @classmethod
    def recognises(cls, data: str) -> bool:
        """Whether data at this path is for this task, when the user names none."""
        return False

    def adapt(self: Own) -> Own:
        """Look through the training data once: a copy of the task that has learnt its classes, words, means."""
        return self

    def about(self) -> list[str]:
        """What `adapt` has found and decided, a line each, said before anything is trained."""
        return []

    @property
    def names(self) -> tuple[str, ...]:
        """What is told apart or predicted: members of an ensemble must agree on it."""
        return ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one example as the network sees it, where all have one shape: (c, h, w) of pictures."""
        raise UsageError(f"{self.name}: inputs have no one shape")

    @abstractmethod
    def examples(self, split: Split) -> Sequence[tuple[Input, Target]]:
        """Lazy: index → example."""

    def batches(self, examples: Sequence[tuple[Input, Target]], size: int, rng: Generator | None) -> list[list[int]]:
        """Which examples go together: one list is one batch of all machines; shuffled if there is an `rng`."""
        order = torch.arange(len(examples)) if rng is None else torch.randperm(len(examples), generator=rng)
        return [group.tolist() for group in order.split(size)]

    def augment(self, input: Input, target: Target, draws: Draws) -> tuple[Input, Target]:
        """A variation of a training example; `draws` are its own, whatever batch, worker or machine it falls to."""
        return input, target

    def batch(
        self, examples: Sequence[tuple[Input, Target]], indices: Sequence[int], draws: Draws | None
    ) -> tuple[Any, Any]:
        """These examples as tensors, augmented if there are `draws`. Sets in memory do all at once, and equal this."""
        chosen = [examples[i] for i in indices]
        if draws is not None:
            chosen = [self.augment(x, y, Draws(draws.address, [i])) for i, (x, y) in zip(indices, chosen)]
        inputs = self.encode_inputs([x for x, _ in chosen])
        return inputs, self.encode_targets([y for _, y in chosen], inputs)

    # tensors: the same in training, evaluation and serving
    @abstractmethod
    def encode_inputs(self, inputs: Sequence[Input]) -> Any: ...

    @abstractmethod
    def encode_targets(self, targets: Sequence[Target], inputs: Any) -> Any: ...

    def view(self, inputs: Sequence[Input], numbers: Sequence[int], k: int) -> tuple[Any, Callable[[Any], Any]]:
        """The k-th view of these inputs as tensors, and what turns its outputs back; the 0th is of them as they are.

        numbers: of the examples, for draws of their own. Raises UsageError where outputs of views have no mean.
        """
        if k:
            raise UsageError(f"--views: {self.name} looks at its input in one way only")
        return self.encode_inputs(inputs), same

    # learning
    @abstractmethod
    def build(self) -> Net:
        """The network, its parts given."""

    def initialise(self, net: Net) -> str:
        """Weights to begin with that are not random; what was taken over and what was not, to be said aloud."""
        return ""

    @abstractmethod
    def recipe(self) -> Recipe:
        """What the paper, or experience, recommends for this network and data."""

    @abstractmethod
    def loss(self, net: Net, inputs: Any, targets: Any, carry: Any) -> Step: ...

    @property
    def finishes(self) -> bool:
        """Whether something is learnt after the last epoch, by `finish`."""
        return False

    def finish(self, net: Net) -> Net:
        """Once, after the last epoch, with the best weights: what is learnt from all training examples together."""
        return net

    # measuring
    @abstractmethod
    def outputs(self, net: Net, inputs: Any, carry: Any) -> tuple[Any, Any]:
        """The only forward pass outside `loss`: outputs such that the mean over networks is their ensemble's."""

    @abstractmethod
    def tally(self, outputs: Any, targets: Any) -> Tally: ...

    @abstractmethod
    def scores(self, tally: Tally) -> dict[str, float]:
        """The first one decides which weights are best; higher is better."""

    def badness(self, outputs: Any, targets: Any) -> Tensor | None:
        """(b,) how wrong each example is: for the gallery of worst errors."""
        return None

    def evidence(self, outputs: Any, what: str) -> Tensor | None:
        """(b,) the number an explanation explains, or None if there is none."""
        return None

    def score(self, net: Net, inputs: Any, what: str) -> Tensor | None:
        """(b,) the number that explanations and attacks differentiate: the evidence, where possible before a softmax or
        sigmoid, whose gradient vanishes as the network grows sure."""
        return self.evidence(self.outputs(net, inputs, None)[0], what)

    def claim(self, prediction: Any, what: str) -> str:
        """What of an answer is in question, as `score` takes it, where answers are no classes: `what`, made whole."""
        return what

    def during(self: Own, share: float) -> Own:
        """The task as it is when this share of all steps is done: harder and harder, where that helps a network."""
        return self

    def trial(self, net: Net, inputs: Any, targets: Any) -> Any:
        """What validation shows the network after each epoch; `trial_name` then says in what way that is harder."""
        return inputs

    @property
    def trial_name(self) -> str:
        """Before the names of scores of trials; empty where these are the inputs as they are."""
        return ""

    def specimen(self, net: Net) -> str:
        """A short text the network makes from nothing, of the same draws each time: a report shows how it grew."""
        return ""

    # use
    def read_input(self, source: str) -> Input:
        """What a user names on the command line, read."""
        raise UsageError(f"{self.name} does not read {source} from the command line")

    @abstractmethod
    def predict(self, outputs: Any, inputs: Any, how: Decoding) -> list[Any]:
        """What one tells the user, JSON-able: one answer an example."""

    def stream(self, net: Net, inputs: Sequence[Input], how: Decoding) -> Iterator[Any]:
        """Answers one after another."""
        for one in inputs:
            encoded = self.encode_inputs([one])
            yield from self.predict(self.outputs(net, encoded, None)[0], encoded, how)

    def line(self, prediction: Any) -> str:
        """The answer in a line, for the terminal."""
        return str(prediction)

    def draw(self, input: Input, prediction: Any) -> Image | str:
        """The answer on the input, to look at."""
        return self.line(prediction)

    def export(self, input: Input, prediction: Any, folder: Path, name: str) -> Path:
        """The answer in the form its field exchanges: a file of that name in folder. Raises UsageError without one."""
        raise UsageError(f"answers of {self.name} have no files of their own; --json prints all there is")


def lookup(name: str) -> type[Task[Any, Any, Any]]:
    """The task of this name. Raises UsageError with the nearest one."""
    if name not in TASKS:
        raise UsageError(f"no task called {name!r}{nearest(name, TASKS)}")
    return TASKS[name]
