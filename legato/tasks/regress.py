"""How much of each?"""

from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from legato.data.examples import Kind
from legato.metrics import regression
from legato.task import Decoding, Step, Tally
from legato.tasks.class_names import class_index
from legato.tasks.pictures import PictureTask
from legato.values import Scores


@dataclass(frozen=True)
class Regress(PictureTask):
    """A number for each column of a table, such as the shares of votes of galaxies (Willett et al. 2013)."""

    name: ClassVar[str] = "regress"
    kinds: ClassVar[tuple[Kind, ...]] = ("numbers",)

    def loss(self, net: nn.Module, inputs: Tensor, targets: Tensor, carry: Any) -> Step:
        known = ~targets.isnan()
        squares = (self.through(net, inputs).float() - targets.nan_to_num()).square() * known
        return Step({"numbers": squares.sum() / known.sum().clamp(min=1)}, weight=max(1.0, float(known.sum())))

    def outputs(self, net: nn.Module, inputs: Tensor, carry: Any) -> tuple[Float[Tensor, "b k"], None]:
        return self.through(net, inputs).float(), None

    def tally(self, outputs: Tensor, targets: Tensor) -> Tally:
        return regression.tally(outputs, targets)

    def scores(self, tally: Tally) -> dict[str, float]:
        return regression.scores(tally)

    def badness(self, outputs: Tensor, targets: Tensor) -> Float[Tensor, "b"]:
        return (outputs - targets).square().nan_to_num().mean(dim=1)

    def evidence(self, outputs: Tensor, what: str) -> Float[Tensor, "b"]:
        """The number `what`; the sum of all if it is empty."""
        return outputs[:, class_index(what, self.known.names)] if what else outputs.sum(dim=1)

    def predict(self, outputs: Tensor, inputs: Any, how: Decoding) -> list[dict[str, Any]]:
        return [Scores(self.known.names, row).to_json() for row in outputs.cpu()]

    def line(self, prediction: Any) -> str:
        return "  ".join(f"{name} {value:.3g}" for name, value in prediction.items())
