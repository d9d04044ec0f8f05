"""What all detectors have in common: what they are given, what they are told, what they answer; and the list of them.

A detector is a network, its loss, and the way its outputs become boxes: three functions in the file of its paper,
entered here under a name. The task `detect` chooses one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from legato.errors import UsageError, nearest
from legato.layers.regions.objects import Canvas, Detections, Truth
from legato.networks.trunk import Trunk, trunk
from legato.recipe import Recipe

TUNE = Recipe(epochs=40, batch_size=4, optimizer="adamw", lr=5e-4, weight_decay=1e-4, warmup=0.05, clip_norm=10)
SURE = 0.02  # boxes below this are not worth mentioning, even to a measure


@dataclass(frozen=True)
class Parts:
    """What a detector is built from: a trunk's name, what the data dictates, and shapes fitted to its boxes."""

    network: str
    classes: int
    channels: int
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    shapes: tuple[tuple[float, float], ...] = ()  # width and height, pixels, small ones first

    def trunk(self, strides: Sequence[int]) -> Trunk:
        return trunk(self.network, strides, self.channels, self.mean, self.sd)


@dataclass(frozen=True)
class Detector:
    """A way to find things.

    `shapes` is the number of anchors' shapes it wants fitted, `side` that of the square it wants pictures stretched to
    (0: any size); `propose` says where to look, for those that cannot themselves, and `finish` is run after training.
    Where the whole detector is published, and not only a trunk, `names` brings its file's tensors to the network's.
    """

    name: str
    paper: str
    build: Callable[[Parts], nn.Module]
    loss: Callable[[Any, Canvas, Sequence[Truth]], dict[str, Tensor]]
    detect: Callable[[Any, Canvas], list[Detections]]
    shapes: int = 0
    side: int = 0
    propose: Callable[[Tensor], Tensor] | None = None  # (c, h, w) bytes → (r, 4)
    finish: Callable[[Any, Iterable[tuple[Canvas, Sequence[Truth]]]], nn.Module] | None = None
    recipe: Recipe = TUNE
    names: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] | None = None


DETECTORS: dict[str, Detector] = {}


def enter(detector: Detector) -> Detector:
    DETECTORS[detector.name] = detector
    return detector


def lookup_detector(name: str) -> Detector:
    """The detector of this name. Raises UsageError with the nearest one."""
    if name not in DETECTORS:
        raise UsageError(f"no detector called {name!r}{nearest(name, DETECTORS)}")
    return DETECTORS[name]
