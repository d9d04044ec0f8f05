"""legato attack RUN …: change pictures by their gradient until the network sees something else."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, Literal

import torch
import tyro

from legato import api, picture
from legato.cli import arguments, attack_split, show
from legato.cli.attack_split import NORMS, distance, levels
from legato.cli.predict import files
from legato.errors import UsageError
from legato.perturb import BALLS, share
from legato.picture.style import percent
from legato.picture.tricked import tricked
from legato.synthesis.adversarial import Aim, apply, universal
from legato.synthesis.adversarial_pictures import Attack as PictureAttack
from legato.synthesis.adversarial_pictures import Trick, smallest, trick
from legato.synthesis.adversarial_plan import How, Plan, Victim
from legato.task import Decoding
from legato.tasks.class_names import class_index
from legato.tasks.classify import Classify
from legato.values import Image

STANDARD = 8 / 255  # ε where nothing is said


@dataclass
class Attack:
    """Change pictures a little, so that a classifier answers otherwise; or measure how well it withstands that."""

    run: tyro.conf.Positional[str]
    """Folder of the run; or a network's name, with --start-from."""
    sources: tyro.conf.Positional[tuple[str, ...]] = ()
    """Picture files, folders, globs. None: the run's own data, for --curve, --transfer and --how universal."""
    target: str = ""
    """Class the network shall see; empty: any other than it sees now."""
    epsilon: str = ""
    """How far pictures may change, pixels in [0, 1]: 8/255, 0.03. Empty: 8/255, in L2 as much on every pixel."""
    how: How = "pgd"
    """pgd, one step (fgsm), iterative, cw (Carlini & Wagner: the nearest in L2), or one change for all (universal)."""
    norm: Literal["linf", "l2"] = "linf"
    """What ε limits: the largest change of any pixel, or the root of the sum of squares."""
    steps: int = 0
    """Of the attack; 0: 40 of pgd, 100 of each search of cw, 10 passes of universal, the paper's of iterative."""
    restarts: int = 1
    """Random starts of pgd."""
    confidence: float = 0.0
    """Least probability of the new answer that counts as success."""
    curve: bool = False
    """Accuracy under attack over ε, on a split of the run's data."""
    points: int = 8
    """Of the curve, beside ε = 0."""
    transfer: str = ""
    """Folder of another run: whether it falls for the same pictures."""
    split: Literal["train", "valid", "test"] = "test"
    """Split for --curve, --transfer and --how universal."""
    count: int = 1000
    """Examples of it, drawn by the seed."""
    start_from: str = ""
    """Weights for a network named instead of a run: a file, or `imagenet` to fetch them."""
    save: str = "attacked"
    """Folder for the pictures."""
    seed: int = 0
    """Of random starts, and of the examples drawn."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    json: bool = False
    """Print one JSON object a picture or curve, and nothing else, on stdout."""
    quiet: bool = False
    """Leave only results."""


def main(args: list[str]) -> None:
    options = arguments.parse(Attack, args, "attack")
    check(options)
    ready = api.load(options.run, options.device, start_from=options.start_from)
    victim = classifier(ready, options.run)
    plan = planned(options, victim)
    target = class_index(options.target, victim.task.names) if options.target else None
    if options.curve:
        attack_split.curve(options, victim, plan)
    elif options.sources:
        pictures(options, ready, victim, plan, target)
    elif options.how == "universal":
        attack_split.one_for_all(options, victim, plan, target)
    elif options.transfer:
        attack_split.transferred(
            options, victim, plan, classifier(api.load(options.transfer, options.device), options.transfer)
        )
    else:
        raise UsageError("legato attack RUN FILE …: name a picture; or --curve, --transfer RUN or --how universal")


def check(options: Attack) -> None:
    """What cannot go together, before anything is loaded."""
    if not 0 <= options.confidence < 1:
        raise UsageError(f"--confidence {options.confidence}: a probability below 1, such as 0.98")
    for name, least in (("steps", 0), ("restarts", 1), ("count", 1), ("points", 1)):
        if getattr(options, name) < least:
            raise UsageError(f"--{name} {getattr(options, name)}: must be at least {least}")
    if options.how == "cw" and options.epsilon:
        raise UsageError("--how cw seeks the nearest picture in L2, however far: leave out --epsilon")
    if options.curve and options.how not in ("pgd", "fgsm", "iterative"):
        raise UsageError(f"--curve with --how {options.how}: has no ε to vary picture by picture; take pgd")
    if options.curve and (options.target or options.sources):
        raise UsageError("--curve attacks the run's own data away from its classes: leave out pictures and --target")


def classifier(ready: api.Ready, name: str) -> Victim:
    if not isinstance(ready.task, Classify):
        raise UsageError(f"{name}: is a {ready.task.name}; attacks are on networks that name one class (classify)")
    return Victim(ready.task, ready.network, ready.device)


def planned(options: Attack, victim: Victim) -> Plan:
    """The attack asked for. Raises UsageError for an ε that is none."""
    norm = "l2" if options.how == "cw" else options.norm
    c, h, w = victim.task.input_shape
    everywhere = sqrt(c * h * w) if norm == "l2" else 1.0  # the L2 norm of 1 on every pixel
    standard = everywhere if options.how == "cw" else STANDARD * everywhere
    epsilon = share(options.epsilon) if options.epsilon else standard
    if not 0 < epsilon <= everywhere:
        hint = f"; {options.epsilon}/255?" if norm == "linf" and epsilon > 1 else ""
        raise UsageError(f"--epsilon {options.epsilon}: between 0 and {everywhere:.4g}, for pixels are in [0, 1]{hint}")
    ball = BALLS[norm](epsilon)
    return Plan(options.how, ball, options.steps, options.restarts, options.confidence, options.seed)


# --- pictures


def pictures(options: Attack, ready: api.Ready, victim: Victim, plan: Plan, target: int | None) -> None:
    """Each picture attacked, saved, read back and judged."""
    other = api.load(options.transfer, options.device) if options.transfer else None
    sources = list(files(options.sources, ready.task))
    images = [victim.task.read_input(source) for source in sources]
    aims = [aimed(victim, image, target, options.target) for image in images]
    change = one_change(victim, images, aims, plan) if options.how == "universal" else None
    for source, image, aim in zip(sources, images, aims):
        if change is None:
            attack: PictureAttack = plan.attack
        else:
            attack = lambda logits, x, aim: apply(change, x, plan.ball)
        done = trick(victim, image, aim, plan, attack)
        tell(options, report(options, ready, victim, plan, source, done, aim, other))


def aimed(victim: Victim, image: Image, target: int | None, wanted: str) -> Aim:
    """Towards the target, or away from the answer. Raises UsageError where the target is the answer."""
    [answer] = victim.says(victim.device.move(victim.task.encode_inputs([image]))).tolist()
    if answer == target:
        raise UsageError(f"{image.source}: is {victim.task.names[answer]!r} already; another --target than {wanted}?")
    classes = torch.tensor([answer if target is None else target], device=victim.device.name)
    return Aim(classes, towards=target is not None)


def one_change(victim: Victim, images: list[Image], aims: list[Aim], plan: Plan) -> torch.Tensor:
    x = victim.device.move(victim.task.encode_inputs(images))
    aim = Aim(torch.cat([aim.classes for aim in aims]), aims[0].towards)
    return universal(victim.logits, x, aim, plan.ball, plan.steps or 40)


def report(
    options: Attack,
    ready: api.Ready,
    victim: Victim,
    plan: Plan,
    source: str,
    done: Trick,
    aim: Aim,
    other: api.Ready | None,
) -> dict[str, Any]:
    """The files written, and what there is to say of them. What counts is the PNG, read back as `predict` reads it."""
    stem = f"{Path(source).stem}-{(options.target or options.how).replace(' ', '_').replace('/', '_')}"
    png, card = (Path(options.save) / f"{stem}{end}.png" for end in ("", "-card"))
    picture.save(picture.pixels(done.after) if len(done.after.pixels) > 1 else grey(done.after), png)
    before, after = ready.answer([done.before, victim.task.read_input(str(png))], Decoding(5))
    wanted = victim.task.names[int(aim.classes)]
    fooled = (after["class"] == wanted) == aim.towards and after["probability"] >= plan.confidence
    found = {
        "file": source,
        "success": fooled,
        "before": before,
        "after": after,
        "target": wanted if aim.towards else None,
        "how": plan.how,
        "norm": options.norm if plan.how != "cw" else "l2",
        "epsilon": None if plan.how == "cw" else plan.ball.epsilon,
        "linf": float(done.change.abs().max()),
        "l2": float(done.change.norm()),
        "without_rounding": done.worked,
        "made_for_8_bits": done.inside,
        "seconds": round(done.seconds, 3),
        "saved": str(png),
        "card": str(card),
    }
    if done.worked and plan.how not in ("cw", "universal"):
        found["smallest_epsilon"] = smallest(victim, done.before, aim, plan)
    if other is not None:
        [answer] = other.answer([other.task.read_input(str(png))], Decoding(5))
        found["transfer"] = {"run": options.transfer, **answer}
    picture.save(drawn(found, done), card)
    return found


def grey(image: Image) -> Any:
    """One channel, which a PNG can hold as it is."""
    return picture.pixels(image).convert("L")


def drawn(found: dict[str, Any], done: Trick) -> Any:
    before, after = found["before"], found["after"]
    title = said(before, after) if found["success"] else f"{before['class']}: not tricked"
    lines = [
        reach(found),
        f"changed: L∞ {levels(found['linf'])}, L2 {found['l2']:.2f}",
    ]
    if "smallest_epsilon" in found:
        lines.append(f"smallest ε that does it: {distance(found['smallest_epsilon'], found['norm'])}")
    scores, tricked_scores = ([(name, p) for name, p in answer["top"]] for answer in (before, after))
    note = "\n".join(lines)
    return tricked(done.before.pixels, done.after.pixels, scores, tricked_scores, found["target"] or "", title, note)


def tell(options: Attack, found: dict[str, Any]) -> None:
    if options.json:
        show.as_json(found)
        return
    print(f"{found['file']}: {said(found['before'], found['after'])}{'' if found['success'] else ': NOT TRICKED'}")
    changed = f"L∞ {levels(found['linf'])}, L2 {found['l2']:.3f}"
    print(f"  {reach(found)}; changed by {changed}; {found['seconds']:.1f} s")
    for line in remarks(found):
        print(f"  {line}")
    print(f"  {found['saved']}, read back; {found['card']}")


def reach(found: dict[str, Any]) -> str:
    """pgd, ε 4/255 in L∞."""
    if found["epsilon"] is None:
        return f"{found['how']}, as near as possible in L2"
    return f"{found['how']}, ε {distance(found['epsilon'], found['norm'])} in {NORMS[found['norm']]}"


def said(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The answers: Egyptian cat 72 % → toaster > 99.9 %."""
    return " → ".join(f"{answer['class']} {percent(answer['probability'])}" for answer in (before, after))


def remarks(found: dict[str, Any]) -> Iterator[str]:
    norm = found["norm"]
    if "smallest_epsilon" in found:
        least = found["smallest_epsilon"]
        below = " (below one level of 8 bits: a PNG needs 1/255)" if norm == "linf" and least < 1 / 255 else ""
        yield f"smallest ε that does it: {distance(least, norm)}{below}"
    if found["made_for_8_bits"]:
        yield "rounding to 8 bits undid the first attack; this one was made for rounded pictures"
    if found["without_rounding"] and not found["success"]:
        yield "it succeeds in floating point only: 8 bits a channel cannot hold it; try a larger --epsilon"
    if not found["without_rounding"]:
        yield "try a larger --epsilon, more --steps or --restarts, or a smaller --confidence"
    if "transfer" in found:
        answer = found["transfer"]
        yield f"{answer['run']} says {answer['class']} {percent(answer['probability'])}"
