"""Which of these are in it?"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato import picture
from legato.data.examples import Kind
from legato.metrics import labels
from legato.task import Decoding, Step, Tally
from legato.tasks.class_names import class_index
from legato.tasks.pictures import PictureTask, as_image
from legato.values import Image, Scores


@dataclass(frozen=True)
class Label(PictureTask):
    """Any number of labels for each picture, from a table with a column of 0 and 1 for each."""

    name: ClassVar[str] = "label"
    kinds: ClassVar[tuple[Kind, ...]] = ("labels",)

    def loss(self, net: nn.Module, inputs: Tensor, targets: Tensor, carry: Any) -> Step:
        known = ~targets.isnan()
        logits = self.through(net, inputs).float()
        each = F.binary_cross_entropy_with_logits(logits, targets.nan_to_num(), reduction="none")
        return Step({"labels": (each * known).sum() / known.sum().clamp(min=1)}, weight=max(1.0, float(known.sum())))

    def outputs(self, net: nn.Module, inputs: Tensor, carry: Any) -> tuple[Float[Tensor, "b k"], None]:
        """A probability for each label: their mean over networks is an ensemble's."""
        return self.through(net, inputs).float().sigmoid(), None

    def tally(self, outputs: Tensor, targets: Tensor) -> Tally:
        return labels.tally(outputs, targets)

    def scores(self, tally: Tally) -> dict[str, float]:
        return labels.scores(tally)

    def badness(self, outputs: Tensor, targets: Tensor) -> Float[Tensor, "b"]:
        return (outputs - targets).abs().nan_to_num().amax(dim=1)

    def evidence(self, outputs: Tensor, what: str) -> Float[Tensor, "b"]:
        """The probability of label `what`; of the likeliest if it is empty."""
        return outputs[:, class_index(what, self.known.names)] if what else torch.amax(outputs, dim=1)

    def score(self, net: nn.Module, inputs: Tensor, what: str) -> Float[Tensor, "b"]:
        """The same before the sigmoid."""
        return self.evidence(net(inputs).float(), what)

    def predict(self, outputs: Tensor, inputs: Any, how: Decoding) -> list[dict[str, Any]]:
        """For each picture: the labels it has, and the probability of every label."""
        names = self.known.names
        return [
            {
                "labels": [n for n, p in zip(names, row.tolist()) if p > 0.5],
                "probabilities": Scores(names, row).to_json(),
            }
            for row in outputs.cpu()
        ]

    def line(self, prediction: Any) -> str:
        return ", ".join(prediction["labels"]) or "none"

    def draw(self, input: Image, prediction: Any) -> Image:
        """The picture beside its likeliest labels."""
        scores = sorted(prediction["probabilities"].items(), key=lambda pair: -pair[1])
        return as_image(picture.card(input, scores), input.source)
