"""The command line as a user types it: verbs, JSON and nothing else on stdout, one line and a code for mistakes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from safetensors.torch import load_file

from legato.cli import VERBS, main
from legato.run import Run

FAST = ["--epochs", "2", "--network", "lenet5", "--quiet", "--precision", "fp32"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert main(["train", "digits", "--to", str(folder), *FAST]) == 0
    return folder


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("photos") / "seven.png"
    strokes = np.zeros((28, 28), np.uint8)
    strokes[5:8, 6:22] = strokes[5:24, 19:22] = 255
    PIL.Image.fromarray(strokes).save(file)
    return file


def test_help_needs_no_torch_and_names_every_verb():
    code = "import sys\nfrom legato.cli import main\nmain(['--help'])\n"
    code += "assert not {'torch', 'numpy', 'tyro'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(f"  {verb} " in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as left:
        main([verb, "--help"])
    assert left.value.code == 0
    assert f"legato {verb}" in capsys.readouterr().out


def test_a_run_holds_its_report_unasked(run):
    there = {p.name for p in run.iterdir()}
    assert {"run.json", "metrics.jsonl", "best.safetensors", "state.safetensors", "report.html", "pictures"} <= there
    page = (run / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_evaluate_json_is_one_object_and_nothing_else(run, capsys):
    assert main(["evaluate", str(run), "--split", "test", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["errors"] == round((1 - found["accuracy"]) * found["count"])
    assert found["accuracy"] > 0.5  # two epochs


def test_an_ensemble_of_one_run_twice_is_that_run(run, capsys):
    main(["evaluate", str(run), "--json"])
    alone = json.loads(capsys.readouterr().out)
    main(["evaluate", str(run), str(run), "--json"])
    assert json.loads(capsys.readouterr().out) == pytest.approx(alone)


def test_predict_reads_files_folders_globs_and_stdin(run, photo, capsys, monkeypatch, tmp_path):
    for sources in ([photo], [photo.parent], [str(photo.parent / "*.png")]):
        assert main(["predict", str(run), *map(str, sources), "--json"]) == 0
        [line] = capsys.readouterr().out.splitlines()
        answer = json.loads(line)
        assert answer["file"] == str(photo)
        assert sum(p for _, p in answer["top"]) <= 1.001
    monkeypatch.setattr("sys.stdin", [f"{photo}\n"])
    assert main(["predict", str(run), "-", "--save", str(tmp_path)]) == 0
    assert (tmp_path / "seven.png").exists()


def test_one_broken_file_among_others_is_told_and_the_others_answered(run, photo, tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_text("not a picture")
    assert main(["predict", str(run), str(broken), str(photo), "--json"]) == 3
    out = capsys.readouterr()
    assert [json.loads(line)["file"] for line in out.out.splitlines()] == [str(photo)]
    assert str(broken) in out.err


def test_describe_and_list_json(capsys):
    assert main(["describe", "vgg16", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["params"] == 138_357_544  # Simonyan & Zisserman 2014, counted
    assert set(found["stages"][0]) >= {"name", "shape", "params", "activations", "macs", "receptive_field"}
    assert main(["list", "networks", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["googlenet"]["params"] == 6_998_552


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["trian", "x"], 2, "did you mean train"),
        (["train", "digits", "--eposch", "3"], 2, "did you mean --epochs"),
        (["train", "digits", "--network", "lenet6"], 2, "did you mean lenet5"),
        (["train", "digits", "--network", "lenet5", "--freeze", "conv9"], 2, "did you mean conv"),
        (["train", "no_such_folder"], 2, "no_such_folder"),
        (["evaluate", "no_such_run"], 2, "does not exist"),
        (["describe", "vgg61"], 2, "did you mean vgg"),
        (["train", "digits", "--device", "cuda:7"], 2, "not on this machine"),
    ],
)
def test_mistakes_are_one_line_with_the_documented_exit_code(args, code, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(args) == code
    err = capsys.readouterr().err.strip().splitlines()
    assert message in err[-1]
    assert len([line for line in err if line.startswith("legato:")]) == 1
    assert list(tmp_path.rglob("run.json")) == []


def test_sigterm_saves_and_resume_ends_as_if_nothing_had_happened(tmp_path):
    def start(verb: list[str]) -> subprocess.Popen:
        command = [sys.executable, "-m", "legato", *verb]
        return subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}, text=True)

    def done(process: subprocess.Popen) -> tuple[int, str]:
        _, err = process.communicate(timeout=120)
        return process.returncode, err

    flags = ["--network", "lenet5", "--epochs", "2", "--precision", "fp32", "--checkpoint-every", "3"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert done(start(["train", "digits", "--to", str(whole), *flags]))[0] == 0
    process = start(["train", "digits", "--to", str(cut), *flags])
    while not (cut / "state.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    code, err = done(process)
    assert code == 130, err
    assert "legato resume" in err
    assert done(start(["resume", str(cut)]))[0] == 0
    a, b = load_file(whole / "state.safetensors"), load_file(cut / "state.safetensors")
    assert a.keys() == b.keys()
    assert all((a[k] == b[k]).all() for k in a)


def test_seeds_and_runs_table(tmp_path, capsys):
    folder = tmp_path / "three"
    assert main(["train", "digits", "--to", str(folder), "--seeds", "2", *FAST]) == 0
    summary = json.loads((folder / "summary.json").read_text())
    values = summary["valid/accuracy"]["values"]
    assert summary["valid/accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert summary["valid/accuracy"]["sd"] == pytest.approx(np.std(values, ddof=1))
    capsys.readouterr()
    assert main(["runs", str(folder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_fold_all_trains_on_every_example_and_keeps_the_last_weights(tmp_path, capsys):
    folder = tmp_path / "all"
    assert main(["train", "digits", "--fold", "all", "--to", str(folder), "--json", *FAST]) == 0
    assert not any(key.startswith("valid/") for key in json.loads(capsys.readouterr().out))
    run = Run(folder)
    train, valid, test = run.task().known.examples
    assert (train + test, valid) == (1797, 0)
    best, state = load_file(folder / "best.safetensors"), load_file(folder / "state.safetensors")
    assert all((best[name] == state[f"sums/ema/{name}"]).all() for name in best)
    assert main(["evaluate", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == test


def test_like_repeats_a_run(run, tmp_path):
    again = tmp_path / "again"
    assert main(["train", "digits", "--like", str(run), "--to", str(again), "--quiet"]) == 0
    assert (again / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()
