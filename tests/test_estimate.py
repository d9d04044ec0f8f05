"""What a training will cost: against what it then keeps, and against what there is."""

import re
from collections import namedtuple
from dataclasses import replace

import pytest

from legato.data.loader import order
from legato.device import Device
from legato.errors import UsageError
from legato.estimate import duration, estimate, size
from legato.run import Run
from legato.training import fit
from tests.toy import Toy

CPU = Device("cpu", "fp32", 1)


def test_steps_are_those_that_are_done_and_disk_is_not_exceeded(tmp_path):
    task = Toy(width=2000)  # 0.9 MB
    recipe = replace(task.recipe(), steps=7)
    line = estimate(task, recipe, CPU, tmp_path)
    assert "for 7 steps" in line
    run = Run.begin(tmp_path / "run", task, recipe, CPU)
    fit(task, recipe, run, CPU)
    assert run.position().step == 7
    kept = sum(file.stat().st_size for file in run.folder.iterdir())
    told = float(re.search(r"([\d.]+) MB of disk", line)[1]) * 1e6
    assert kept <= told < 3 * kept


def test_what_is_remembered_costs_once(tmp_path, monkeypatch):
    """A step on a batch not seen before takes 6,000 s, the same again 600: the first epoch's, and the others'."""
    task = Toy()
    took = iter([10_000.0, 6000.0, 600.0])
    monkeypatch.setattr("legato.estimate.step", lambda *about: next(took))
    recipe = replace(task.recipe(), epochs=3, batch_size=len(task.examples("train")) // 2, accumulate=1)
    batches = len(order(task, "train", recipe, 0))
    hours = (batches * 6000 + 2 * batches * 600) / 3600
    assert f"about {hours:.1f} h for {3 * batches} steps" in estimate(task, recipe, CPU, tmp_path)


def test_a_disk_too_small_is_said_beforehand(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1000))
    assert "--to names another place" in estimate(Toy(), Toy().recipe(), CPU, tmp_path / "not" / "yet" / "there")


def test_stages_the_recipe_names_must_exist(tmp_path):
    with pytest.raises(UsageError, match="--lr-scale"):
        estimate(Toy(), replace(Toy().recipe(), lr_scale="conv9=0.1"), CPU, tmp_path)


@pytest.mark.parametrize(("seconds", "told"), [(0.01, "a second"), (42, "42 s"), (300, "5 min"), (7200, "2.0 h")])
def test_durations(seconds, told):
    assert duration(seconds) == told


@pytest.mark.parametrize(("count", "told"), [(0, "1 MB"), (5_300_000, "5 MB"), (3 * 2**30, "3.0 GiB")])
def test_sizes(count, told):
    assert size(count) == told
