"""Training and measuring, readable from top to bottom. No hooks, no callbacks: what would be one is a line."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from legato.data.loader import Batch, loader, order
from legato.device import Device, each, peak_memory, use
from legato.distributed import World
from legato.draws import seed_from
from legato.errors import LegatoError
from legato.interrupt import Interrupted, interruptible
from legato.layers.fused import fused
from legato.optimization import average, optimizer_of, set_lr, train_mode
from legato.progress import SILENT, Progress
from legato.recipe import Recipe, lr_at
from legato.run import Position, Run
from legato.task import Split, Step, Tally, Task

ALONE = World()


@dataclass
class State:
    """A training between two steps: what a checkpoint holds."""

    net: nn.Module
    optimizer: Optimizer
    at: Position
    carry: Any  # what the last batch left for the next one
    ema: dict[str, Tensor]  # averaged weights, where the recipe asks for them
    losses: dict[str, Tensor]  # sums over the terms of this epoch, and their "weight"

    @property
    def weights(self) -> dict[str, Tensor]:
        """What is evaluated and kept."""
        return self.ema or self.net.state_dict()


def fit(
    task: Task[Any, Any, Any],
    recipe: Recipe,
    run: Run,
    device: Device,
    world: World = ALONE,
    show: Progress = SILENT,
) -> nn.Module:
    """Train to the recipe's end, from wherever `run` stands; the network with its last weights.

    Raises Interrupted after Ctrl-C or SIGTERM, the state saved; LegatoError where a gradient stops being a number,
    the last good state kept.
    """
    state = begun(task, recipe, run, device, world, show)
    net = fused(state.net)  # the same weights, read faster
    wrapped = world.wrap(net)
    groups = order(task, "train", recipe, 0)
    steps = min(recipe.steps or len(groups) * recipe.epochs, len(groups) * recipe.epochs)

    with interruptible() as asked_to_stop:
        while state.at.step < steps and not out_of_patience(recipe, state.at):
            began, first = time.monotonic(), state.at.batch
            show.start(f"epoch {state.at.epoch + 1}/{recipe.epochs}", size(groups), size(groups[:first]))
            train_mode(net)
            for micro_batches in loader(task, "train", recipe, world, state.at.epoch, first):
                seed_from(recipe.seed, "noise", state.at.step, world.rank)  # dropout is a function of the step
                accumulate_gradients(task.during(state.at.step / steps), wrapped, state, micro_batches, device, world)
                norm = nn.utils.clip_grad_norm_(state.net.parameters(), recipe.clip_norm or math.inf)
                if not norm.isfinite():
                    raise not_a_number(run, state, micro_batches)
                set_lr(state.optimizer, lr_at(recipe, state.at.step, steps, state.at.drops))
                state.optimizer.step()
                state.optimizer.zero_grad()
                state.at = state.at.next_batch()
                average(state.ema, state.net, recipe.ema, state.at.step)
                done = world.size * sum(len(batch.indices) for batch in micro_batches)
                show.advance(done, lambda: f"loss {float(state.losses['last']):.4g}")
                due = recipe.checkpoint_every and state.at.step % recipe.checkpoint_every == 0
                stop = world.any(asked_to_stop())
                if due or stop:
                    save(run, state, world)
                if stop:
                    show.stop()
                    raise Interrupted(
                        f"stopped at step {state.at.step}, state saved: `legato resume {run.folder}` goes on"
                    )
                if state.at.step >= steps:
                    break
            show.stop()
            seconds = time.monotonic() - began
            clock = {"seconds": seconds, "examples_per_second": size(groups[first : state.at.batch]) / seconds}
            close_epoch(task, recipe, run, state, device, world, steps, show, clock)
    if state.at.step < steps:
        show.say(f"stopped: {state.at.stale} epochs without a better validation score (--patience {recipe.patience})")
    finish(task, run, device, world, show)
    return state.net


def finish(task: Task[Any, Any, Any], run: Run, device: Device, world: World, show: Progress) -> None:
    """What a task learns after the last epoch goes with the best weights."""
    if task.finishes and world.first:
        show.say(f"{len(task.examples('train')):,} examples once more, for what is learnt after training")
        run.keep_best(dict(task.finish(device.place(run.network())).state_dict()))


def size(groups: Sequence[list[int]]) -> int:
    """Examples in these batches."""
    return sum(map(len, groups))


def begun(task: Task[Any, Any, Any], recipe: Recipe, run: Run, device: Device, world: World, show: Progress) -> State:
    """A training at its beginning, or as at its last checkpoint.

    What a process told its next batch is forgotten where another number of them goes on: nobody's is anybody's then.
    """
    use(device)
    seed_from(recipe.seed, "weights")
    net = device.place(task.build())
    optimizer = optimizer_of(net, recipe)
    at, carries, sums = run.restore(net, optimizer)
    carry = carries[world.rank] if carries and len(carries) == world.size else None
    if at.step == 0 and (said := task.initialise(net)):
        show.say(said)
    if recipe.ema and not sums:
        sums = {f"ema/{name}": t.clone() for name, t in net.state_dict().items()}
    ema = device.move({k.removeprefix("ema/"): t for k, t in sums.items() if k.startswith("ema/")})
    own = f"losses/{world.rank}/"
    losses = {k.removeprefix(own): t for k, t in sums.items() if k.startswith(own)}
    state = State(net, optimizer, at, device.move(carry), ema, losses)
    if at.step == 0:
        keep_specimen(task, run, state)
    return state


def save(run: Run, state: State, world: World) -> None:
    """Every process tells what is its own, its carry and its losses so far; the first writes."""
    carries, losses = world.gather([each(state.carry, Tensor.cpu)]), world.gather([each(state.losses, Tensor.cpu)])
    if world.first:
        sums = {f"ema/{k}": t for k, t in state.ema.items()}
        sums |= {f"losses/{rank}/{k}": t for rank, own in enumerate(losses) for k, t in own.items()}
        run.checkpoint(state.net, state.optimizer, state.at, carries, sums)


def accumulate_gradients(
    task: Task[Any, Any, Any], net: nn.Module, state: State, batches: list[Batch], device: Device, world: World
) -> None:
    """Into every parameter the gradient of the mean over all terms of these micro-batches, of all processes."""
    total, carries = 0.0, state.carry or (None,) * len(batches)  # a micro-batch is told what the same one left before
    left = []
    for batch, carry in zip(batches, carries):
        with device.autocast():
            step = task.loss(net, device.move(batch.inputs), device.move(batch.targets), carry)
        mean = torch.stack([value.float() for value in step.values.values()]).sum()
        (mean * step.weight).backward()  # of a sum over terms: micro-batches need not be of one size
        left.append(each(step.carry, Tensor.detach))
        total += step.weight
        note(state.losses, step, mean)
    state.carry = None if left[0] is None else tuple(left)
    scale = world.size / world.total(total)
    torch._foreach_mul_([p.grad for p in state.net.parameters() if p.grad is not None], scale)


def note(losses: dict[str, Tensor], step: Step, mean: Tensor) -> None:
    """Add a batch's losses to the epoch's sums; nothing is read from the device here."""
    for name, value in step.values.items():
        wide = torch.float32 if value.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
        term = value.detach().to(wide) * step.weight
        losses[f"sum/{name}"] = losses[f"sum/{name}"] + term if f"sum/{name}" in losses else term
    losses["weight"] = losses.get("weight", torch.zeros((), dtype=torch.float64)) + step.weight
    losses["last"] = mean.detach()


def close_epoch(
    task: Task[Any, Any, Any],
    recipe: Recipe,
    run: Run,
    state: State,
    device: Device,
    world: World,
    steps: int,
    show: Progress,
    clock: dict[str, float],
) -> None:
    """Validate, keep the weights if they are the best so far, write the epoch down, save the state."""
    sums = world.sum({k: t.clone() for k, t in state.losses.items() if k != "last"})
    terms = float(sums.pop("weight"))
    report: dict[str, float] = {"epoch": state.at.epoch + 1, "step": state.at.step}
    report |= {"lr": lr_at(recipe, state.at.step - 1, steps, state.at.drops)}
    report |= {k.replace("sum/", "train/"): float(t) / terms for k, t in sums.items()}
    state.at, state.carry, state.losses = state.at.next_epoch(), None, {}
    improved = True
    if len(task.examples("valid")):
        with swapped(state.net, state.weights):
            scores = evaluate(task, state.net, "valid", recipe, device, world, trial=True).scores
        report |= {f"valid/{task.trial_name}{name}": value for name, value in scores.items()}
        state.at = state.at.judged(next(iter(scores.values())), recipe.patience)
        improved = state.at.stale == 0
    if world.first:
        if improved:
            run.keep_best(state.weights)
        run.log(report, clock | {"memory_bytes": peak_memory()})
        keep_specimen(task, run, state)
    save(run, state, world)
    world.wait()
    show.say(line_of(report, clock["seconds"]))


def keep_specimen(task: Task[Any, Any, Any], run: Run, state: State) -> None:
    """What the network makes by now, where its task makes anything."""
    with swapped(state.net, state.weights):
        if made := task.specimen(state.net):
            run.keep_specimen(state.at, made)


def out_of_patience(recipe: Recipe, at: Position) -> bool:
    return recipe.patience > 0 and recipe.schedule != "plateau" and at.stale >= recipe.patience


class Evaluation(NamedTuple):
    """How good a network is on a split: scores, the sums they come from, and the examples it is worst at."""

    scores: dict[str, float]
    tally: Tally
    worst: list[tuple[float, int]]  # (badness, index of the example), worst first


@torch.no_grad()
def evaluate(
    task: Task[Any, Any, Any],
    net: nn.Module,
    split: Split,
    recipe: Recipe,
    device: Device,
    world: World = ALONE,
    keep_worst: int = 0,
    show: Progress = SILENT,
    trial: bool = False,
) -> Evaluation:
    """One pass over a split, each example once, in every process the same result; `trial`: of harder inputs, if the
    task trains on such."""
    net.eval()
    if len(task.examples(split)) < world.size:  # every process needs an example to have something to add
        world = ALONE
    tally: Tally = {}
    worst: list[tuple[float, int]] = []
    carry = None
    for [*batches] in loader(task, split, recipe, world):
        for batch in batches:
            inputs, targets = device.move(batch.inputs), device.move(batch.targets)
            with device.autocast():
                inputs = task.trial(net, inputs, targets) if trial else inputs
                outputs, carry = task.outputs(net, inputs, carry)
            tally = merged(tally, task.tally(outputs, targets))
            if keep_worst and (bad := task.badness(outputs, targets)) is not None:
                worst = sorted([*worst, *zip(bad.tolist(), batch.indices)], reverse=True)[:keep_worst]
        show.advance(world.size * sum(len(batch.indices) for batch in batches))
    tally = world.sum(tally)
    worst = sorted(map(tuple, world.gather(worst)), reverse=True)[:keep_worst]
    return Evaluation(task.scores(tally), tally, worst)


def merged(a: Tally, b: Tally) -> Tally:
    return {k: a[k] + b[k] for k in a} if a else b


@contextmanager
def swapped(net: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """The network with other weights for a while."""
    own = net.state_dict()
    if all(weights[k] is own[k] or weights[k].data_ptr() == own[k].data_ptr() for k in own):
        yield
        return
    kept = {k: v.clone() for k, v in own.items()}
    net.load_state_dict(weights)
    try:
        yield
    finally:
        net.load_state_dict(kept)


def not_a_number(run: Run, state: State, batches: list[Batch]) -> LegatoError:
    """Where the gradient stopped being one."""
    examples = [i for batch in batches for i in batch.indices]
    saved = run.position().step
    kept = f"the state of step {saved} is kept in {run.folder}" if saved else "nothing had been saved yet"
    return LegatoError(
        f"gradient is not a number at step {state.at.step}, epoch {state.at.epoch + 1} (loss "
        f"{float(state.losses['last']):.4g}, examples {', '.join(map(str, examples[:4]))}, …); {kept}; "
        "try a smaller --lr, or --clip-norm 1"
    )


def line_of(report: Mapping[str, float], seconds: float) -> str:
    """The losses, and the first two validation scores; metrics.jsonl has them all."""
    losses = [f"{name} {value:.4g}" for name, value in report.items() if name.startswith("train/")]
    scores = [f"{name} {value:.4g}" for name, value in report.items() if name.startswith("valid/")]
    return "  ".join([f"epoch {report['epoch']:3.0f}", *losses, *scores[:2], f"{seconds:.1f} s"])
