"""Train, resume, evaluate, predict: task, training, run and reports joined, for the command line and for Python."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any, get_args, overload

import torch
from torch import nn

from legato import distributed, explain, reports
from legato import tasks as tasks
from legato.data.detect import read
from legato.data.loader import order
from legato.device import Device, choose, use
from legato.errors import DataError, LegatoError, UsageError, nearest
from legato.estimate import estimate
from legato.files import write_text
from legato.moving import brought, maybe_moved, moved
from legato.networks import registry
from legato.networks.describe import Column, Row, lecture_table
from legato.networks.describe import describe as stages_of
from legato.progress import SILENT, Progress
from legato.recipe import Recipe
from legato.run import Run, must_be_free
from legato.task import TASKS, Decoding, Split, Task, lookup
from legato.tasks.published import published_classifier
from legato.training import ALONE, Evaluation, fit, merged
from legato.training import evaluate as evaluate_one
from legato.views import looked_at

AnyTask = Task[Any, Any, Any]


class Ready:
    """A task and a network that answers it, on a device: what `legato.load` gives."""

    def __init__(self, task: AnyTask, network: nn.Module, device: Device) -> None:
        use(device)
        self.task, self.device = task, device
        self.network: nn.Module = device.place(network)

    def predict(self, *sources: str | Path, top: int = 5, views: int = 1) -> list[Any]:
        """An answer for each file; by the mean over several views of it, if there are more."""
        return [answer for _, answer in self.answers([str(s) for s in sources], Decoding(top), views)]

    def answers(
        self, sources: Sequence[str], how: Decoding, views: int = 1, batch_size: int = 32
    ) -> Iterator[tuple[Any, Any]]:
        """(input, answer) for each source, in order; a broken one gives its DataError in place of both."""
        for first in range(0, len(sources), batch_size):
            found = [self.read(source) for source in sources[first : first + batch_size]]
            good = [x for x in found if not isinstance(x, DataError)]
            answers = iter(self.answer(good, how, views) if good else [])
            yield from ((x, x) if isinstance(x, DataError) else (x, next(answers)) for x in found)

    def read(self, source: str) -> Any:
        try:
            return self.task.read_input(source)
        except DataError as error:
            return error

    @torch.no_grad()
    def answer(self, inputs: Sequence[Any], how: Decoding, views: int = 1) -> list[Any]:
        encoded = self.device.move(self.task.encode_inputs(inputs))
        if views > 1:
            outputs = looked_at(self.task, self.network, self.device, inputs, range(len(inputs)), views)
            return self.task.predict(outputs, encoded, how)
        with self.device.autocast():
            outputs, _ = self.task.outputs(self.network, encoded, None)
        return self.task.predict(outputs, encoded, how)

    def explain(
        self,
        source: str | Path = "",
        how: str = "",
        what: str = "",
        stage: str = "",
        channel: int = -1,
        among: str = "train",
    ) -> list[explain.Shown]:
        """Why it answers so about a file, in pictures, by one of the methods of `legato explain RUN --how list`.

        Without a source: a method that looks at the network alone. what, stage, channel: as `legato explain` has them;
        among: where methods that compare look, a split or a folder. Raises UsageError where the method makes no sense.
        """
        if how:
            found = explain.fitting(how, self.task, self.network)
        else:
            found = explain.default(self.task, self.network, needs_input=bool(source))
        if found.needs_input and not source:
            raise UsageError(f"{found.name} explains an answer: name what to answer")
        input = self.task.read_input(str(source)) if found.reads(bool(source)) else None
        others = explain.Among(self.task, among)
        return found.show(explain.Subject(self.task, self.network, self.device, input, what, stage, channel, others))


class Trained(Ready):
    """A run with its network, ready for use: what `legato.train` gives."""

    def __init__(self, run: Run, device: str = "auto") -> None:
        self.run = run
        super().__init__(run.task(), run.network(), choose(device, run.device().precision))

    def evaluate(self, split: Split = "test", data: str | Path = "") -> dict[str, float]:
        """Scores on a split of the run's data, or of other data of the same kind."""
        return evaluate([self.run.folder], split, data, self.device.name)

    def _repr_html_(self) -> str:
        return reports.html_summary(self.run)


