"""Tags: how many words, how many whole sentences, and how many words never seen before have the right ones."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

from legato.metrics import classification


def tally(
    probabilities: Float[Tensor, "t b k"], targets: Int[Tensor, "t b"], unknown: Bool[Tensor, "t b"]
) -> dict[str, Tensor]:
    """Sums over words, those of classification among them. Negative targets are padding."""
    there = targets >= 0
    right = probabilities.argmax(-1) == targets
    return classification.tally(probabilities[there], targets[there]) | {
        "sentences": there.any(0).sum(),
        "sentences_right": ((right | ~there).all(0) & there.any(0)).sum(),
        "unknown": (unknown & there).sum(),
        "unknown_right": (unknown & there & right).sum(),
    }


def scores(tally: dict[str, Tensor]) -> dict[str, float]:
    """accuracy a word, errors, words; accuracy of whole sentences; accuracy of words that training did not see."""
    words = classification.scores(tally)
    return {
        "accuracy": words["accuracy"],
        "errors": words["errors"],
        "words": words["count"],
        "sentence_accuracy": float(tally["sentences_right"] / tally["sentences"].clamp(min=1)),
        "unknown_accuracy": float(tally["unknown_right"] / tally["unknown"].clamp(min=1)),
        "log_loss": words["log_loss"],
    }
