"""What is left of it after a narrow code? Autoencoders, of clean pictures or of noisy ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato.data.examples import Kind, PictureSet
from legato.data.loaded import Loaded
from legato.draws import Draws
from legato.errors import UsageError, nearest
from legato.metrics import reconstruction
from legato.networks.autoencoder import AUTOENCODERS
from legato.recipe import Recipe
from legato.task import Decoding, Split, Step, Tally, Task
from legato.tasks.pictures import PictureTask, loaded, picture_set
from legato.values import Image


@dataclass(frozen=True)
class Reconstruct(PictureTask):
    """The picture itself, through a code (`linear`), or without the noise it is given with (`denoising`)."""

    augmentation: str = "none"
    noise: float = -1.0
    """Standard deviation of noise laid over the input, pixels in [0, 1]; below 0: what the network is for."""

    name: ClassVar[str] = "reconstruct"
    kinds: ClassVar[tuple[Kind, ...]] = ("class", "labels", "numbers")

    @classmethod
    def recognises(cls, data: str) -> bool:
        return False  # pictures with targets are for others, unless it is named

    def choose(self, found: PictureSet) -> tuple[str, int]:
        name = self.network or "linear"
        if name not in AUTOENCODERS:
            raise UsageError(f"no autoencoder called {name!r}{nearest(name, AUTOENCODERS)}")
        size = self.size or max(found.splits["train"].size(0)[:2])
        return name, size if name == "linear" else -(-size // 4) * 4  # two halvings and back

    def examples(self, split: Split) -> Loaded:
        """Any pictures will do, whatever they are said to show."""
        names = picture_set(self.data, self.fold).names
        return loaded(self.data, self.fold, split, self.known.load, self.known.channels, self.fit, names)

    def batch(self, examples: Any, indices: Sequence[int], draws: Draws | None) -> tuple[Tensor, Tensor]:
        """Noisy pictures and clean ones; the noise of an example is its own in evaluation too."""
        clean, _ = super().batch(examples, indices, draws)
        deviation = self.noise if self.noise >= 0 else {"linear": 0.0, "denoising": 0.3}[self.network]
        noise = (draws or Draws(("noise",), indices)).normal("noise", *clean.shape[1:]) if deviation else 0.0
        return clean + deviation * noise, clean

    def view(self, inputs: Sequence[Image], numbers: Sequence[int], k: int) -> tuple[Tensor, Callable[[Any], Any]]:
        """What is made of a varied picture is that picture: there is no mean."""
        return Task.view(self, inputs, numbers, k)

    def encode_targets(self, targets: Sequence[Any], inputs: Any) -> Tensor:
        return inputs

    def build(self) -> nn.Module:
        if self.network == "linear":
            return AUTOENCODERS["linear"](self.known.channels, self.known.size)
        return AUTOENCODERS[self.network](self.known.channels)

    def recipe(self) -> Recipe:
        return Recipe(epochs=10, batch_size=128, optimizer="adamw", lr=2e-3)

    def loss(self, net: nn.Module, inputs: Tensor, targets: Tensor, carry: Any) -> Step:
        return Step({"squared": F.mse_loss(net(inputs).float(), targets)}, weight=float(len(inputs)))

    def outputs(self, net: nn.Module, inputs: Tensor, carry: Any) -> tuple[Float[Tensor, "b c h w"], None]:
        return net(inputs).float(), None

    def tally(self, outputs: Tensor, targets: Tensor) -> Tally:
        return reconstruction.tally(outputs, targets)

    def scores(self, tally: Tally) -> dict[str, float]:
        return reconstruction.scores(tally)

    def badness(self, outputs: Tensor, targets: Tensor) -> Float[Tensor, "b"]:
        return (outputs - targets).square().mean(dim=(1, 2, 3))

    def predict(self, outputs: Tensor, inputs: Any, how: Decoding) -> list[dict[str, Any]]:
        """For each picture the mean squared difference between it and what came back, and that picture's pixels."""
        errors = (outputs - inputs).square().mean(dim=(1, 2, 3)).tolist()
        pixels = (outputs.clamp(0, 1) * 255).round().byte().tolist()
        return [{"mse": round(error, 6), "pixels": p} for error, p in zip(errors, pixels)]

    def line(self, prediction: Any) -> str:
        return f"mse {prediction['mse']:.4g}"

    def draw(self, input: Image, prediction: Any) -> Image:
        return Image(torch.tensor(prediction["pixels"], dtype=torch.uint8), input.source)
