"""A run folder survives what happens to folders, and says in one line what is wrong with one."""

import json
import resource
import subprocess
from pathlib import Path

import pytest
import torch

from legato.device import Device
from legato.errors import LegatoError, UsageError
from legato.files import write_tensors
from legato.run import Position, Run, leaves, made_with, nest
from legato.training import fit
from tests.toy import Toy

CPU = Device("cpu", "fp32", 1)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    task = Toy()
    run = Run.begin(tmp_path / "run", task, task.recipe(), CPU)
    fit(task, task.recipe(), run, CPU)
    return run


def test_task_and_recipe_come_back_equal(run):
    assert (run.task(), run.recipe(), run.device()) == (Toy(), Toy().recipe(), CPU)


def test_begin_refuses_a_folder_in_use(run, tmp_path):
    with pytest.raises(UsageError, match=r"already holds a run.*legato resume"):
        Run.begin(run.folder, Toy(), Toy().recipe(), CPU)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to_mum.txt").write_text("Dear")
    with pytest.raises(UsageError, match="holds something else"):
        Run.begin(tmp_path / "letters", Toy(), Toy().recipe(), CPU)
    with pytest.raises(UsageError, match="does not exist"):
        Run(tmp_path / "nothing")


def test_truncated_state_is_one_line_that_names_the_file(run):
    file = run.folder / "state.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(LegatoError, match=r"state\.safetensors: damaged") as caught:
        run.position()
    assert "\n" not in str(caught.value)
    (run.folder / "best.safetensors").write_bytes(b"")
    with pytest.raises(LegatoError, match=r"best\.safetensors: damaged"):
        run.network()


def test_damaged_or_foreign_run_json_is_one_line(run):
    about = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text("{")
    with pytest.raises(LegatoError, match=r"run\.json: damaged"):
        run.task()
    about["task"]["name"] = "toi"
    (run.folder / "run.json").write_text(json.dumps(about))
    with pytest.raises(LegatoError, match="no task called 'toi'; did you mean toy"):
        run.task()


def test_weights_of_another_network_are_refused_by_name(run):
    about = json.loads((run.folder / "run.json").read_text())
    about["task"]["width"] = 5
    (run.folder / "run.json").write_text(json.dumps(about))
    with pytest.raises(
        LegatoError, match=r"best\.safetensors: weights of another network: 0\.weight is \(4, 1, 3, 3\)"
    ):
        run.network()


def test_a_full_disk_leaves_the_last_file(tmp_path):
    """A limit on the size of files answers a write as a full disk does: with an error half-way."""
    file = tmp_path / "state.safetensors"
    write_tensors(file, {"a": torch.ones(3)}, {})
    before = file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(LegatoError, match=r"could not be written .*the last one is intact"):
            write_tensors(file, {"a": torch.zeros(1_000_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ["state.safetensors"]


def test_carry_is_taken_apart_and_put_together():
    carry = ((torch.ones(2), torch.zeros(1)), torch.ones(3))
    found = nest(dict(leaves(carry)))
    assert torch.equal(found[0][0], carry[0][0])
    assert torch.equal(found[1], carry[1])
    assert nest(dict(leaves(None))) is None


def test_position_counts_stale_epochs_and_drops():
    at = Position().judged(0.5, 2)
    assert (at.best, at.stale, at.drops) == (0.5, 0, 0)
    at = at.judged(0.5, 2).judged(0.4, 2)
    assert (at.stale, at.drops) == (2, 1)
    assert at.judged(0.6, 2).stale == 0


def test_what_it_was_made_with_names_the_users_commit_and_legatos_own(tmp_path, monkeypatch):
    git = lambda *words: (
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    )
    git("init", "-q")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "mine")
    monkeypatch.chdir(tmp_path)
    found = made_with()
    assert found["project"] == git("rev-parse", "HEAD").strip()
    assert found["commit"] != found["project"]
    monkeypatch.chdir("/")
    assert made_with()["project"] == ""
