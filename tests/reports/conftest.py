"""Trained runs, each made once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from legato import reports
from legato.device import Device
from legato.run import Run
from legato.task import Task
from legato.training import Evaluation, evaluate, fit
from tests.reports.fakes import Levels, Marks, Squares, Words

CPU = Device("cpu", "fp32", 1)


@dataclass(frozen=True)
class Made:
    """A trained run and the report that was written of it."""

    run: Run
    net: nn.Module
    evaluations: dict[str, Evaluation]
    page: str

    @property
    def task(self) -> Task[Any, Any, Any]:
        return self.run.task()


def make(folder: Path, kind: type[Squares]) -> Made:
    task = kind("some/data").adapt()
    run = Run.begin(folder, task, task.recipe(), CPU)
    fit(task, task.recipe(), run, CPU)
    net = run.network()
    found = {split: evaluate(task, net, split, task.recipe(), CPU, keep_worst=10) for split in ("valid", "test")}
    return Made(run, net, found, reports.write(run, net, found).read_text())


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    done: dict[str, Made] = {}
    kinds = {kind.name: kind for kind in (Squares, Marks, Levels, Words)}

    def get(name: str) -> Made:
        if name not in done:
            done[name] = make(tmp_path_factory.mktemp("runs") / f"{name} & <co>", kinds[name])
        return done[name]

    return get
