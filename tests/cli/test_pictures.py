"""A folder of pictures through the verbs: what a user may get wrong, and what must not be lost."""

import json
import shutil
from pathlib import Path

import pytest

from legato.cli import VERBS, main
from legato.errors import DataError, UsageError
from legato.networks.weights import published
from legato.run import Run
from tests.data.drawn import draw_folder
from tests.data.test_formats import write_table

FAST = ["--network", "[conv4-relu-pool]*2-fc", "--size", "8", "--quiet", "--precision", "fp32"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("data") / "pets", {"cat": 20, "dog": 20})


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "pets"
    weighed = ["--class-weights", "--label-smoothing", "0.1", "--epochs", "2"]
    assert main(["train", str(data), "--to", str(folder), *weighed, *FAST]) == 0
    return folder


@pytest.fixture(autouse=True)
def without_reports(monkeypatch):
    """The run above has one, and a report takes longer than these trainings."""
    monkeypatch.setattr("legato.reports.write", lambda run, *_, **__: run.folder / "report.html")


def one_line(capsys) -> str:
    out = capsys.readouterr()
    assert out.out == ""
    lines = out.err.strip().splitlines()
    assert [line for line in lines if line.startswith("legato:")] == lines[-1:]
    return lines[-1]


# train
def test_switches_need_no_value_and_the_report_names_only_verbs_that_exist(run):
    assert Run(run).task().class_weights is True
    page = (run / "report.html").read_text()
    next_commands = page[page.index('id="next"') :].partition("</section>")[0]
    verbs = [
        line.split()[1] for line in next_commands.replace("<pre>", "\n").splitlines() if line.startswith("legato ")
    ]
    assert len(verbs) >= 5
    assert set(verbs) <= set(VERBS)


