"""Exact resume, micro-batches, several processes, faults: the promises of training, each tested to the bit."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from legato.device import Device, each
from legato.distributed import World
from legato.errors import LegatoError
from legato.progress import SILENT
from legato.recipe import Recipe
from legato.run import Run
from legato.tasks.language import Language
from legato.training import Interrupted, begun, evaluate, fit, save
from tests.toy import Toy

CPU = Device("cpu", "fp32", 1)


def trained(folder: Path, task: Toy, recipe: Recipe) -> dict[str, torch.Tensor]:
    fit(task, recipe, Run.begin(folder, task, recipe, CPU), CPU)
    return load_file(folder / "state.safetensors")


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [k for k in a if not torch.equal(a[k], b[k])] == []


def test_it_learns(tmp_path):
    task = Toy(count=96)
    recipe = replace(task.recipe(), epochs=8)
    run = Run.begin(tmp_path / "run", task, recipe, CPU)
    fit(task, recipe, run, CPU)
    assert evaluate(task, run.network(), "test", recipe, CPU).scores["accuracy"] > 0.9


def test_one_step_of_sgd_equals_the_formula(tmp_path):
    task = Toy(dropout=0.0, count=10)
    recipe = Recipe(epochs=1, batch_size=10, optimizer="sgd", momentum=0.0, lr=0.1, warmup=0.0, schedule="constant")
    recipe = replace(recipe, precision="fp32", workers=0)
    state = trained(tmp_path / "run", task, recipe)

    from legato.data.loader import loader
    from legato.draws import seed_from

    seed_from(0, "weights")
    net = task.build()
    [[batch]] = loader(task, "train", recipe, World())
    F.cross_entropy(net(batch.inputs), batch.targets).backward()
    for name, p in net.named_parameters():
        torch.testing.assert_close(state[f"net/{name}"], p.detach() - 0.1 * p.grad)


@pytest.mark.parametrize("stop", [1, 4, 5, 7, 11])
def test_interrupted_and_resumed_equals_undisturbed(tmp_path, monkeypatch, stop):
    task = Toy()
    recipe = task.recipe()
    whole = trained(tmp_path / "whole", task, recipe)

    run = Run.begin(tmp_path / "parts", task, recipe, CPU)
    steps = iter(range(1, 100))
    real = torch.optim.AdamW.step

    def step_then_ctrl_c(self, closure=None):
        if next(steps) == stop:
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, closure)

    monkeypatch.setattr(torch.optim.AdamW, "step", step_then_ctrl_c)
    with pytest.raises(Interrupted, match="legato resume"):
        fit(task, recipe, run, CPU)
    assert run.position().step == stop
    monkeypatch.undo()
    fit(task, run.recipe(), Run(run.folder), CPU)
    assert_same(load_file(run.folder / "state.safetensors"), whole)
    for file in ("metrics.jsonl", "best.safetensors"):
        assert (run.folder / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_workers_change_nothing(tmp_path):
    task = Toy()
    assert_same(
        trained(tmp_path / "0", task, replace(task.recipe(), workers=0)),
        trained(tmp_path / "2", task, replace(task.recipe(), workers=2)),
    )


def test_micro_batches_make_the_same_gradient(tmp_path):
    task = Toy(dropout=0.0)  # no batch norm, whose statistics are a micro-batch's own
    recipe = replace(task.recipe(), optimizer="sgd", ema=0.0)
    whole = trained(tmp_path / "1", task, recipe)
    parts = trained(tmp_path / "3", task, replace(recipe, accumulate=3))  # 10 = 4 + 3 + 3: ragged
    for name in whole:
        torch.testing.assert_close(whole[name], parts[name], rtol=1e-4, atol=1e-6)


def test_two_processes_equal_one(tmp_path):
    task = Toy(dropout=0.0)
    recipe = replace(task.recipe(), optimizer="sgd", ema=0.0)
    alone = trained(tmp_path / "alone", task, recipe)
    script = tmp_path / "two.py"
    script.write_text(
        "import sys\nfrom legato.distributed import join, leave\nfrom legato.run import Run\n"
        "from legato.training import fit\n"
        "import tests.toy\nworld = join()\nrun = Run(sys.argv[1])\n"
        "fit(run.task(), run.recipe(), run, run.device(), world)\nleave()\n"
    )
    run = Run.begin(tmp_path / "two", task, recipe, CPU)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([*command, script, run.folder], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    together = load_file(run.folder / "state.safetensors")
    for name in alone:
        torch.testing.assert_close(alone[name], together[name], rtol=1e-4, atol=1e-6)
    assert run.metrics()[-1].keys() == Run(tmp_path / "alone").metrics()[-1].keys()


def test_each_process_gets_back_what_it_was_told(tmp_path):
    task = Toy()
    run = Run.begin(tmp_path / "run", task, task.recipe(), CPU)

    class Second(World):
        """The first of two, with the other's part at hand."""

        def gather(self, thing):
            return [*thing, each(thing[0], lambda t: t + 1)]

    state = begun(task, task.recipe(), run, CPU, World(), SILENT)
    state.carry, state.losses = ((torch.zeros(2), torch.ones(3)),), {"sum/class": torch.tensor(5.0)}
    state.at = state.at.next_batch()
    save(run, state, Second())
    for rank in (0, 1):
        found = begun(task, task.recipe(), run, CPU, World(rank, 2), SILENT)
        [(h, c)] = found.carry
        assert (h.tolist(), c.tolist()) == ([rank] * 2, [1 + rank] * 3)
        assert found.losses["sum/class"] == 5 + rank
    assert begun(task, task.recipe(), run, CPU, World(), SILENT).carry is None  # alone now: another cut of the batch


