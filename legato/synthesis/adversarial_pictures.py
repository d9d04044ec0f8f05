"""One picture and one trained classifier: an attack, and what is left of it once it is saved with 8 bits a channel."""

from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

from jaxtyping import Float, UInt8
from torch import Tensor

from legato.synthesis.adversarial import (
    LEVELS,
    Aim,
    Logits,
    Pictures,
    eight_bit,
    rounded,
    smallest_epsilon,
    without_gradient,
)
from legato.synthesis.adversarial_plan import Plan, Victim
from legato.values import Image

Attack = Callable[[Logits, Pictures, Aim], Pictures]
HURRIED = 20  # steps of each attack while the smallest ε is sought


class Trick(NamedTuple):
    """A picture, before and after, with 8 bits a channel; both as large as what the network's crop is cut from."""

    before: Image
    after: Image
    change: Float[Tensor, "c l l"]  # in shares of the range of pixels
    worked: bool  # before it was rounded
    inside: bool  # whether it was made for rounded pictures, since one made without did not survive rounding
    seconds: float


def trick(victim: Victim, image: Image, aim: Aim, plan: Plan, attack: Attack) -> Trick:
    """Attack the picture; if rounding to 8 bits undoes it, attack it again with the rounding inside."""
    began = perf_counter()
    x = victim.device.move(victim.task.encode_inputs([image]))
    found = attack(victim.logits, x, aim)
    worked = reached(victim.logits, found, aim, plan)
    saved, inside = rounded(found, x, plan.ball), False
    if worked and not reached(victim.logits, saved, aim, plan):
        again = attack(lambda x: victim.logits(eight_bit(x)), x, aim)
        saved, inside = rounded(again, x, plan.ball), True
    seconds = perf_counter() - began
    before = victim.task.square(image)
    after = with_middle(before, (saved * LEVELS).round().byte().cpu()[0])
    return Trick(
        before=Image(before, image.source),
        after=Image(after, image.source),
        change=(after.double() - before.double()) / LEVELS,
        worked=worked,
        inside=inside,
        seconds=seconds,
    )


def reached(logits: Logits, x: Pictures, aim: Aim, plan: Plan) -> bool:
    return bool(aim.reached(without_gradient(logits, x), plan.confidence).all())


def with_middle(square: UInt8[Tensor, "c l l"], middle: UInt8[Tensor, "c s s"]) -> UInt8[Tensor, "c l l"]:
    """The square with another middle, which is what the network sees of it."""
    size, first = middle.shape[-1], (square.shape[-1] - middle.shape[-1]) // 2
    changed = square.clone()
    changed[:, first : first + size, first : first + size] = middle
    return changed


def smallest(victim: Victim, image: Image, aim: Aim, plan: Plan) -> float:
    """The least ε with which the attack succeeds, without rounding to 8 bits; by bisection, up to the plan's."""
    x = victim.device.move(victim.task.encode_inputs([image]))
    steps = min(plan.steps or HURRIED, HURRIED)

    def succeeds(epsilon: float) -> bool:
        hurried = Plan(plan.how, type(plan.ball)(epsilon), steps, 1, plan.confidence, plan.seed)
        return reached(victim.logits, hurried.attack(victim.logits, x, aim, enough=plan.confidence), aim, plan)

    return smallest_epsilon(succeeds, plan.ball.epsilon)
