"""Data that are not where the run learnt from them, and sizes that make no sense: one line each."""

import json
from pathlib import Path

import pytest

from legato.cli import main
from legato.tasks.language import corpus, numbers


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of one epoch on sea.txt."""
    monkeypatch.chdir(tmp_path)
    Path("sea.txt").write_text("the sea, the sea, the open sea. " * 40)
    assert legato("train language sea.txt --width 8 --depth 1 --window 20 --epochs 1 --to run --quiet") == 0
    return tmp_path


def legato(line: str) -> int:
    """As in a process of its own: nothing that was read is known any more."""
    for read in (corpus, numbers):
        read.cache_clear()
    return main(line.split())


def said(capsys: pytest.CaptureFixture[str]) -> str:
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("legato: ")]
    return line


def test_data_that_have_moved_are_asked_for_and_found_again(read: Path, capsys) -> None:
    Path("sea.txt").rename("ocean.txt")
    for command in ("evaluate run --split valid", "resume run --epochs 2"):
        assert legato(command) == 3
        assert said(capsys) == "legato: sea.txt: not found, the data of run; --data says where they are now"
    assert legato("evaluate run --split valid --data ocean.txt --json") == 0
    before = json.loads(capsys.readouterr().out)["nats_per_character"]
    assert legato("resume run --epochs 2 --data ocean.txt --quiet") == 0
    assert legato("evaluate run --split valid --json") == 0, "where they are now is kept with the run"
    assert json.loads(capsys.readouterr().out)["nats_per_character"] < before


def test_other_data_are_not_taken_for_those_of_the_run(read: Path, capsys) -> None:
    Path("land.txt").write_text("the land, the land, the high land. " * 40)
    kept = Path("run/run.json").read_bytes()
    assert legato("resume run --epochs 2 --data land.txt") == 3
    assert "land.txt: not the data of the run (sea.txt)" in said(capsys)
    assert Path("run/run.json").read_bytes() == kept


@pytest.mark.parametrize(
    ("choice", "least"),
    [("--width -1", 0), ("--depth 0", 1), ("--window 0", 1), ("--vocabulary -5", 0)],
)
def test_sizes_that_make_no_sense_are_refused_before_anything_is_made(
    tmp_path, monkeypatch, capsys, choice, least
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sea.txt").write_text("the sea " * 100)
    assert main(["train", "language", "sea.txt", *choice.split(), "--to", "run"]) == 2
    assert said(capsys) == f"legato: {choice}: must be at least {least}"
    assert not Path("run").exists()


def test_everything_cannot_be_dropped(tmp_path, capsys) -> None:
    file = tmp_path / "reviews.csv"
    file.write_text("text,label\ngood,1\nbad,0\n")
    assert main(["train", "classify_text", str(file), "--dropout", "1.5"]) == 2
    assert said(capsys) == "legato: --dropout 1.5: a share of what is dropped, below 1"
