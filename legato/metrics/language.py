"""How well a text was foretold: nats, bits, and the numbers that the lectures print."""

from math import exp, log

from jaxtyping import Float, Int
from torch import Tensor

LECTURE_WINDOW = 25  # min-char-rnn prints the loss summed over so many characters: 25 · ln V before it has learnt


def tally(
    probabilities: Float[Tensor, "t b v"], targets: Int[Tensor, "t b"], lengths: Int[Tensor, "v"]
) -> dict[str, Tensor]:
    """Sums over units: nats, hits, units, characters (`lengths`: of each unit). Negative targets are padding."""
    there = targets >= 0
    own = targets.clamp(min=0)
    p = probabilities.gather(-1, own[..., None]).squeeze(-1).double()
    hits = probabilities.argmax(-1) == targets
    return {
        "nats": -(p.clamp(min=1e-30).log() * there).sum(),
        "hits": (hits & there).sum(),
        "units": there.sum(),
        "characters": (lengths[own] * there).sum(),
    }


def scores(tally: dict[str, Tensor]) -> dict[str, float]:
    """minus_nats and nats a character, bits a character; nats and perplexity a unit; the share of units guessed right;
    smooth_loss, the lectures' log: nats a unit × 25; and how many characters were foretold.
    """
    nats, units, characters = (float(tally[k]) for k in ("nats", "units", "characters"))
    a_character, a_unit = nats / max(1, characters), nats / max(1, units)
    return {
        "minus_nats": -a_character,
        "nats_per_character": a_character,
        "bits_per_character": a_character / log(2),
        "nats_per_unit": a_unit,
        "perplexity": exp(min(a_unit, 700)),
        "smooth_loss": LECTURE_WINDOW * a_unit,
        "accuracy": float(tally["hits"]) / max(1, units),
        "count": characters,
    }


def bracket_balance(text: str, pairs: tuple[str, ...] = ("()", "[]", "{}")) -> float:
    """Share of the brackets of generated code that have their partner, in the right order; 1 if there are none."""
    closes = {pair[1]: pair[0] for pair in pairs}
    opens = set(closes.values())
    waiting: list[str] = []
    brackets = matched = 0
    for c in text:
        if c in opens:
            waiting.append(c)
        elif c in closes and waiting and waiting[-1] == closes[c]:
            waiting.pop()
            matched += 2
        brackets += c in opens or c in closes
    return matched / brackets if brackets else 1.0