def train(
    data: str | Path,
    task: str = "",
    to: str | Path = "",
    *,
    device: str = "auto",
    seeds: int = 1,
    folds: int = 1,
    show: Progress = SILENT,
    **choices: Any,
) -> Trained:
    """Learn from `data`; the folder `to` holds everything about it.

    `choices` are fields of the task (network, size, augmentation, …) and of its Recipe (epochs, lr, …). `seeds` or
    `folds` greater than 1 train as often, in folders inside `to`, and write the mean into summary.json; the first is
    returned. Raises UsageError for unknown names, DataError for data that cannot be used.
    """
    kind = lookup(task or detect_task(str(data)))
    own, recipe = split_choices(kind, choices)
    folder = Path(to or f"runs/{Path(data).resolve().stem}-{kind.name}")
    if min(seeds, folds) < 1 or (seeds > 1 and folds > 1):
        raise UsageError(f"--seeds {seeds} --folds {folds}: one of them, and at least 1")
    if folds > 1 and "fold" not in {f.name for f in fields(kind)}:
        raise UsageError(f"--folds {folds}: {kind.name} has no folds; --seeds trains it several times")
    if folds > 1:
        parts = {f"fold{i + 1}": (own | {"fold": f"{i + 1}/{folds}"}, recipe) for i in range(folds)}
    elif seeds > 1:
        first = int(recipe.get("seed", 0))
        parts = {f"seed{s}": (own, recipe | {"seed": s}) for s in range(first, first + seeds)}
    else:
        return train_one(kind(data=str(data), **own), recipe, folder, device, show)
    trained = {}
    for name, (own, recipe) in parts.items():
        show.say(f"— {name}")
        trained[name] = one_of_several(kind(data=str(data), **own), recipe, folder / name, device, show)
    if distributed.first():
        write_text(folder / "summary.json", json.dumps(summary(trained, show), indent=1))
    return next(iter(trained.values()))


def one_of_several(task: AnyTask, overrides: dict[str, Any], folder: Path, where: str, show: Progress) -> Trained:
    """A training; where it was begun before in just this way, the rest of it."""
    if (folder / "run.json").is_file():
        run, adapted = Run(folder), task.adapt()
        if (run.task(), run.recipe()) == (adapted, replace(adapted.recipe(), **overrides)):
            return resume(folder, show=show)
    return train_one(task, overrides, folder, where, show)


def train_one(task: AnyTask, overrides: dict[str, Any], folder: Path, where: str, show: Progress) -> Trained:
    """One training, from adapting the task to the report."""
    world = distributed.join()
    show = show if world.first else SILENT
    if world.first:
        must_be_free(folder)  # better said before the data are read
    task = task.adapt()
    recipe = replace(task.recipe(), **overrides)
    device = choose(placed(where, world), recipe.precision)
    for line in (*task.about(), decided(recipe, device)):
        show.say(line)
    show.say(estimate(task, recipe, device, folder))
    if world.first:
        Run.begin(folder, task, recipe, device)
    world.wait()
    run = Run(folder)
    learn(run, task, recipe, device, world, show)
    return Trained(run, where)


def placed(where: str, world: distributed.World) -> str:
    """Each process of a machine has a GPU of its own."""
    several = world.size > 1 and where in ("auto", "cuda") and torch.cuda.is_available()
    return f"cuda:{world.local}" if several else where


def learn(
    run: Run, task: AnyTask, recipe: Recipe, device: Device, world: distributed.World = ALONE, show: Progress = SILENT
) -> None:
    """Fit, and whatever happens, report on what there is."""
    try:
        fit(task, recipe, run, device, world, show)
    except BaseException:
        with suppress(Exception):  # what went wrong first is what the user should see
            report(run, task, recipe, device, world, show)
        if task.finishes:  # `resume` takes a run with a summary for finished
            (run.folder / "summary.json").unlink(missing_ok=True)
        raise
    report(run, task, recipe, device, world, show)


def report(
    run: Run, task: AnyTask, recipe: Recipe, device: Device, world: distributed.World = ALONE, show: Progress = SILENT
) -> None:
    """Pictures and numbers on the best weights so far, if there are any."""
    if world.first and (run.folder / "best.safetensors").exists():
        net = device.place(run.network())
        splits = reported_splits(task)
        found: dict[str, Evaluation] = {s: evaluate_one(task, net, s, recipe, device, keep_worst=36) for s in splits}
        show.say(f"report: {reports.write(run, net, found, show, track=recipe.track)}")
    distributed.leave()


def reported_splits(task: AnyTask) -> list[Split]:
    """Validation, on which the best weights were chosen; the test split is read by `evaluate` alone."""
    return ["valid"] if len(task.examples("valid")) else []


