"""How a classifier stands attacks on a whole split: its accuracy over ε, one change for all pictures, and transfer."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from legato.draws import generator
from legato.synthesis.adversarial import LEVELS, Aim, Logits, apply, rounded, universal, without_gradient
from legato.synthesis.adversarial_plan import Plan, Victim
from legato.task import Split
from legato.values import Image

BATCH = 250  # examples attacked at a time


class Curve(NamedTuple):
    """Accuracy under attack for each ε, over n examples."""

    epsilons: list[float]
    accuracy: list[float]
    n: int


def robustness(
    logits: Logits,
    batches: Iterable[tuple[Tensor, Tensor]],
    plan: Plan,
    epsilons: Sequence[float],
    advance: Callable[[int], object] = lambda done: None,
) -> Curve:
    """For ascending ε the share of examples that no attack tried, within ε or less, turns from their true class."""
    right, count = [0] * len(epsilons), 0
    for x, y in batches:
        standing = torch.arange(len(x), device=x.device)[without_gradient(logits, x).argmax(1) == y]
        for k, epsilon in enumerate(epsilons):
            if epsilon and len(standing):
                aim = Aim(y[standing])
                found = plan.within(epsilon).attack(logits, x[standing], aim)
                standing = standing[~aim.reached(without_gradient(logits, found))]
            right[k] += len(standing)
        count += len(x)
        advance(len(x))
    return Curve(list(epsilons), [n / count for n in right], count)


def some(victim: Victim, split: Split, count: int, seed: int) -> list[list[int]]:
    """Indices of `count` examples of a split, drawn by the seed, in batches; all of them where there are no more."""
    there = len(victim.task.examples(split))
    chosen = torch.randperm(there, generator=generator(seed, "attacked", split))[:count].sort().values
    return [part.tolist() for part in chosen.split(BATCH)]


def batches(victim: Victim, split: Split, groups: Sequence[list[int]]) -> Iterator[tuple[Tensor, Tensor]]:
    return (victim.batch(split, group) for group in groups)


class Transfer(NamedTuple):
    """Of n examples that both networks get right: how many attacks turn the one attacked, and the other."""

    n: int
    turned: int
    other: int


def transfer(victim: Victim, other: Victim, split: Split, groups: Sequence[list[int]], plan: Plan) -> Transfer:
    """Attack one network, and show the same pictures, with 8 bits a channel, to another one.

    That they are often turned too: Szegedy et al. 2014, "Intriguing properties of neural networks", section 4.2.
    """
    count = turned = carried = 0
    for group in groups:
        x, y = victim.batch(split, group)
        right = (victim.says(x) == y) & (other.says(other.batch(split, group)[0]).to(y.device) == y)
        x, y = x[right], y[right]
        found = rounded(plan.attack(victim.logits, x, Aim(y)), x, plan.ball)
        images = [Image((one * LEVELS).round().byte().cpu()) for one in found]
        shown = other.device.move(other.task.encode_inputs(images)) if images else x
        count, turned = count + len(y), turned + int((victim.says(found) != y).sum())
        carried += int((other.says(shown).to(y.device) != y).sum()) if images else 0
    return Transfer(count, turned, carried)


class Universal(NamedTuple):
    """One change for all pictures, and of n others the share it turns: away from their class, or to the target."""

    change: Tensor  # (1, c, h, w)
    turned: float
    n: int


def universal_change(victim: Victim, plan: Plan, target: int | None, learn: int, count: int, split: Split) -> Universal:
    """Learnt from `learn` training examples, measured on `count` of a split; the target's own pictures do not count."""
    x, y = joined(batches(victim, "train", some(victim, "train", learn, plan.seed)), target)
    aim = Aim(torch.full_like(y, target), towards=True) if target is not None else Aim(y)
    rng = generator(plan.seed, "universal")
    change = universal(victim.logits, x, aim, plan.ball, plan.steps or 10, rng=rng)
    turned = total = 0
    for x, y in batches(victim, split, some(victim, split, count, plan.seed)):
        own = victim.says(x) == y if target is None else y != target
        x, y = x[own], y[own]
        said = victim.says(apply(change, x, plan.ball)) if len(x) else y
        turned += int((said != y).sum() if target is None else (said == target).sum())
        total += len(y)
    return Universal(change, turned / max(1, total), total)


def joined(parts: Iterable[tuple[Tensor, Tensor]], without: int | None) -> tuple[Tensor, Tensor]:
    """All pictures and classes, but for those of one class."""
    xs, ys = zip(*parts)
    x, y = torch.cat(xs), torch.cat(ys)
    return (x, y) if without is None else (x[y != without], y[y != without])
