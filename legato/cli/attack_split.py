"""What `legato attack` does with a split of the run's data: accuracy over ε, transfer, one change for all pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from legato import picture
from legato.cli import show
from legato.errors import DataError, UsageError
from legato.picture.style import percent
from legato.progress import choose
from legato.synthesis.adversarial import apply
from legato.synthesis.adversarial_plan import Plan, Victim
from legato.synthesis.adversarial_robustness import batches, robustness, some, transfer, universal_change
from legato.task import Split

if TYPE_CHECKING:
    from legato.cli.attack import Attack

FEW = 16 / 255  # of the range of pixels: up to there one counts in levels of 8 bits
NORMS = {"linf": "L∞", "l2": "L2"}


def examples(options: "Attack", victim: Victim, split: Split) -> list[list[int]]:
    """Batches of indices. Raises DataError where there are none."""
    if not victim.task.data:
        raise UsageError(f"{options.run}: published weights have no data set; name pictures, or the folder of a run")
    if not len(victim.task.examples(split)):
        raise DataError(f"{victim.task.data}: no {split} split; --split names another")
    return some(victim, split, options.count, options.seed)


def curve(options: "Attack", victim: Victim, plan: Plan) -> None:
    """The accuracy that is left for each ε."""
    groups, progress = examples(options, victim, options.split), choose(options.quiet or options.json)
    epsilons = [plan.ball.epsilon * k / options.points for k in range(options.points + 1)]
    progress.start(f"attack {options.split}", sum(map(len, groups)))
    found = robustness(victim.logits, batches(victim, options.split, groups), plan, epsilons, progress.advance)
    progress.stop()
    file = Path(options.save) / "robustness.png"
    few_levels = options.norm == "linf" and plan.ball.epsilon <= FEW
    scale, unit = (255, "ε, levels of 255") if few_levels else (1, f"ε, {NORMS[options.norm]} of pixels in [0, 1]")
    points = ([scale * epsilon for epsilon in found.epsilons], [100 * a for a in found.accuracy])
    title = f"Accuracy under attack ({strength(plan, NORMS[options.norm])}), n = {found.n:,}"
    picture.save(picture.curves({"": points}, unit, f"accuracy on {options.split}, %", title), file)
    about = {"how": plan.how, "norm": options.norm, "split": options.split, "n": found.n, "seed": options.seed}
    if options.json:
        show.as_json({**about, "epsilons": found.epsilons, "accuracy": found.accuracy, "picture": str(file)})
        return
    text = levels if few_levels else "{:.3g}".format
    rows = [{"epsilon": text(e), "accuracy": percent(a)} for e, a in zip(found.epsilons, found.accuracy)]
    show.table(rows, f"{title}, seed {options.seed}")
    print(file)


def strength(plan: Plan, norm: str) -> str:
    """pgd, L∞, 40 steps, 5 starts."""
    if plan.how != "pgd":
        return f"{plan.how}, {norm}"
    return f"pgd, {norm}, {plan.steps or 40} steps, {plan.restarts} start{'s' * (plan.restarts > 1)}"


def transferred(options: "Attack", victim: Victim, plan: Plan, other: Victim) -> None:
    """How many of the pictures that turn this run turn another one."""
    if other.task.names != victim.task.names:
        raise UsageError(f"{options.transfer}: knows other classes than {options.run}")
    found = transfer(victim, other, options.split, examples(options, victim, options.split), plan)
    if options.json:
        show.as_json({"run": options.run, "other": options.transfer, "epsilon": plan.ball.epsilon, **found._asdict()})
        return
    print(f"of {found.n:,} examples of {options.split} that both get right, attacks on {options.run} turn")
    for name, turned in ((options.run, found.turned), (options.transfer, found.other)):
        print(f"  {name}: {turned:,} ({percent(turned / max(1, found.n))})")


def one_for_all(options: "Attack", victim: Victim, plan: Plan, target: int | None) -> None:
    """One change, learnt from training pictures, and what it does to others."""
    examples(options, victim, options.split), examples(options, victim, "train")
    found = universal_change(victim, plan, target, options.count, options.count, options.split)
    file = Path(options.save) / "universal.png"
    title = f"One change for all: turns {percent(found.turned)} of n = {found.n:,}"
    picture.save(picture.sheet(exhibits(victim, options.split, found.change, plan), 0, title), file)
    if options.json:
        about = {"turned": found.turned, "n": found.n, "target": options.target or None}
        show.as_json({**about, "epsilon": plan.ball.epsilon, "norm": options.norm, "picture": str(file)})
        return
    whither = f"to {options.target}" if options.target else "away from their class"
    within = f"{distance(plan.ball.epsilon, options.norm)} in {NORMS[options.norm]}"
    print(f"one change within {within} turns {percent(found.turned)} {whither}")
    print(f"  n = {found.n:,} of {options.split}, seed {options.seed}; {file}")


def exhibits(victim: Victim, split: Split, change: Tensor, plan: Plan, most: int = 7) -> list[tuple[Tensor, str]]:
    """The change, magnified, and the first pictures of the split with it: what they are → what the network says."""
    first = list(range(min(most, len(victim.task.examples(split)))))
    x, y = victim.batch(split, first)
    x, names = apply(change, x, plan.ball), victim.task.names
    times = 0.5 / max(float(change.abs().max()), 1e-12)
    captions = [f"{names[true]} → {names[said]}" for true, said in zip(y.tolist(), victim.says(x).tolist())]
    return [(0.5 + times * change[0].cpu(), f"× {times:.0f}, grey is none"), *zip(x.cpu(), captions)]


def distance(epsilon: float, norm: str) -> str:
    """As one writes it: in levels of 8 bits where they are few."""
    return levels(epsilon) if norm == "linf" and epsilon <= FEW else f"{epsilon:.3g}"


def levels(change: float) -> str:
    """In levels of 8 bits: 3.2/255."""
    return f"{round(255 * change, 2):g}/255"