def resume(
    folder: str | Path, *, epochs: int = 0, data: str | Path = "", device: str = "", show: Progress = SILENT
) -> Trained:
    """Go on with a training as if it had never stopped; `epochs` makes it longer, which changes its schedule.

    `data`: where its data are now. Raises DataError if they are not the same.
    """
    run = Run(folder)
    if data:
        run.rewrite(task=brought(run.task(), data))
    task, recipe = run.task(), run.recipe()
    chosen_device = run.device()
    if device and device != chosen_device.name:
        show.say(f"was on {chosen_device.name}, now on {device}: not bit-identical to a training that stayed")
        chosen_device = choose(device, recipe.precision)
    at = run.position()
    if epochs and epochs <= at.epoch:
        raise UsageError(f"--epochs {epochs}: {run.folder} has done {at.epoch}; epochs are counted from the beginning")
    if epochs and epochs != recipe.epochs:
        show.say(
            f"{at.epoch} of {recipe.epochs} epochs done, now {epochs}: from here on the learning rate follows the "
            f"schedule of {epochs}, unlike that of a training begun with it"
        )
        recipe = replace(recipe, epochs=epochs)
        run.rewrite(recipe=recipe)
    elif at.epoch >= recipe.epochs and (run.folder / "summary.json").exists():
        show.say(f"{folder} is finished ({recipe.epochs} epochs); --epochs makes it longer")
        return Trained(run, chosen_device.name)
    world = distributed.join()
    with maybe_moved(task, folder):
        learn(run, task, recipe, chosen_device, world, show if world.first else SILENT)
    return Trained(run, chosen_device.name)


@overload
def load(run: str | Path, device: str = "auto") -> Trained: ...
@overload
def load(run: str | Path, device: str = "auto", *, start_from: str) -> Ready: ...
def load(run: str | Path, device: str = "auto", *, start_from: str = "") -> Ready:
    """A run, ready for use; or a network by its name with published weights, `start_from` a file or `imagenet`.

    Raises UsageError for what is neither.
    """
    name = str(run)
    if start_from and Path(name, "run.json").is_file():
        raise UsageError(f"{name}: a run has weights of its own; --start-from goes with the name of a network")
    if start_from:
        return Ready(*published_classifier(name, start_from), choose(device, "fp32"))
    if name in registry.NETWORKS and not Path(name).exists():
        raise UsageError(
            f"{name} is a network without weights: --start-from names a file of them, or `imagenet` to fetch them"
        )
    return Trained(Run(run), device)


@torch.no_grad()
def evaluate(
    runs: Sequence[str | Path],
    split: Split = "test",
    data: str | Path = "",
    device: str = "auto",
    views: int = 1,
    show: Progress = SILENT,
) -> dict[str, float]:
    """Scores of a run on a split; of several runs, those of the mean of their outputs (an ensemble).

    With `views` each example is looked at so many times, mirrored, turned or varied as in training, and the mean counts
    (`Task.view`).
    """
    if not runs:
        raise UsageError("no run to evaluate: name the folder of one, or of several for their ensemble")
    if views < 1:
        raise UsageError(f"--views {views}: must be at least 1")
    members = [Trained(Run(folder), device) for folder in runs]
    tasks = [moved(member.task, data) for member in members]
    with maybe_moved(tasks[0], runs[0]):
        check_ensemble(tasks, runs, split)
    first, recipe = tasks[0], members[0].run.recipe()
    with maybe_moved(first, runs[0]):
        examples = first.examples(split)
    if not len(examples):
        there = [s for s in get_args(Split) if len(first.examples(s))]
        raise DataError(f"{data or first.data}: no {split} split; --split names another: {' or '.join(there)}")
    groups = order(first, split, recipe, 0)
    if data:
        show.say(f"{data}: {sum(map(len, groups)):,} {split} examples")
    show.start(f"evaluate {split}", sum(map(len, groups)))
    if len(members) * views == 1:
        found = evaluate_one(first, members[0].network, split, recipe, members[0].device, show=show)
        show.stop()
        return found.scores
    tally: dict[str, Any] = {}
    for indices in groups:
        outputs = [judged(member, task, split, indices, views) for member, task in zip(members, tasks)]
        _, targets = first.batch(first.examples(split), indices, None)
        tally = merged(tally, first.tally(torch.stack(outputs).mean(0), members[0].device.move(targets)))
        show.advance(len(indices))
    show.stop()
    return first.scores(tally)


def judged(member: Trained, task: AnyTask, split: Split, indices: list[int], views: int) -> torch.Tensor:
    """Outputs of one member for these examples."""
    examples = task.examples(split)
    if views > 1:
        inputs = [examples[i][0] for i in indices]
        return looked_at(task, member.network, member.device, inputs, indices, views)
    inputs, _ = task.batch(examples, indices, None)
    with member.device.autocast():
        outputs = task.outputs(member.network, member.device.move(inputs), None)[0]
    if not isinstance(outputs, torch.Tensor):
        raise UsageError(f"{task.name}: answers that are no numbers have no mean, and make no ensemble")
    return outputs