@pytest.mark.slow
def test_two_processes_that_carry_a_state_are_killed_and_go_on_as_if_undisturbed(tmp_path):
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
    task = Language(str(tmp_path / "text.txt"), width=16, depth=1, window=8).adapt()
    recipe = replace(task.recipe(), epochs=2, batch_size=4, precision="fp32", checkpoint_every=5)
    script = tmp_path / "two.py"
    script.write_text(
        "import os, sys\nfrom legato.distributed import join, leave\nfrom legato.run import Run\n"
        "from legato.training import fit\nimport legato.training as training\nimport legato.tasks\n"
        "import legato.tasks.language\nworld = join()\nrun = Run(sys.argv[1])\nreal = training.save\n"
        "def save(run, state, world):\n"
        "    real(run, state, world)\n"
        "    world.wait()\n"
        "    if sys.argv[2] == 'kill' and state.at.step == 10:\n"
        "        os._exit(9)\n"
        "training.save = save\n"
        "fit(run.task(), run.recipe(), run, run.device(), world)\nleave()\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}

    def started(folder: Path, how: str) -> int:
        words = [*command, script, folder, how]
        return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120).returncode

    whole, parts = (Run.begin(tmp_path / name, task, recipe, CPU) for name in ("whole", "parts"))
    assert started(whole.folder, "") == 0
    assert started(parts.folder, "kill") != 0
    assert parts.position().step == 10
    assert any(name.startswith("carry/1") for name in load_file(parts.folder / "state.safetensors"))
    assert started(parts.folder, "") == 0
    assert_same(load_file(parts.folder / "state.safetensors"), load_file(whole.folder / "state.safetensors"))
    assert (parts.folder / "metrics.jsonl").read_bytes() == (whole.folder / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("workers", [0, 2])
def test_kill_9_at_three_moments_then_resume_equals_undisturbed(tmp_path, workers):
    assert killed_and_resumed(tmp_path, workers, [0.05, 0.2, 0.4]) > 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_kill_9_at_twenty_moments_then_resume_equals_undisturbed(tmp_path, workers):
    moments = np.random.default_rng(workers).uniform(0.0, 0.3, 20).tolist()
    assert killed_and_resumed(tmp_path, workers, moments, epochs=40) >= 15


def killed_and_resumed(folder: Path, workers: int, moments: list[float], epochs: int = 3) -> int:
    """A training killed so many seconds after it goes on, each time; how often that hit. It ends as if undisturbed."""
    task = Toy(count=400)
    recipe = replace(task.recipe(), workers=workers, epochs=epochs, checkpoint_every=7)
    whole = trained(folder / "whole", task, recipe)
    run = Run.begin(folder / "killed", task, recipe, CPU)
    script = (
        "import sys\nfrom legato.run import Run\nfrom legato.training import fit\nimport tests.toy\n"
        "run = Run(sys.argv[1])\nprint('ready', flush=True)\nfit(run.task(), run.recipe(), run, run.device())\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    kills = 0
    for moment in [*moments, None]:
        with subprocess.Popen(
            [sys.executable, "-c", script, run.folder], env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            if moment is None:
                assert process.wait(timeout=60) == 0
            else:
                time.sleep(moment)
                process.send_signal(signal.SIGKILL)
                kills += process.wait() == -signal.SIGKILL
    assert_same(load_file(run.folder / "state.safetensors"), whole)
    assert (run.folder / "metrics.jsonl").read_bytes() == (folder / "whole" / "metrics.jsonl").read_bytes()
    return kills


def test_a_gradient_that_is_no_number_stops_and_keeps_the_last_state(tmp_path):
    task = Toy()
    recipe = replace(task.recipe(), epochs=1)
    trained(tmp_path / "run", task, recipe)
    before = (tmp_path / "run" / "state.safetensors").read_bytes()
    with pytest.raises(LegatoError, match=r"not a number at step 5, epoch 2 .*--lr"):
        fit(Toy(explode_at=1e39), replace(recipe, epochs=2), Run(tmp_path / "run"), CPU)
    assert (tmp_path / "run" / "state.safetensors").read_bytes() == before


def test_patience_ends_training_early(tmp_path):
    task = Toy()
    recipe = replace(task.recipe(), epochs=50, lr=1e-9, patience=2)
    trained(tmp_path / "run", task, recipe)
    assert len(Run(tmp_path / "run").metrics()) < 50
