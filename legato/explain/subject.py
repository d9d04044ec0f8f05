"""What is to be explained: a trained network, an input, and the answer in question; and how a method is registered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from legato.device import Device
from legato.errors import UsageError, nearest
from legato.picture import Picture
from legato.progress import SILENT, Progress
from legato.task import Decoding, Task
from legato.values import Image

AnyTask = Task[Any, Any, Any]


@dataclass(frozen=True)
class Subject:
    """One input of one run, and what the user wants to know about it. Everything is computed in fp32."""

    task: AnyTask
    net: nn.Module
    device: Device
    input: Any  # a value the task takes: Image, Text, …; None for methods that need none
    what: str = ""  # class, label or word in question; empty: the answer
    stage: str = ""  # a stage of the network by its name; empty: the method chooses
    channel: int = -1  # of that stage; -1: the method chooses
    among: Sequence[Any] = field(default=())  # other inputs to look among: (input, caption), read when asked for
    progress: Progress = SILENT  # told of passes over these

    @cached_property
    def encoded(self) -> Any:
        """The input as the network takes it, a batch of one."""
        return self.device.move(self.task.encode_inputs([self.input]))

    @cached_property
    def answer(self) -> Any:
        """What the network says of the input, as `legato predict` tells it."""
        return self.task.predict(self.outputs, self.encoded, Decoding())[0]

    @cached_property
    @torch.no_grad()
    def outputs(self) -> Any:
        return self.task.outputs(self.net, self.encoded, None)[0]

    @cached_property
    def target(self) -> str:
        """What is explained: `what`, or of all names the one with most evidence; "" where nothing has a name."""
        if self.what or not self.task.names or self.task.evidence(self.outputs, self.task.names[0]) is None:
            return self.what if self.input is None else self.task.claim(self.answer, self.what)
        found = [self.present(self.task.evidence(self.outputs, name)) for name in self.task.names]
        return self.task.names[int(torch.cat(found).argmax())]

    # the number in question
    def evidence(self, inputs: Any) -> Float[Tensor, "b"]:
        """How much of `target` there is in inputs: probabilities where the task has them. For methods that cover."""
        return self.present(self.task.evidence(self.task.outputs(self.net, inputs, None)[0], self.target))

    def score(self, inputs: Any) -> Float[Tensor, "b"]:
        """The same before softmax or sigmoid. For methods that take gradients."""
        return self.present(self.task.score(self.net, inputs, self.target))

    def present(self, number: Tensor | None) -> Tensor:
        if number is None:
            raise UsageError(f"{self.task.name} has no one number to explain; see `--how list`")
        return number

    # of pictures
    @property
    def pixels(self) -> Float[Tensor, "1 c h w"]:
        """The picture as the network sees it, in [0, 1]: cut, scaled, in its colours."""
        x = self.encoded if isinstance(self.encoded, Tensor) else getattr(self.encoded, "pixels", None)
        if not isinstance(x, Tensor) or x.dim() != 4:
            raise UsageError(f"{self.task.name} takes no pictures; see `--how list`")
        return x

    def with_pixels(self, x: Float[Tensor, "b c h w"]) -> Any:
        """The input with these pictures in place of its own, as the network takes it."""
        if isinstance(self.encoded, Tensor):
            return x
        rest = {name: repeated(part, len(x)) for name, part in self.encoded._asdict().items()}
        return self.encoded._replace(**rest | {"pixels": x})

    def evidence_of(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b"]:
        """The evidence in each of these pictures: what pure functions of (evidence, x) ask for."""
        return self.evidence(self.with_pixels(x))

    def score_of(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b"]:
        """The score of each of these pictures."""
        return self.score(self.with_pixels(x))


def repeated(part: Any, n: int) -> Any:
    """A part of a batch of one, for a batch of n."""
    if isinstance(part, Tensor):
        return part.repeat(n, *[1] * (part.dim() - 1))
    return part * n if isinstance(part, list) else part


class Shown(NamedTuple):
    """What a method found: a picture, its name among the method's ("" where it is the only one), lines to print."""

    picture: Picture
    name: str = ""
    lines: tuple[str, ...] = ()


Fits = Callable[[AnyTask, nn.Module], str]


class Method(NamedTuple):
    """A way to look. `show` draws one subject; `fits` says why it makes no sense for a task and network, or nothing."""

    name: str
    about: str
    show: Callable[[Subject], list[Shown]]
    fits: Fits
    needs_input: bool | None  # None: looks at an input where one is given, and does without

    def reads(self, given: bool) -> bool:
        """Whether it looks at an input, where one is given or none."""
        return given if self.needs_input is None else self.needs_input


METHODS: dict[str, Method] = {}


def anything(task: AnyTask, net: nn.Module) -> str:
    """No objection."""
    return ""


def pictures(task: AnyTask, net: nn.Module) -> str:
    """Objects where no picture goes in."""
    return "" if Image in task.takes else f"{task.name} takes no pictures"


def scored_pictures(task: AnyTask, net: nn.Module) -> str:
    """Objects where no picture goes in, or no one number comes out."""
    if objection := pictures(task, net):
        return objection
    there = type(task).evidence is not Task.evidence or type(task).score is not Task.score
    return "" if there else f"{task.name} gives no one number that could be explained"


def likely_pictures(task: AnyTask, net: nn.Module) -> str:
    """Objects where no picture goes in, or no probability comes out."""
    if objection := pictures(task, net):
        return objection
    there = type(task).evidence is not Task.evidence
    return "" if there else f"{task.name} gives no probability that a patch could lower; gradcam shows where it looks"


def method(
    name: str, fits: Fits = anything, needs_input: bool | None = True
) -> Callable[[Callable[[Subject], list[Shown]]], Callable[[Subject], list[Shown]]]:
    """Enter a function as the method `--how NAME`; the first line of its docstring is its help."""

    def enter(show: Callable[[Subject], list[Shown]]) -> Callable[[Subject], list[Shown]]:
        about = (show.__doc__ or "").partition("\n")[0].rstrip(".")
        METHODS[name] = Method(name, about[:1].upper() + about[1:], show, fits, needs_input)
        return show

    return enter


def lookup(name: str) -> Method:
    """The method of this name. Raises UsageError with the nearest one."""
    if name not in METHODS:
        raise UsageError(f"no method called {name!r}{nearest(name, METHODS)}; --how list shows all")
    return METHODS[name]


def fitting(name: str, task: AnyTask, net: nn.Module) -> Method:
    """The method of this name. Raises UsageError, saying why and which do, where it makes no sense for this network."""
    found = lookup(name)
    if why := found.fits(task, net):
        others = ", ".join(m.name for m in METHODS.values() if not m.fits(task, net))
        raise UsageError(f"{name} makes no sense here: {why}; these do: {others}")
    return found


FIRST = ("gradcam", "occlusion", "words", "cell-search")  # of those that fit, when the user names none


def default(task: AnyTask, net: nn.Module, needs_input: bool = True) -> Method:
    """What most people mean: Grad-CAM where there are maps, else occlusion, of texts the words; else what fits."""
    names = [*FIRST, *METHODS]
    found = [METHODS[n] for n in names if n in METHODS and METHODS[n].reads(needs_input) == needs_input]
    chosen = next((m for m in found if not m.fits(task, net)), None)
    if chosen is None:
        raise UsageError(f"no method explains {task.name}; see `--how list`")
    return chosen
