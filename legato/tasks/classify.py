"""Which of these is it?"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato import picture
from legato.data.examples import Kind
from legato.errors import UsageError, nearest
from legato.metrics import classification
from legato.networks import registry
from legato.task import Decoding, Step, Tally
from legato.tasks.pictures import PictureTask, as_image
from legato.values import Image, Scores


@dataclass(frozen=True)
class Classify(PictureTask):
    """One class of several for each picture."""

    class_weights: bool = False
    """Weigh each class by the inverse of its frequency: all classes count alike."""
    label_smoothing: float = 0.0
    """Share of each target spread over all classes (Szegedy et al. 2016, section 7)."""

    name: ClassVar[str] = "classify"
    kinds: ClassVar[tuple[Kind, ...]] = ("class",)

    def loss(self, net: nn.Module, inputs: Tensor, targets: Tensor, carry: Any) -> Step:
        outputs = net(inputs)
        own = registry.lookup(self.network).loss
        if own is not None:
            loss = own(outputs, targets)
        else:
            loss = F.cross_entropy(
                outputs.float(), targets, self.weights(inputs.device), label_smoothing=self.label_smoothing
            )
        return Step({"class": loss}, weight=float(len(inputs)))

    def weights(self, device: torch.device) -> Float[Tensor, "k"] | None:
        """n / (k nᵢ), so that their mean over the examples is 1."""
        if not self.class_weights:
            return None
        counts = torch.tensor(self.known.counts, dtype=torch.float32, device=device)
        return counts.sum() / (len(counts) * counts.clamp(min=1))

    def outputs(self, net: nn.Module, inputs: Tensor, carry: Any) -> tuple[Float[Tensor, "b k"], None]:
        """Probabilities: their mean over networks is an ensemble's."""
        return registry.lookup(self.network).read(net(inputs)).float().softmax(dim=1), None

    def tally(self, outputs: Tensor, targets: Tensor) -> Tally:
        return classification.tally(outputs, targets)

    def scores(self, tally: Tally) -> dict[str, float]:
        return classification.scores(tally)

    def badness(self, outputs: Tensor, targets: Tensor) -> Float[Tensor, "b"]:
        """−ln of the true class's probability, where another is preferred; at most 0 where the answer is right."""
        own = outputs.gather(1, targets[:, None]).squeeze(1)
        wrong = outputs.argmax(dim=1) != targets
        return torch.where(wrong, -own.clamp(min=1e-12).log(), -own)

    def evidence(self, outputs: Tensor, what: str) -> Float[Tensor, "b"]:
        """The probability of class `what`; of the likeliest if it is empty."""
        if not what:
            return outputs.max(dim=1).values
        if what not in self.known.names:
            raise UsageError(f"no class called {what!r}{nearest(what, self.known.names)}")
        return outputs[:, self.known.names.index(what)]

    def predict(self, outputs: Tensor, inputs: Any, how: Decoding) -> list[dict[str, Any]]:
        """For each picture: its class, how probable that is, and the `top` likeliest classes."""
        answers = []
        for row in outputs.cpu():
            top = Scores(self.known.names, row).top(how.top)
            answers.append(
                {"class": top[0][0], "probability": round(top[0][1], 6), "top": [[n, round(p, 6)] for n, p in top]}
            )
        return answers

    def line(self, prediction: Any) -> str:
        return f"{prediction['class']} {prediction['probability']:.0%}"

    def draw(self, input: Image, prediction: Any) -> Image:
        """The lecture's card: the picture beside its likeliest classes."""
        return as_image(picture.card(input, [(name, share) for name, share in prediction["top"]]), input.source)
