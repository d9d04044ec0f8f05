"""A task that trains in a second: three kinds of 8×8 ramps, told apart by a convolution with dropout and batch norm."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from legato.draws import Draws, generator
from legato.metrics import classification
from legato.recipe import Recipe
from legato.task import Decoding, Split, Step, Tally, Task

Ramp = Float[Tensor, "c h w"]


@dataclass(frozen=True)
class Toy(Task[Ramp, int, nn.Sequential]):
    count: int = 48
    width: int = 4
    dropout: float = 0.2
    explode_at: float = 0.0  # scale of the loss; > 1e38 makes it infinite

    name: ClassVar[str] = "toy"
    takes: ClassVar[tuple[type, ...]] = (Tensor,)

    def examples(self, split: Split) -> Sequence[tuple[Ramp, int]]:
        g = generator("toy", split)
        ramp = torch.linspace(-1, 1, 8)[:, None].expand(8, 8)
        labels = torch.randint(3, (self.count,), generator=g).tolist()
        return [((ramp * [1, -1, 0][k] + 0.3 * torch.randn(8, 8, generator=g))[None], k) for k in labels]

    def augment(self, input: Ramp, target: int, draws: Draws) -> tuple[Ramp, int]:
        return (input.flip(-1) if draws.uniform("flip") < 0.5 else input), target

    def encode_inputs(self, inputs: Sequence[Ramp]) -> Float[Tensor, "b c h w"]:
        return torch.stack(list(inputs))

    def encode_targets(self, targets: Sequence[int], inputs: Any) -> Int[Tensor, "b"]:
        return torch.tensor(targets)

    def build(self) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(1, self.width, 3),
            nn.BatchNorm2d(self.width) if self.dropout else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Flatten(),
            nn.Linear(36 * self.width, 3),
        )

    def recipe(self) -> Recipe:
        return Recipe(epochs=3, batch_size=10, lr=1e-2, precision="fp32", workers=0, ema=0.9)

    def loss(self, net: nn.Module, inputs: Tensor, targets: Tensor, carry: Any) -> Step:
        loss = F.cross_entropy(net(inputs), targets) * max(1.0, self.explode_at)
        return Step({"class": loss}, weight=float(len(targets)))

    def outputs(self, net: nn.Module, inputs: Tensor, carry: Any) -> tuple[Tensor, Any]:
        return net(inputs).softmax(-1), None

    def tally(self, outputs: Tensor, targets: Tensor) -> Tally:
        return classification.tally(outputs, targets)

    def scores(self, tally: Tally) -> dict[str, float]:
        return classification.scores(tally)

    def badness(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -outputs.gather(1, targets[:, None]).squeeze(1).log()

    def predict(self, outputs: Tensor, inputs: Any, how: Decoding) -> list[Any]:
        return outputs.argmax(-1).tolist()
