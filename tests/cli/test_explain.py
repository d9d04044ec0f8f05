"""legato explain, as a user types it: what is written where, what is printed, and what is refused."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import legato
from legato.cli import main
from legato.device import Device
from legato.recipe import Recipe
from legato.run import Run
from tests.explain.subjects import noise, subject


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run whose network has learnt nothing, which is enough to look into it."""
    one = subject()
    folder = tmp_path_factory.mktemp("runs") / "noise"
    run = Run.begin(folder, one.task, Recipe(precision="fp32"), Device())
    assert run is not None
    Run(folder).keep_best(one.net.state_dict())
    return folder


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("photos") / "cat.png"
    PIL.Image.fromarray(noise().permute(1, 2, 0).numpy()).save(file)
    return file


def explain(run: Path, *args: object) -> int:
    return main(["explain", str(run), *map(str, args), "--device", "cpu"])


def test_a_picture_for_each_input_and_method(run, photo, tmp_path, capsys):
    assert explain(run, photo, "--how", "gradcam,occlusion", "--save", tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    told = [line.split("\t") for line in lines if not line.startswith("  ")]
    assert [Path(file).name for _, _, file in told] == ["cat-gradcam.png", "cat-occlusion.png"]
    assert all(source == str(photo) and "%" in answer for source, answer, _ in told)
    assert all(np.asarray(PIL.Image.open(file)).std() > 5 for _, _, file in told)
    assert any(line.startswith("  Grad-CAM at relu2") for line in lines)


def test_without_a_method_it_is_gradcam_and_folders_are_read(run, photo, tmp_path, capsys):
    assert explain(run, photo.parent, "--save", tmp_path) == 0
    assert (tmp_path / "cat-gradcam.png").exists()


def test_json_is_an_object_a_line_and_nothing_else(run, photo, tmp_path, capsys):
    assert explain(run, photo, "--how", "saliency,filters", "--what", "dog", "--json", "--save", tmp_path) == 0
    alone, told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told["file"] == str(photo)
    assert (told["how"], told["what"], told["answer"]["class"]) == ("saliency", "dog", told["answer"]["top"][0][0])
    assert Path(told["picture"]).exists()
    assert alone["how"] == "filters"
    assert "answer" not in alone


def test_what_looks_at_the_network_alone_needs_no_input(run, tmp_path, capsys):
    assert explain(run, "--how", "filters", "--stage", "conv2", "--save", tmp_path) == 0
    assert "conv2: 8 filters of 8 × 3 × 3" in capsys.readouterr().out
    assert (tmp_path / "filters.png").exists()


def test_the_list_says_what_fits_and_why_the_rest_does_not(run, capsys):
    assert explain(run, "--how", "list", "--json") == 0
    rows = {row["method"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["gradcam"]["fits"] == "yes"
    assert "maps" in rows["gradcam"]["what"]
    assert any(row["fits"] != "yes" for row in rows.values())
    assert explain(run, "--how", "list") == 0
    assert "gradcam" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--how", "gradcm"], "no method called 'gradcm'; did you mean gradcam?"),
        (["--how", "gradcam", "--stage", "relu7"], "no stage called 'relu7' in Sequential; did you mean relu"),
        (["--how", "gradcam", "--what", "dgo"], "no class called 'dgo'; did you mean dog?"),
        (["--how", "activations", "--stage", "conv1", "--channel", "9"], "channels 0 to 7"),
        (["--how", "attention"], "attention makes no sense here: "),
    ],
)
def test_mistakes_are_one_line_and_exit_2(run, photo, tmp_path, capsys, args, message):
    assert explain(run, photo, *args, "--save", tmp_path) == 2
    said = capsys.readouterr()
    [line] = said.err.splitlines()
    assert message in line
    assert not said.out


def test_an_answer_needs_an_input(run, capsys):
    assert explain(run, "--how", "gradcam") == 2
    assert "gradcam explains an answer: name what to answer" in capsys.readouterr().err


def test_a_broken_file_is_named_and_the_others_are_explained(run, photo, tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    assert explain(run, broken, photo, "--save", tmp_path) == 3
    said = capsys.readouterr()
    assert "broken.png" in said.err
    assert "cat-gradcam.png" in said.out


def test_from_python_it_is_a_list_of_pictures(run, photo):
    ready = legato.load(run, "cpu")
    [shown] = ready.explain(photo, "gradcam", what="fish")
    assert min(shown.picture.size) > 200
    [shown] = ready.explain(how="filters")
    assert shown.lines == ("conv1: 8 filters of 3 × 3 × 3",)
    with pytest.raises(legato.errors.UsageError, match="name what to answer"):
        ready.explain(how="gradcam")
