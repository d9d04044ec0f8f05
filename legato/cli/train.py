"""legato train [TASK] DATA …: learn, and leave a run folder."""

from dataclasses import fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from legato import api
from legato.cli import arguments, show
from legato.distributed import first
from legato.errors import UsageError
from legato.progress import choose
from legato.recipe import Recipe
from legato.record import to_json
from legato.run import Run
from legato.task import TASKS, lookup


def main(args: list[str]) -> None:
    kind, args = which_task(args)
    options = arguments.parse(options_of(kind), args, "train")
    names = [f.name for c in (kind, Recipe) for f in fields(c) if f.metadata.get("flag", True) and f.name != "data"]
    choices = like(options.like, kind.name) | arguments.given(options, names)
    trained = api.train(
        options.data,
        kind.name,
        options.to,
        device=options.device,
        seeds=options.seeds,
        folds=options.folds,
        show=choose(options.quiet or options.json),
        **choices,
    )
    if not first():
        return
    found = {"run": str(trained.run.folder), **api.best_report(trained.run)}
    if options.json:
        show.as_json(found)
    elif not options.quiet:
        run = trained.run.folder
        print(f"run in {run}: `legato evaluate {run}`, `legato predict {run} FILE`")


def which_task(args: list[str]) -> tuple[type[api.AnyTask], list[str]]:
    """The task named first, or the one the data is for."""
    if args and args[0] in TASKS:
        return TASKS[args[0]], args[1:]
    data = next((a for a in args if not a.startswith("-")), "")
    if not data or "--help" in args or "-h" in args:
        return TASKS["classify"], args
    if not Path(data).exists() and data not in api.BUILT_IN:
        raise UsageError(
            f"{data}: neither a task ({', '.join(TASKS)}) nor a file, a folder or {', '.join(api.BUILT_IN)}"
        )
    return lookup(api.detect_task(data)), args


def options_of(kind: type[api.AnyTask]) -> type[Any]:
    """All flags of this task, of its recipe, and of training itself."""
    flag = lambda text: tyro.conf.arg(help=text)
    return make_dataclass(
        "Train",
        [
            ("data", Annotated[str, tyro.conf.Positional, flag("Folder or file of the data set, or `digits`.")]),
            ("to", Annotated[str, flag("Folder of the run.")], ""),
            ("seeds", Annotated[int, flag("Train so often, with seeds one after another; mean ± sd.")], 1),
            ("folds", Annotated[int, flag("k-fold cross-validation; mean ± sd.")], 1),
            ("device", Annotated[str, flag("cpu, cuda, mps, or auto.")], "auto"),
            ("like", Annotated[str, flag("Choices of this run, where no flag says otherwise.")], ""),
            ("quiet", Annotated[bool, flag("Print nothing but errors.")], False),
            ("json", Annotated[bool, flag("Print one JSON object, and nothing else, on stdout.")], False),
            *arguments.optional_flags(kind, ["data"]),
            *arguments.optional_flags(Recipe),
        ],
        namespace={"__doc__": f"Learn a task from data: {kind.__doc__}"},
    )


def like(folder: str, task: str) -> dict[str, Any]:
    """What another run of this task has chosen."""
    if not folder:
        return {}
    run = Run(folder)
    if run.task().name != task:
        raise UsageError(f"--like {folder}: is a {run.task().name}, not a {task}")
    chosen = {**to_json(run.task()), **to_json(run.recipe())}
    return {k: v for k, v in chosen.items() if k not in ("data", "learnt", "name")}
