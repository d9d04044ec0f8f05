"""A run is a folder: what was tried, how it went, what came of it. JSON and safetensors, never a pickle.

run.json            task with what it has learnt from the data, recipe, device, versions, commit, files given by --with
metrics.jsonl       a line a report; no clock in it, so that equal runs have equal files (timing.jsonl has the clock)
state.safetensors   network, optimiser, carry, position: all that `resume` needs, replaced atomically
best.safetensors    the best weights: beside run.json, all that use needs
"""

import json
import os
import platform
import subprocess
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from legato import __version__, extension
from legato.device import Device
from legato.errors import LegatoError, Notice, UsageError
from legato.files import append, json_lines, read_tensors, write_tensors, write_text
from legato.recipe import Recipe
from legato.record import from_json, to_json
from legato.task import Task, lookup

FILES = {"run.json", "metrics.jsonl", "timing.jsonl", "state.safetensors", "best.safetensors", "report.html"}


class Position(NamedTuple):
    """How far a training is. Everything random or scheduled is a function of this and the recipe."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best: float = float("-inf")  # validation score of the weights in best.safetensors
    stale: int = 0  # epochs since
    drops: int = 0  # times the rate was divided because of that

    def next_batch(self) -> "Position":
        return self._replace(step=self.step + 1, batch=self.batch + 1)

    def next_epoch(self) -> "Position":
        return self._replace(epoch=self.epoch + 1, batch=0)

    def judged(self, score: float, patience: int) -> "Position":
        """After a validation: a new best, or one more epoch without; a drop after `patience` of those."""
        if score > self.best:
            return self._replace(best=score, stale=0)
        stale = self.stale + 1
        return self._replace(stale=stale, drops=self.drops + (patience > 0 and stale % patience == 0))


class Run:
    """The folder of a training. `begin` makes one, `Run(folder)` opens one that is there."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / "run.json").is_file():
            raise UsageError(f"{self.folder} {no_run(self.folder)}")

    @classmethod
    def begin(cls, folder: str | Path, task: Task[Any, Any, Any], recipe: Recipe, device: Device) -> "Run":
        """A new run in an empty or new folder; raises UsageError where something is already, or nothing can be."""
        folder = Path(folder)
        must_be_free(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--to {folder}: cannot be made ({error.strerror}); name another") from None
        about = {
            "task": {"name": task.name, **to_json(task)},
            "recipe": to_json(recipe),
            "device": to_json(device),
            "made_with": made_with(),
            "with": dict(extension.GIVEN),
        }
        write_text(folder / "run.json", json.dumps(about, indent=1, ensure_ascii=False))
        return cls(folder)

    # what was tried
    def about(self) -> dict[str, Any]:
        file = self.folder / "run.json"
        try:
            about = json.loads(file.read_text())
            return {key: about[key] for key in ("task", "recipe", "device", "made_with")} | {
                "with": about.get("with", {})
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LegatoError(f"{file}: damaged ({error}); restore it from a copy, or train again") from None

    def task(self) -> Task[Any, Any, Any]:
        """Raises UsageError where it needs a file of the user's own that is not given, LegatoError where damaged."""
        about = self.about()
        for name in extension.check(about["with"], str(self.folder)):
            warnings.warn(Notice(f"{name} has changed since {self.folder} was made with it"), stacklevel=1)
        fields, where = dict(about["task"]), f"{self.folder / 'run.json'}: task"
        try:
            kind = lookup(str(fields.pop("name", "")))
        except UsageError as error:
            raise LegatoError(f"{where}: {error}") from None
        return from_json(kind, fields, where)

    def recipe(self) -> Recipe:
        return from_json(Recipe, self.about()["recipe"], f"{self.folder / 'run.json'}: recipe")

    def device(self) -> Device:
        return from_json(Device, self.about()["device"], f"{self.folder / 'run.json'}: device")

    def rewrite(self, recipe: Recipe | None = None, task: Task[Any, Any, Any] | None = None) -> None:
        """Replace in run.json the recipe of a run that is extended, or the task of one whose data have moved."""
        about = self.about() | ({"recipe": to_json(recipe)} if recipe else {})
        about |= {"task": {"name": task.name, **to_json(task)}} if task else {}
        write_text(self.folder / "run.json", json.dumps(about, indent=1, ensure_ascii=False))

    # how it went
    def log(self, numbers: Mapping[str, float], clock: Mapping[str, float] | None = None) -> None:
        """A line of metrics.jsonl, and a line of timing.jsonl for what a clock or a thermometer says."""
        append(self.folder / "metrics.jsonl", numbers)
        if clock is not None:
            append(self.folder / "timing.jsonl", {"step": numbers.get("step", 0), **clock, "time": time.time()})

    def keep_specimen(self, at: Position, text: str) -> None:
        """A line of specimens.jsonl: what the network makes by now."""
        append(self.folder / "specimens.jsonl", {"epoch": at.epoch, "step": at.step, "text": text})

    def specimens(self) -> list[dict[str, Any]]:
        """One for each moment it was asked; what was made again after a crash is the same."""
        last = self.position().step
        found = {line["step"]: line for line in json_lines(self.folder / "specimens.jsonl") if line["step"] <= last}
        return [found[step] for step in sorted(found)]

    def metrics(self) -> list[dict[str, float]]:
        """A report an epoch; a last line that a crash has cut short is left out."""
        return json_lines(self.folder / "metrics.jsonl")

    # what came of it
    def checkpoint(
        self, net: nn.Module, optimizer: Optimizer, at: Position, carries: Sequence[Any], sums: Mapping[str, Tensor]
    ) -> None:
        """All of a training in one file, which is either the old one or the new one. `carries`: of each process."""
        names: dict[Any, str] = {p: name for name, p in net.named_parameters()}
        tensors = {f"net/{name}": t for name, t in net.state_dict().items()}
        tensors |= {f"optimizer/{names[p]}/{k}": t for p, state in optimizer.state.items() for k, t in state.items()}
        tensors |= {f"carry{path}": t for path, t in leaves(carries)} | {f"sums/{name}": t for name, t in sums.items()}
        metrics = self.folder / "metrics.jsonl"
        about = {"position": json.dumps(at), "metrics": str(metrics.stat().st_size if metrics.exists() else 0)}
        write_tensors(self.folder / "state.safetensors", tensors, about)

    def restore(self, net: nn.Module, optimizer: Optimizer) -> tuple[Position, Any, dict[str, Tensor]]:
        """Network and optimiser as at the last checkpoint; position, carries and running sums then.

        metrics.jsonl is cut back to that moment. A new run gives Position(), None, {}.
        """
        file = self.folder / "state.safetensors"
        if not file.exists():
            (self.folder / "metrics.jsonl").unlink(missing_ok=True)
            return Position(), None, {}
        tensors, about = read_tensors(file)
        load_weights(net, below(tensors, "net/"), file)
        for name, p in net.named_parameters():
            if state := below(tensors, f"optimizer/{name}/"):
                optimizer.state[p] = {k: like(p, t) for k, t in state.items()}
        metrics = self.folder / "metrics.jsonl"
        if metrics.exists():
            os.truncate(metrics, min(int(about["metrics"]), metrics.stat().st_size))
        return Position(*json.loads(about["position"])), nest(below(tensors, "carry")), below(tensors, "sums/")

    def position(self) -> Position:
        """Where the last checkpoint stands; Position() before the first."""
        file = self.folder / "state.safetensors"
        return (
            Position(*json.loads(read_tensors(file, only_about=True)[1]["position"])) if file.exists() else Position()
        )

    def keep_best(self, weights: Mapping[str, Tensor]) -> None:
        write_tensors(self.folder / "best.safetensors", weights, {})

    def best(self) -> dict[str, Tensor]:
        """The best weights so far. Raises LegatoError where there are none yet."""
        file = self.folder / "best.safetensors"
        if not file.exists():
            raise LegatoError(f"{self.folder}: no trained weights yet; `legato resume {self.folder}` goes on training")
        return read_tensors(file)[0]

    def network(self) -> nn.Module:
        """The best network of this run, ready for use."""
        net: nn.Module = self.task().build()
        load_weights(net, self.best(), self.folder / "best.safetensors")
        return net.eval()


def no_run(folder: Path) -> str:
    """Why this is not the folder of a run, and what to name instead."""
    inside = sorted(file.parent.name for file in folder.glob("*/run.json"))
    if inside:
        return f"holds several runs ({', '.join(inside[:9])}): name one of them, or all for their ensemble"
    there = "holds no run.json" if folder.is_dir() else "is a file" if folder.is_file() else "does not exist"
    return f"{there}: name the folder of a run, as `legato train … --to FOLDER` makes it"


def must_be_free(folder: Path) -> None:
    """Raises UsageError where there is something in the folder already."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if (folder / "run.json").exists():
        raise UsageError(f"{folder} already holds a run: `legato resume {folder}` goes on with it; --to names another")
    what = "holds something else" if folder.is_dir() else "is a file"
    raise UsageError(f"{folder} {what}: name another folder with --to")


def made_with() -> dict[str, str]:
    """Versions, machine and commits, so that a result can be explained years later."""
    own = Path(__file__).parents[1]
    versions = {"legato": __version__, "torch": torch.__version__, "python": platform.python_version()}
    commits = {"commit": commit_of(own) if (own / ".git").exists() else "", "project": commit_of(Path())}
    return versions | {"machine": f"{platform.system()} {platform.machine()}"} | commits


def commit_of(folder: Path) -> str:
    """What is checked out there: of legato, where it runs from a checkout, and of the project one trains in."""
    try:
        command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def load_weights(net: nn.Module, weights: dict[str, Tensor], file: Path) -> None:
    """Raises LegatoError naming the first tensor that does not fit."""
    have, want = {k: t.shape for k, t in weights.items()}, {k: t.shape for k, t in net.state_dict().items()}
    if have != want:
        name = next(k for k in (want | have) if have.get(k) != want.get(k))
        sizes = [tuple(side[name]) if name in side else "missing" for side in (have, want)]
        raise LegatoError(f"{file}: weights of another network: {name} is {sizes[0]} there, {sizes[1]} in run.json's")
    net.load_state_dict(weights)


def below(tensors: Mapping[str, Tensor], head: str) -> dict[str, Tensor]:
    return {k.removeprefix(head): t for k, t in tensors.items() if k.startswith(head)}


def like(p: Tensor, t: Tensor) -> Tensor:
    """Optimiser state in the memory format of its parameter, which fused optimisers walk side by side."""
    return torch.empty_like(p, dtype=t.dtype).copy_(t) if t.shape == p.shape else t.clone()


def leaves(carry: Any, path: str = "") -> list[tuple[str, Tensor]]:
    """((h, c), (h, c)) → /0/0 h, /0/1 c, /1/0 h, /1/1 c."""
    if carry is None:
        return []
    if isinstance(carry, Tensor):
        return [(path, carry)]
    return [leaf for i, part in enumerate(carry) for leaf in leaves(part, f"{path}/{i}")]


def nest(found: dict[str, Tensor]) -> Any:
    """What `leaves` took apart."""
    if not found:
        return None
    if "" in found:
        return found[""]
    firsts = sorted({path.split("/")[1] for path in found}, key=int)
    return tuple(nest({p[len(i) + 1 :]: t for p, t in found.items() if p.split("/")[1] == i}) for i in firsts)