def test_like_repeats_the_data_too_and_flags_come_first(run, tmp_path):
    assert main(["train", "--like", str(run), "--to", str(tmp_path / "a"), "--quiet"]) == 0
    assert (tmp_path / "a/metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()
    assert (
        main(["train", f"--like={run}", "--epochs", "1", "--no-class-weights", "--to", str(tmp_path / "b"), "--quiet"])
        == 0
    )
    assert Run(tmp_path / "b").task().class_weights is False
    assert Run(tmp_path / "b").task().label_smoothing == 0.1
    assert Run(tmp_path / "b").recipe().epochs == 1


def test_several_seeds_are_one_object_and_go_on_where_they_stopped(data, tmp_path, capsys):
    command = ["train", str(data), "--epochs", "1", "--seeds", "2", "--to", str(tmp_path / "s"), "--json", *FAST]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    values = [max(line["valid/accuracy"] for line in Run(tmp_path / f"s/seed{k}").metrics()) for k in (0, 1)]
    assert found["valid/accuracy"]["values"] == values
    assert found["run"] == str(tmp_path / "s")
    kept = (tmp_path / "s/seed0/state.safetensors").stat()
    shutil.rmtree(tmp_path / "s/seed1")  # as if it had been interrupted before
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert (tmp_path / "s/seed0/state.safetensors").stat().st_mtime_ns == kept.st_mtime_ns
    assert main([*command, "--lr", "0.5"]) == 2, "other choices are another training"
    assert "already holds a run" in one_line(capsys)
    assert main(["evaluate", str(tmp_path / "s")]) == 2
    assert "holds several runs (seed0, seed1)" in one_line(capsys)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ([], "no data: legato train"),
        (["--epochs", "1"], "or --like RUN, to repeat one"),
        (["clasify", "DATA"], "did you mean classify?"),
        (["PARENT/pests"], "did you mean PARENT/pets?"),
        (["regress", "DATA"], "targets are classes, not what `regress` learns; name the task that does: classify"),
        (["DATA", "--to", "DATA"], "holds something else"),
        (["DATA", "--to", "/proc/nobody/may"], "cannot be made"),
        (["DATA", "--seeds", "0"], "at least 1"),
        (["DATA", "--seeds", "2", "--folds", "2"], "one of them"),
        (["DATA", "--lr-scale", "trnk=0.1", "--to", "PARENT/new", *FAST], "did you mean trunk?"),
        (["DATA", "--start-from", "nowhere", "--network", "lenet5"], "not there; name `imagenet`"),
        (["--like", "DATA"], "holds no run.json"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_made(data, args, told, capsys):
    said = lambda text: text.replace("DATA", str(data)).replace("PARENT", str(data.parent))
    before = sorted(data.parent.rglob("*"))
    assert main(["train", *map(said, args)]) == 2
    assert said(told) in capsys.readouterr().err.splitlines()[-1]
    assert sorted(data.parent.rglob("*")) == before


def test_a_folder_with_several_tables_asks_for_one(tmp_path, capsys):
    write_table(tmp_path, "path,label\n")
    shutil.copy(tmp_path / next(tmp_path.glob("*.csv")).name, tmp_path / "other.csv")
    assert main(["train", str(tmp_path)]) == 3
    assert "or name one of the tables" in one_line(capsys)


def test_a_run_may_not_be_shortened_below_what_is_done(run, capsys):
    before = (run / "run.json").read_bytes()
    assert main(["resume", str(run), "--epochs", "1"]) == 2
    assert "has done 2" in one_line(capsys)
    assert (run / "run.json").read_bytes() == before


# evaluate
def test_other_data_of_the_same_kind_may_lack_a_class_and_its_numbers_are_the_runs(run, data, tmp_path, capsys):
    mirrored = tmp_path / "half"
    shutil.copytree(data / "dog", mirrored / "train/dog")
    shutil.copytree(data / "cat", mirrored / "train/cat")
    main(["evaluate", str(run), "--data", str(mirrored), "--split", "train", "--json"])
    both = json.loads(capsys.readouterr().out)
    three = draw_folder(tmp_path / "three", {"cat": 2, "dog": 2, "emu": 2})
    assert main(["evaluate", str(run), "--data", str(three), "--split", "train"]) == 3
    assert "has classes emu, and the run knows cat and dog" in one_line(capsys)
    assert both["count"] == 36  # a tenth of each class validates

    from legato.data.detect import read
    from legato.tasks.pictures import under_names

    set_of_three = read(three)
    ordered = under_names(set_of_three, "three", ("emu", "dog", "ant", "cat"))
    for split, pictures in ordered.splits.items():
        names = [ordered.names[t] for t in pictures.targets]
        assert names == [name.split("/")[0] for name in pictures.names()], split


def test_an_ensemble_is_asked_the_same_examples(run, data, tmp_path, capsys):
    other = tmp_path / "other"
    assert main(["train", "--like", str(run), "--fold", "1/2", "--epochs", "1", "--to", str(other), "--quiet"]) == 0
    assert main(["evaluate", str(run), str(other), "--split", "valid"]) == 2
    assert "have other valid examples: --data says" in one_line(capsys)
    assert main(["evaluate", str(run), str(other), "--split", "test", "--json"]) == 0
    capsys.readouterr()
    assert main(["evaluate"]) == 2
    assert "no run to evaluate" in one_line(capsys)
    assert main(["evaluate", str(run), "--views", "0"]) == 2


def test_percentages_are_for_shares_alone(capsys):
    from legato.cli import show

    show.scores({"accuracy": 0.5, "rmse": 0.25, "r2": 0.75, "log_loss": 0.125, "calibration_error": 0.1, "errors": 3})
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert lines == {
        "accuracy": "50.00%", "rmse": "0.25", "r2": "0.75", "log_loss": "0.125", "calibration_error": "10.00%",
        "errors": "3",
    }  # fmt: skip


# predict
def test_saved_pictures_never_overwrite_one_another(run, data, tmp_path, capsys):
    sources = [data / "cat/000.png", data / "dog/000.png", data / "cat/000.png", data / "cat/001.png"]
    assert main(["predict", str(run), *map(str, sources), "--save", str(tmp_path / "out"), "--json"]) == 0
    saved = [json.loads(line)["saved"] for line in capsys.readouterr().out.splitlines()]
    assert len(set(saved)) == 4
    assert all(Path(file).is_file() for file in saved)
    assert [Path(file).stem for file in saved] == ["000", "dog-000", "cat-000", "001"]


def test_predict_says_how_many_were_broken_and_refuses_nonsense(run, tmp_path, capsys):
    (tmp_path / "x.png").write_bytes(b"")
    assert main(["predict", str(run), str(tmp_path / "x.png")]) == 3
    assert capsys.readouterr().err.splitlines()[-1] == "legato: 1 of 1 files could not be read"
    assert main(["predict", str(run), str(tmp_path / "x.png"), "--top", "0"]) == 2
    assert "--top 0" in one_line(capsys)


# runs
def test_damaged_runs_are_told_and_the_others_compared(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "good")
    for name, old, new in (("net", "conv4", "conf4"), ("task", '"classify"', '"clasify"'), ("json", "{", "")):
        shutil.copytree(run, tmp_path / name)
        text = (run / "run.json").read_text()
        (tmp_path / name / "run.json").write_text(text.replace(old, new, 1))
    assert main(["runs", str(tmp_path)]) == 0
    out = capsys.readouterr()
    assert "good" in out.out
    assert "json/run.json: damaged" in out.err
    assert main(["evaluate", str(tmp_path / "task")]) == 1
    assert f"{tmp_path / 'task/run.json'}: task: no task called 'clasify'; did you mean classify?" in one_line(capsys)
    assert main(["runs", str(tmp_path / "nowhere")]) == 2
    (tmp_path / "none").mkdir()
    assert main(["runs", str(tmp_path / "none")]) == 0
    assert "no runs in" in capsys.readouterr().out.splitlines()[-1]


def test_a_disk_that_fills_up_is_one_line_and_the_last_state_stays(run, data, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "full"
    shutil.copytree(run, folder)
    before = (folder / "state.safetensors").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "state.safetensors.new")

    monkeypatch.setattr("legato.files.save_file", full)
    assert main(["resume", str(folder), "--epochs", "3", "--quiet"]) == 1
    assert "No space left on device" in one_line(capsys)
    assert (folder / "state.safetensors").read_bytes() == before
    monkeypatch.undo()
    assert main(["resume", str(folder), "--quiet"]) == 0
    assert Run(folder).position().epoch == 3


def test_weights_may_be_read_by_whoever_may_read_the_run(run):
    modes = {(run / name).stat().st_mode for name in ("run.json", "best.safetensors", "state.safetensors")}
    assert len(modes) == 1


def test_published_weights_that_are_not_there():
    with pytest.raises(UsageError, match="not there; name `imagenet`"):
        published("lenet5", "nowhere")
    with pytest.raises(DataError, match="weights are read from"):
        published("lenet5", __file__)
