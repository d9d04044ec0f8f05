"""legato train [TASK] DATA …: learn, and leave a run folder."""

import json
from dataclasses import dataclass, fields, make_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import tyro

from legato import api
from legato.cli import arguments, show
from legato.distributed import first
from legato.errors import UsageError, nearest
from legato.moving import BUILT_IN
from legato.progress import choose
from legato.recipe import Recipe
from legato.run import Run
from legato.task import TASKS, lookup
from legato.values import Text


@dataclass
class Training:
    """What is no choice of the task or its recipe."""

    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")] = ""
    """Folder or file of the data set, or `digits`; may be left out with --like."""
    to: str = ""
    """Folder of the run; empty: runs/DATA-TASK."""
    seeds: int = 1
    """Train so often, with seeds one after another; mean ± sd."""
    folds: int = 1
    """k-fold cross-validation; mean ± sd."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    like: str = ""
    """A run whose task, data and choices are taken, where nothing here says otherwise."""
    quiet: bool = False
    """Print nothing but errors."""
    json: bool = False
    """Print one JSON object, and nothing else, on stdout."""


def main(args: list[str]) -> None:
    kind, args = which_task(args)
    options = arguments.parse(options_of(kind), args, "train")
    names = [f.name for c in (kind, Recipe) for f in fields(c) if f.metadata.get("flag", True) and f.name != "data"]
    data, choices = like(options.like, kind) if options.like else ("", {})
    if not (options.data or data):
        raise UsageError("no data: legato train [TASK] DATA, a folder or a file; or --like RUN, to repeat one")
    trained = api.train(
        options.data or data,
        kind.name,
        options.to,
        device=options.device,
        seeds=options.seeds,
        folds=options.folds,
        show=choose(options.quiet or options.json),
        **choices | arguments.given(options, args, names),
    )
    if first():
        report(trained.run, options)


def report(run: Run, options: Any) -> None:
    """The best scores as JSON; or what to do next."""
    folder, several = run.folder, max(options.seeds, options.folds) > 1
    if several:
        folder = folder.parent
    if options.json and several:
        show.as_json({"run": str(folder), **json.loads((folder / "summary.json").read_text())})
    elif options.json:
        show.as_json({"run": str(folder), **api.best_report(run)})
    elif not options.quiet and several:
        print(
            f"runs in {folder}: `legato runs {folder}` compares them, `legato evaluate {folder}/*/` is their ensemble"
        )
    elif not options.quiet:
        print(f"run in {folder}: {what_next(run)}")


def what_next(run: Run) -> str:
    """The commands that make sense of a run: a split there is to judge it on, and what it is asked for."""
    task = run.task()
    judged = next(split for split in ("test", "valid", "train") if len(task.examples(split)))
    split = "" if judged == "test" else f" --split {judged}"
    asked = '"a sentence"' if Text in task.takes else "FILE"
    use = f"sample {run.folder}" if task.name == "language" else f"predict {run.folder} {asked}"
    return f"`legato evaluate {run.folder}{split}`, `legato {use}`"


def which_task(args: list[str]) -> tuple[type[api.AnyTask], list[str]]:
    """The task named first, that of the run to be like, or the one the data is for."""
    if args and args[0] in TASKS:
        return TASKS[args[0]], args[1:]
    switches = {"--help"}.union(*(arguments.switches(kind) for kind in (Training, Recipe, *TASKS.values())))
    data = arguments.positional(args, switches)
    if not data and (model := value_of("--like", args)):
        return type(Run(model).task()), args
    if not data or "--help" in args or "-h" in args:
        return TASKS["classify"], args
    if not Path(data).exists() and data not in BUILT_IN:
        beside = [str(p) for p in Path(data).parent.glob("*")] if Path(data).parent.is_dir() else []
        near = nearest(data, [*TASKS, *BUILT_IN, *beside])
        known = near if "did you mean" in near else f"; tasks are {', '.join(TASKS)}"
        raise UsageError(f"{data}: neither a task nor a file, a folder or {', '.join(BUILT_IN)}{known}")
    return lookup(api.detect_task(data)), args


def value_of(flag: str, args: list[str]) -> str:
    """What follows a flag, as `--like RUN` or `--like=RUN`."""
    found = "".join(arg.partition("=")[2] for arg in args if arg.startswith(f"{flag}="))
    return found or next((value for arg, value in pairwise(args) if arg == flag), "")


def options_of(kind: type[api.AnyTask]) -> type[Any]:
    """All flags of this task, of its recipe, and of training itself."""
    return make_dataclass(
        "Train",
        [
            *arguments.as_flags(kind, ["data"]),
            *arguments.as_flags(Recipe, default="(recommended)"),
        ],
        bases=(Training,),
        namespace={
            "__doc__": f"{(kind.__doc__ or '').strip()} `legato train TASK --help` shows the choices of another task; "
            "what is marked as recommended depends on network and data, and is said before training begins."
        },
    )


def like(folder: str, kind: type[api.AnyTask]) -> tuple[str, dict[str, Any]]:
    """The data of another run of this task, and what it has chosen."""
    task, recipe = Run(folder).task(), Run(folder).recipe()
    if not isinstance(task, kind):
        raise UsageError(f"--like {folder}: is a run of {task.name}, not of {kind.name}")
    own = {f.name: getattr(task, f.name) for f in fields(task) if f.metadata.get("flag", True)}
    return own.pop("data"), own | {f.name: getattr(recipe, f.name) for f in fields(recipe)}
