"""Four tasks that train in a blink: pictures with a class, with labels, with numbers, and words with a class."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from legato.draws import Draws, generator
from legato.metrics import classification, regression
from legato.metrics import labels as label_metrics
from legato.recipe import Recipe
from legato.task import Decoding, Split, Step, Tally, Task
from legato.values import Image, Text

NAMES = ("dark <&> $left", "bright", "猫")


@dataclass(frozen=True)
class Found:
    names: tuple[str, ...] = NAMES
    counts: tuple[int, ...] = (8, 8, 8)
    policy: str = "every <third> for validation"
    mean: tuple[float, ...] = (0.5,)
    set_aside: tuple[tuple[str, str], ...] = (("<broken>.png", "truncated"),)


@dataclass(frozen=True)
class Squares(Task[Any, Any, nn.Module]):
    """8 × 8 pictures with a bright square in one of three places."""

    count: int = 24
    learnt: Found | None = field(default=None, metadata={"flag": False})

    name: ClassVar[str] = "squares"
    takes: ClassVar[tuple[type, ...]] = (Image,)

    def adapt(self) -> "Squares":
        return type(self)(self.data, self.count, Found())

    @property
    def names(self) -> tuple[str, ...]:
        return self.learnt.names if self.learnt else ()

    def examples(self, split: Split) -> Sequence[tuple[Any, Any]]:
        g = generator("squares", split)
        pictures = torch.randint(90, (self.count, 1, 8, 8), generator=g)
        places = torch.randint(3, (self.count,), generator=g).tolist()
        for picture, k in zip(pictures, places):
            picture[:, 2 * k : 2 * k + 3] += 40
        return [(Image(p.byte(), f"{split}{i}.png"), self.target(k)) for i, (p, k) in enumerate(zip(pictures, places))]

    def target(self, place: int) -> Any:
        return place

    def augment(self, input: Any, target: Any, draws: Draws) -> tuple[Any, Any]:
        return (Image(input.pixels.flip(-1)) if draws.uniform("flip") < 0.5 else input), target

    def encode_inputs(self, inputs: Sequence[Any]) -> Tensor:
        return torch.stack([image.pixels for image in inputs]).float() / 255

    def encode_targets(self, targets: Sequence[Any], inputs: Any) -> Tensor:
        return torch.stack([torch.as_tensor(t) for t in targets])

    def build(self) -> nn.Module:
        net = nn.Sequential()
        net.add_module("conv1", nn.Conv2d(1, 4, 3))
        net.add_module("norm1", nn.BatchNorm2d(4))
        net.add_module("relu1", nn.ReLU())
        net.add_module("flat", nn.Flatten())
        net.add_module("dropout", nn.Dropout(0.5))
        net.add_module("classify", nn.Linear(144, 3))
        return net

    def recipe(self) -> Recipe:
        return Recipe(epochs=2, batch_size=8, lr=1e-2, workers=0)

    def loss(self, net: nn.Module, inputs: Any, targets: Any, carry: Any) -> Step:
        return Step({"class": F.cross_entropy(net(inputs), targets)}, weight=float(len(targets)))

    def outputs(self, net: nn.Module, inputs: Any, carry: Any) -> tuple[Tensor, Any]:
        return net(inputs).softmax(-1), None

    def tally(self, outputs: Tensor, targets: Tensor) -> Tally:
        return classification.tally(outputs, targets)

    def scores(self, tally: Tally) -> dict[str, float]:
        return classification.scores(tally)

    def badness(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        return -outputs.gather(1, targets[:, None]).squeeze(1).log()

    def predict(self, outputs: Tensor, inputs: Any, how: Decoding) -> list[Any]:
        return [self.names[k] for k in outputs.argmax(-1).tolist()]


@dataclass(frozen=True)
class Marks(Squares):
    """The same with three labels, of which some are not known."""

    name: ClassVar[str] = "marks"

    def target(self, place: int) -> Tensor:
        labels = torch.tensor([float(place == 0), float(place > 0), 1.0])
        labels[2 - place] = torch.nan
        return labels

    def loss(self, net: nn.Module, inputs: Any, targets: Any, carry: Any) -> Step:
        known = ~targets.isnan()
        return Step({"labels": F.binary_cross_entropy_with_logits(net(inputs)[known], targets[known])})

    def outputs(self, net: nn.Module, inputs: Any, carry: Any) -> tuple[Tensor, Any]:
        return net(inputs).sigmoid(), None

    def tally(self, outputs: Tensor, targets: Tensor) -> Tally:
        return label_metrics.tally(outputs, targets)

    def scores(self, tally: Tally) -> dict[str, float]:
        return label_metrics.scores(tally)

    def badness(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        return (outputs - targets.nan_to_num(0.5)).abs().sum(1)

    def predict(self, outputs: Tensor, inputs: Any, how: Decoding) -> list[Any]:
        return [dict(zip(self.names, row)) for row in outputs.tolist()]


@dataclass(frozen=True)
class Levels(Marks):
    """The same with three numbers."""

    name: ClassVar[str] = "levels"

    def loss(self, net: nn.Module, inputs: Any, targets: Any, carry: Any) -> Step:
        known = ~targets.isnan()
        return Step({"squared": F.mse_loss(net(inputs)[known], targets[known])})

    def outputs(self, net: nn.Module, inputs: Any, carry: Any) -> tuple[Tensor, Any]:
        return net(inputs), None

    def tally(self, outputs: Tensor, targets: Tensor) -> Tally:
        return regression.tally(outputs, targets)

    def scores(self, tally: Tally) -> dict[str, float]:
        return regression.scores(tally)


@dataclass(frozen=True)
class Words(Squares):
    """No pictures at all, and a network that is no column of stages."""

    name: ClassVar[str] = "words"
    takes: ClassVar[tuple[type, ...]] = (Text,)

    def examples(self, split: Split) -> Sequence[tuple[Any, Any]]:
        return [(Text("<ab>" * (k % 3 + 1)), k % 3) for k in range(self.count)]

    def augment(self, input: Any, target: Any, draws: Draws) -> tuple[Any, Any]:
        return input, target

    def encode_inputs(self, inputs: Sequence[Any]) -> Tensor:
        return torch.tensor([[ord(c) % 7 for c in (text.text * 3)[:12]] for text in inputs])

    def build(self) -> nn.Module:
        return Reader()

    def tally(self, outputs: Tensor, targets: Tensor) -> Tally:
        return {"right": (outputs.argmax(1) == targets).sum(), "count": torch.tensor(len(targets))}

    def scores(self, tally: Tally) -> dict[str, float]:
        return {"accuracy": float(tally["right"] / tally["count"])}


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.read, self.classify = nn.Embedding(7, 5), nn.LSTM(5, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.read(self.embed(x))[0][:, -1])
