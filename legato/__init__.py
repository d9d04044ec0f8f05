"""legato: train, open up and ship the deep networks of the lectures, on your own data.

The names below are loaded when first used, so that `import legato` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from legato.api import compare as compare
    from legato.api import describe as describe
    from legato.api import evaluate as evaluate
    from legato.api import load as load
    from legato.api import predict as predict
    from legato.api import resume as resume
    from legato.api import train as train
    from legato.recipe import Recipe as Recipe
    from legato.task import Decoding as Decoding
    from legato.task import Task as Task
    from legato.watch import watch as watch

PUBLIC = {
    **dict.fromkeys(("train", "resume", "evaluate", "predict", "load", "describe", "compare"), "legato.api"),
    "Recipe": "legato.recipe",
    "Decoding": "legato.task",
    "Task": "legato.task",
    "watch": "legato.watch",
}
PACKAGES = ("layers", "recurrent", "networks", "explain", "data", "metrics")
__all__ = ["__version__", *PUBLIC, *PACKAGES]


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        return getattr(import_module(PUBLIC[name]), name)
    if name in PACKAGES:
        return import_module(f"legato.{name}")
    raise AttributeError(f"module 'legato' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
