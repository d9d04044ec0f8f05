"""legato attack: what it writes and says, and what it refuses, in a line."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from legato import api
from legato.cli import main
from legato.device import Device
from legato.run import Run
from legato.tasks.classify import Classify
from legato.training import fit
from tests.toy import Toy

CPU = Device("cpu", "fp32", 1)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    """A quick classifier of digits."""
    folder = tmp_path_factory.mktemp("attack") / "digits"
    task = Classify("digits", network="mlp", augmentation="none").adapt()
    recipe = replace(task.recipe(), epochs=6, batch_size=64, lr=3e-3, precision="fp32")
    run = Run.begin(folder, task, recipe, CPU)
    fit(task, recipe, run, CPU)
    return str(folder)


@pytest.fixture(scope="module")
def digit(run, tmp_path_factory) -> tuple[str, str, str]:
    """A picture of a digit that the network knows, its class, and another one."""
    trained = api.load(run, "cpu")
    image, truth = trained.task.examples("test")[0]
    file = tmp_path_factory.mktemp("photo") / "digit.png"
    PIL.Image.fromarray(image.pixels[0].numpy()).save(file)
    [answer] = trained.predict(file)
    assert answer["class"] == trained.task.names[truth]
    other = next(name for name in trained.task.names if name != answer["class"])
    return str(file), answer["class"], other


def attack(*args: object) -> int:
    return main(["attack", *map(str, args), "--device", "cpu"])


def shown(file: str) -> np.ndarray:
    with PIL.Image.open(file) as image:
        return np.asarray(image).astype(int)


@pytest.mark.parametrize("how", ["pgd", "cw", "universal"])
def test_the_saved_picture_fools_predict(run, digit, how, tmp_path, capsys):
    file, was, _ = digit
    far = [] if how == "cw" else ["--epsilon", "0.4"]
    assert attack(run, file, "--how", how, *far, "--save", tmp_path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["before"]["class"] == was
    assert found["success"]
    [answer] = api.predict(run, [found["saved"]], device="cpu")
    assert answer == found["after"]
    assert answer["class"] != was
    task, saved = Run(run).task(), shown(found["saved"])
    square = task.square(task.read_input(file))[0].numpy().astype(int)
    assert saved.shape == square.shape  # one channel, as the network sees it
    assert abs(saved - square).max() == round(255 * found["linf"])
    if how != "cw":
        assert found["linf"] <= 0.4
    assert shown(found["card"]).shape[1] > 1000


def test_towards_a_class_as_a_line_a_person_reads(run, digit, tmp_path, capsys):
    file, was, other = digit
    assert attack(run, file, "--target", other, "--epsilon", "0.5", "--confidence", "0.9", "--save", tmp_path) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{file}: {was} ")
    assert f"→ {other} " in said
    least = float(re.search(r"smallest ε that does it: ([\d.]+)", said)[1])
    assert 0.01 < least < 0.5
    assert f"{tmp_path / f'digit-{other}.png'}, read back" in said
    assert "NOT TRICKED" not in said
    [answer] = api.predict(run, [tmp_path / f"digit-{other}.png"], device="cpu")
    assert answer["class"] == other
    assert answer["probability"] >= 0.9


def test_what_does_not_work_is_said(run, digit, tmp_path, capsys):
    file, _, _ = digit
    assert attack(run, file, "--epsilon", "0.1/255", "--save", tmp_path) == 0
    said = capsys.readouterr().out
    assert "NOT TRICKED" in said
    assert "larger --epsilon" in said


def test_the_curve_is_numbers_and_a_picture(run, tmp_path, capsys):
    args = (run, "--curve", "--epsilon", "0.3", "--steps", "5", "--count", "60", "--points", "3", "--save", tmp_path)
    assert attack(*args, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["epsilons"] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert found["accuracy"] == sorted(found["accuracy"], reverse=True)
    assert found["accuracy"][0] > 0.7
    assert found["accuracy"][-1] < 0.3
    assert (found["n"], found["seed"], found["split"]) == (60, 0, "test")
    assert Path(found["picture"]).exists()
    assert attack(*args, "--quiet") == 0
    assert "Accuracy under attack (pgd, L∞, 5 steps, 1 start), n = 60, seed 0" in capsys.readouterr().out


def test_another_run_is_shown_the_same_pictures(run, digit, tmp_path, capsys):
    assert attack(run, digit[0], "--epsilon", "0.4", "--transfer", run, "--save", tmp_path, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["transfer"]["class"] == found["after"]["class"]
    assert attack(run, "--transfer", run, "--epsilon", "0.3", "--steps", "5", "--count", "40", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["turned"] == found["other"] > 0
    assert attack(run, "--transfer", run, "--epsilon", "0.3", "--steps", "5", "--count", "40") == 0
    assert "that both get right" in capsys.readouterr().out


def test_one_change_for_all_pictures_of_the_run(run, tmp_path, capsys):
    args = (run, "--how", "universal", "--epsilon", "0.4", "--count", "60", "--save", tmp_path)
    assert attack(*args, "--json") == 0
    assert json.loads(capsys.readouterr().out)["turned"] > 0.3
    assert (tmp_path / "universal.png").exists()
    assert attack(*args) == 0
    assert "away from their class" in capsys.readouterr().out


def test_colour_becomes_what_the_network_sees(run, tmp_path, capsys):
    """A colour picture for a grey network, of another size: predict reads it, so attack does."""
    file = tmp_path / "colour.jpg"
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)).save(file)
    assert attack(run, file, "--epsilon", "0.3", "--save", tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["success"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--target", "sevn"], "no class called 'sevn'"),
        (["--epsilon", "much"], "'much' is no distance"),
        (["--epsilon", "8"], "between 0 and 1, for pixels are in [0, 1]; 8/255?"),
        (["--epsilon", "0"], "between 0 and"),
        (["--epsilon", "99", "--norm", "l2"], "--epsilon 99: between 0 and"),
        (["--how", "cw", "--epsilon", "1"], "leave out --epsilon"),
        (["--confidence", "1"], "a probability below 1"),
        (["--steps", "-1"], "--steps -1: must be at least 0"),
        (["--restarts", "0"], "--restarts 0: must be at least 1"),
        (["--curve"], "leave out pictures"),
        (["--targte", "3"], "did you mean --target"),
    ],
)
def test_mistakes_are_one_line(run, digit, args, said, capsys):
    assert attack(run, digit[0], *args) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_target_that_is_the_answer_already(run, digit, capsys):
    file, was, _ = digit
    assert attack(run, file, "--target", was) == 2
    assert f"is {was!r} already; another --target" in capsys.readouterr().err


def test_other_mistakes_are_one_line(run, digit, tmp_path, capsys):
    assert attack(run) == 2
    assert "name a picture; or --curve" in capsys.readouterr().err
    assert attack(run, tmp_path / "none.jpg") == 3
    assert "none.jpg" in capsys.readouterr().err
    assert attack(run, "--curve", "--how", "cw") == 2
    assert "take pgd" in capsys.readouterr().err
    task = Toy()
    toy = Run.begin(tmp_path / "toy", task, task.recipe(), CPU)
    toy.keep_best(task.build().state_dict())
    assert attack(toy.folder, digit[0]) == 2
    assert "is a toy; attacks are on networks that name one class" in capsys.readouterr().err
