"""One number a name."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """One number a class, a label or a target, in the order of `names`."""

    names: tuple[str, ...]
    values: Float[Tensor, "n"]

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k largest, largest first."""
        best = self.values.topk(min(k, len(self.names)))
        return [(self.names[i], v) for v, i in zip(best.values.tolist(), best.indices.tolist())]

    def to_json(self) -> dict[str, Any]:
        return {name: round(value, 6) for name, value in zip(self.names, self.values.tolist())}
