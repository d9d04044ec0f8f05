"""How to train: plain fields, nothing nested; and the learning rate as a function of the step."""

from dataclasses import dataclass, fields
from math import cos, inf, pi
from typing import Literal

from legato.errors import UsageError


@dataclass(frozen=True)
class Recipe:
    """What an optimiser is told. Each task recommends one for its network; the command line overrides any field."""

    epochs: int = 10
    """Passes over the training split."""
    steps: int = 0
    """Stop after so many steps; 0: after the last epoch."""
    batch_size: int = 128
    """Examples a step, over all machines and micro-batches together."""
    accumulate: int = 1
    """Micro-batches a step: less memory, the same gradient."""
    optimizer: Literal["sgd", "nesterov", "adam", "adamw", "rmsprop", "adagrad"] = "adamw"
    """The rule that turns gradients into steps."""
    lr: float = 3e-3
    """Peak learning rate."""
    lr_scale: str = ""
    """Rates of stages as shares of lr: `trunk=0.1`, all but the last stage; or `conv1=0.01,conv2=0.1`."""
    schedule: Literal["constant", "linear", "cosine", "plateau"] = "cosine"
    """Course of the rate after warm-up: to 0 in a line or a cosine, or divided by 10 when validation stands still."""
    warmup: float = 0.1
    """Share of all steps in which the rate rises linearly to its peak."""
    momentum: float = 0.9
    """Of sgd, nesterov and rmsprop; β₁ of adam and adamw."""
    weight_decay: float = 0.0
    """On weights, not on biases and norms; decoupled in adamw."""
    clip_norm: float = 0.0
    """Largest norm of the gradient of all parameters together; 0: no limit."""
    ema: float = 0.0
    """Decay of the moving average of weights that is evaluated and kept (Polyak & Juditsky 1992); 0: none."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16: matrix products in bfloat16, master weights in float32. auto: where the machine is fast at it."""
    workers: int = 2
    """Threads that prepare batches ahead of sets too large for memory; no number changes with it."""
    seed: int = 0
    """Of initial weights, order, augmentation and dropout."""
    checkpoint_every: int = 0
    """Steps between saved states; 0: at the end of each epoch."""
    patience: int = 0
    """Stop after so many epochs without a better validation score; 0: never. Plateau schedule: epochs before a drop."""
    track: bool = False
    """Write TensorBoard event files too; needs the extra [track]."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: must be at least 1")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and value < 0:
                raise UsageError(f"--{field.name.replace('_', '-')} {value}: must not be negative")
        scales(self.lr_scale)


def scales(spec: str) -> dict[str, float]:
    """`trunk=0.1,conv1=0.01` → {"trunk": 0.1, "conv1": 0.01}. Raises UsageError."""
    found = {}
    for word in filter(None, map(str.strip, spec.split(","))):
        stage, _, share = word.partition("=")
        try:
            found[stage.strip()] = float(share)
        except ValueError:
            raise UsageError(f"--lr-scale {word}: write STAGE=SHARE, as in trunk=0.1") from None
        if not 0 <= found[stage.strip()] < inf:
            raise UsageError(f"--lr-scale {word}: a share is 0 or more")
    return found


def lr_at(recipe: Recipe, step: int, steps: int, drops: int = 0) -> float:
    """The learning rate of step `step` of `steps`; `drops` counts the plateaus met so far.

    Linear warm-up, then constant, linear to 0, cosine to 0 (Loshchilov & Hutter 2017, eq. 5), or ÷10 a plateau
    (Krizhevsky et al. 2012, section 5).
    """
    rise = round(recipe.warmup * steps)
    if step < rise:
        return recipe.lr * (step + 1) / (rise + 1)
    done = (step - rise) / max(1, steps - rise)
    match recipe.schedule:
        case "linear":
            return recipe.lr * (1 - done)
        case "cosine":
            return recipe.lr * (1 + cos(pi * done)) / 2
        case "plateau":
            return recipe.lr * 0.1**drops
    return recipe.lr