def check_ensemble(tasks: Sequence[AnyTask], runs: Sequence[str | Path], split: Split) -> None:
    """Raises UsageError unless all answer the same question, and are asked it of the same examples."""
    for task, folder in zip(tasks[1:], runs[1:]):
        if (task.name, task.names) != (tasks[0].name, tasks[0].names):
            raise UsageError(
                f"{folder} answers another question than {runs[0]}: an ensemble needs one task and one list of names"
            )
        if asked_of(task, split) != asked_of(tasks[0], split):
            raise UsageError(f"{folder} and {runs[0]} have other {split} examples: --data says which to judge both on")


def asked_of(task: AnyTask, split: Split) -> tuple[Any, ...]:
    """What decides which examples a split has: the data, the fold where it deals them anew, and how many there are."""
    return Path(task.data).resolve(), split != "test" and getattr(task, "fold", ""), len(task.examples(split))


def predict(run: str | Path, sources: Sequence[str | Path], top: int = 5, device: str = "auto") -> list[Any]:
    """An answer for each file."""
    return load(run, device).predict(*sources, top=top)


def compare(folder: str | Path = "runs") -> list[dict[str, Any]]:
    """A row for each run below a folder."""
    rows = []
    for file in sorted(Path(folder).rglob("run.json")):
        name = {"name": str(file.parent.relative_to(folder))}
        try:
            rows.append({**reports.summary(Run(file.parent)), **name})
        except LegatoError as error:  # the others can still be compared
            rows.append({**name, "error": str(error)})
    return rows


def describe(name: str, classes: int = 0, channels: int = 0, size: int = 0) -> list[Row]:
    """The stages of a registered network, a pattern or a run: shapes, parameters, activations, multiply-adds, …"""
    return stages_of(*named(name, classes, channels, size))


def describe_for_lecture(name: str, classes: int = 0, channels: int = 0, size: int = 0) -> list[Column]:
    """The layers of a network, with parameters without biases and activations as lecture 001 lists them of VGG."""
    net, (c, h, w) = named(name, classes, channels, size)
    return lecture_table(net, (c, h, w))


def named(name: str, classes: int, channels: int, size: int) -> tuple[nn.Module, tuple[int, ...]]:
    """The network of this name, or of this run, and the shape of its pictures; 0 is what it was published with."""
    if Path(name, "run.json").is_file():
        task = Run(name).task()
        return task.build(), task.input_shape
    entry = registry.lookup(name)
    channels, size = channels or entry.channels, size or entry.size or 28
    with torch.device("meta"):  # shapes need no numbers
        return registry.build(name, classes or entry.classes, channels, size), (channels, size, size)


def detect_task(data: str) -> str:
    """The task that data of this format is for. Raises DataError where there is none."""
    for name, kind in TASKS.items():
        if kind.recognises(data):
            return name
    try:
        read(data)  # says what is wrong with it, if it was meant as pictures
    except DataError as error:
        texts = "" if "not found" in str(error) else "; of texts: name the task, legato train TASK DATA"
        raise DataError(f"{error}{texts}") from None
    raise DataError(f"{data}: no task knows what to learn from it; name one: {', '.join(TASKS)}")


def split_choices(kind: type[AnyTask], choices: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Which are the task's, and which the recipe's."""
    own = {f.name for f in fields(kind) if f.metadata.get("flag", True)} - {"data"}
    recipe = {f.name for f in fields(Recipe)}
    for name in choices:
        if name not in own | recipe:
            raise UsageError(f"{kind.name} has no option {name!r}{nearest(name, sorted(own | recipe))}")
    return {k: v for k, v in choices.items() if k in own}, {k: v for k, v in choices.items() if k in recipe}


def decided(recipe: Recipe, device: Device) -> str:
    """How it will be trained."""
    shares = f", {recipe.lr_scale}" if recipe.lr_scale else ""
    return (
        f"{recipe.optimizer}, lr {recipe.lr:g} ({recipe.schedule}{shares}), batch {recipe.batch_size}, "
        f"epochs {recipe.epochs}, {device.precision} on {device.name}, threads {device.threads}, seed {recipe.seed}"
    )


def summary(trained: dict[str, Trained], show: Progress) -> dict[str, dict[str, Any]]:
    """Mean and standard deviation of every validation score over these runs."""
    last = [best_report(t.run) for t in trained.values()]
    table = {}
    for key in (k for k in last[0] if k.startswith("valid/")):
        values = [report[key] for report in last]
        table[key] = {"mean": mean(values), "sd": stdev(values), "values": values}
        if not key.endswith("count"):
            show.say(f"{key}: {mean(values):.4g} ± {stdev(values):.2g} ({len(values)} runs)")
    return table


def best_report(run: Run) -> dict[str, float]:
    """The line of metrics.jsonl whose weights were kept."""
    lines = run.metrics()
    key = next((k for k in lines[-1] if k.startswith("valid/")), None)
    if key is None:  # nothing validates, the last weights are kept
        return lines[-1]
    return max(lines, key=lambda line: line[key])
