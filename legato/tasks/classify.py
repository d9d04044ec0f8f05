"""Which of these is it?"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato import picture
from legato.data.examples import Kind
from legato.errors import UsageError
from legato.layers.modes import evaluating
from legato.metrics import classification
from legato.networks import registry
from legato.task import Decoding, Step, Tally
from legato.tasks import teacher
from legato.tasks.adversary import adversary
from legato.tasks.class_names import class_index
from legato.tasks.pictures import PictureTask, as_image
from legato.values import Image, Scores


@dataclass(frozen=True)
class Classify(PictureTask):
    """One class of several for each picture."""

    class_weights: bool = False
    """Weigh each class by the inverse of its frequency: all classes count alike."""
    label_smoothing: float = 0.0
    """Share of each target spread over all classes (Szegedy et al. 2016, section 7)."""
    adversarial: str = ""
    """Train on pictures attacked within this L∞ distance: 8/255, or with the number of PGD's steps 0.3x40."""
    teacher: str = ""
    """Runs on the same data, separated by commas, whose mean answer is learnt in place of the labels."""

    name: ClassVar[str] = "classify"
    kinds: ClassVar[tuple[Kind, ...]] = ("class",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adversarial:
            adversary(self.adversarial)  # complain now rather than at the first step

    def adapt(self) -> "Classify":
        task = super().adapt()
        if self.teacher and registry.lookup(task.network).loss is not None:
            raise UsageError(f"--teacher: {task.network} learns by a loss of its own, from labels alone")
        teacher.check(self.teacher, task.names, task.known.channels)
        return task

    def about(self) -> list[str]:
        return super().about() + teacher.check(self.teacher, self.names, self.known.channels)

    def loss(self, net: nn.Module, inputs: Tensor, targets: Tensor, carry: Any) -> Step:
        if self.adversarial:
            inputs = self.attacked(net, inputs, targets)
        return Step({"class": self.class_loss(net, inputs, targets)}, weight=float(len(inputs)))

    def class_loss(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> Float[Tensor, ""]:
        if self.teacher:
            return teacher.distillation(self.logits(net, inputs), teacher.answers(self.teacher, inputs))
        outputs, own = self.through(net, inputs), registry.lookup(self.network).loss
        if own is not None:
            return own(outputs, targets)
        weights = self.weights(inputs.device)
        return F.cross_entropy(outputs.float(), targets, weights, label_smoothing=self.label_smoothing)

    def during(self, share: float) -> "Classify":
        """Attacks reach farther step by step, for at once a network learns nothing but to answer alike to all."""
        if not self.adversarial:
            return self
        return replace(self, adversarial=str(adversary(self.adversarial).reaching(share)))

    def attacked(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """The pictures as `adversarial` asks, at the worst for the network as it is used: without dropout."""
        alone = getattr(net, "module", net)  # around it, DistributedDataParallel expects one backward pass a forward
        with evaluating(alone):
            return adversary(self.adversarial).attacked(lambda x: self.class_loss(alone, x, targets), inputs)

    def trial(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """Attacked, if trained so: what withstands best is kept, which is not what is best undisturbed."""
        return self.attacked(net, inputs, targets) if self.adversarial else inputs

    @property
    def trial_name(self) -> str:
        return "attacked_" if self.adversarial else ""

    def weights(self, device: torch.device) -> Float[Tensor, "k"] | None:
        """n / (k nᵢ), so that their mean over the examples is 1."""
        if not self.class_weights:
            return None
        counts = torch.tensor(self.known.counts, dtype=torch.float32, device=device)
        return counts.sum() / (len(counts) * counts.clamp(min=1))

    def outputs(self, net: nn.Module, inputs: Tensor, carry: Any) -> tuple[Float[Tensor, "b k"], None]:
        """Probabilities: their mean over networks is an ensemble's."""
        return self.logits(net, inputs).softmax(dim=1), None

    def logits(self, net: nn.Module, inputs: Tensor) -> Float[Tensor, "b k"]:
        """Before the softmax, however the network gives them."""
        return registry.lookup(self.network).read(self.through(net, inputs)).float()

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
        return outputs[:, class_index(what, self.known.names)]

    def score(self, net: nn.Module, inputs: Tensor, what: str) -> Float[Tensor, "b"]:
        """The logit of class `what`; of the likeliest if it is empty."""
        return self.evidence(self.logits(net, inputs), what)

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
