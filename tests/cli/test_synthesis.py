"""legato dream and legato style: what they write and say, and what they refuse, in a line."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from legato.cli import main
from legato.device import Device
from legato.run import Run
from legato.tasks.classify import Classify
from legato.training import fit

CPU = Device("cpu", "fp32", 1)
QUICK_DREAM = ["--octaves", "2", "--steps", "2", "--size", "48"]
QUICK_STYLE = ["--steps", "4", "--size", "48"]


def a_run(folder: Path, network: str) -> str:
    """Of one epoch, on digits: what it has learnt does not matter here."""
    task = Classify("digits", network=network, augmentation="none").adapt()
    recipe = replace(task.recipe(), epochs=1, batch_size=256, precision="fp32")
    run = Run.begin(folder, task, recipe, CPU)
    fit(task, recipe, run, CPU)
    return str(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    return a_run(tmp_path_factory.mktemp("synthesis") / "digits", "[conv4-relu-pool]*2-fc")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    """Pictures in colour, a grey one, and masks."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    half = np.zeros((40, 60), np.uint8)
    half[:, :30] = 255
    arrays = {
        "content": rng.integers(0, 256, (40, 60, 3), np.uint8),
        "painting": rng.integers(0, 256, (50, 50, 3), np.uint8),
        "other": rng.integers(0, 256, (30, 50, 3), np.uint8),
        "grey": rng.integers(0, 256, (40, 60), np.uint8),
        "mask": half,
        "black": np.zeros((40, 60), np.uint8),
        "small": half[:20],
    }
    for name, array in arrays.items():
        PIL.Image.fromarray(array).save(folder / f"{name}.png")
    return {name: str(folder / f"{name}.png") for name in arrays}


def shown(file: Path) -> np.ndarray:
    with PIL.Image.open(file) as image:
        return np.asarray(image).astype(int)


def dream(*args: object) -> int:
    return main(["dream", *map(str, args), "--device", "cpu", "--quiet"])


def style(*args: object) -> int:
    return main(["style", *map(str, args), "--device", "cpu", "--quiet"])


def test_a_dream_in_a_picture_is_written_where_told(run, files, tmp_path, capsys):
    out = tmp_path / "new" / "dream.jpg"
    assert dream(run, files["content"], *QUICK_DREAM, "--save", out) == 0
    stage, file = capsys.readouterr().out.split()
    assert file == str(out)
    assert stage in ("conv1", "conv2")
    assert shown(out).shape[:2] == (32, 48)


@pytest.mark.parametrize("more", [["--channel", "2"], ["--guide", "painting"], ["--stage", "fc1", "--channel", "7"]])
def test_dreams_of_noise_a_channel_a_guide_a_class(run, files, tmp_path, more):
    more = [files.get(word, word) for word in more]
    size = ["--octaves", "1", "--steps", "2", "--size", "40"]
    assert dream(run, *size, *more, "--save", tmp_path / "a.png") == 0
    assert shown(tmp_path / "a.png").shape[:2] == (40, 40)


def test_equal_seeds_equal_dreams(run, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert dream(run, *QUICK_DREAM, "--seed", seed, "--save", tmp_path / f"{name}.png") == 0
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_a_painting_with_progress_and_a_plot(run, files, tmp_path, capsys):
    more = ["--every", "2", "--losses", tmp_path / "loss.png", "--save", tmp_path / "out.png"]
    assert style(files["content"], "--style", files["painting"], "--network", run, *QUICK_STYLE, *more) == 0
    assert capsys.readouterr().out.split("\t") == [files["content"], f"{tmp_path / 'out.png'}\n"]
    assert shown(tmp_path / "out.png").shape[:2] == (32, 48)
    assert {"out-0002.png", "out-0004.png", "loss.png"} <= {p.name for p in tmp_path.iterdir()}


def test_in_tiles_the_result_is_the_same(run, files, tmp_path, capsys):
    size = ["--size", "300", "--steps", "2", "--network", run]
    assert style(files["content"], "--style", files["painting"], *size, "--save", tmp_path / "one.png") == 0
    assert style(files["content"], "--style", files["painting"], *size, "--memory", "0.001") == 2
    said = capsys.readouterr().err
    assert "--memory 0.001: 300 × 200 pixels take at least" in said
    enough = said.split("at least ")[1].split()[0]
    where = ["--save", tmp_path / "tiles.png"]
    assert style(files["content"], "--style", files["painting"], *size, "--memory", enough, *where) == 0
    assert abs(shown(tmp_path / "one.png") - shown(tmp_path / "tiles.png")).max() <= 1


def test_coarse_from_one_fine_from_another(run, files, tmp_path):
    two = ["--coarse", files["painting"], "--fine", files["other"]]
    assert style(files["content"], *two, "--network", run, *QUICK_STYLE, "--save", tmp_path / "a.png") == 0
    assert (tmp_path / "a.png").exists()


def test_two_paintings_by_weight_and_by_mask(run, files, tmp_path):
    two = ["--style", files["painting"], "--style", files["grey"], "--network", run, *QUICK_STYLE]
    assert style(files["content"], *two, "--weights", "1,0.5", "--save", tmp_path / "weights.png") == 0
    assert style(files["content"], *two, "--mask", files["mask"], "--save", tmp_path / "mask.png") == 0
    assert (shown(tmp_path / "weights.png") != shown(tmp_path / "mask.png")).any()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--stage", "conv9"], "no stage called 'conv9'; did you mean conv"),
        (["--channel", "99", "--stage", "conv1"], "--channel 99: conv1 has channels 0 to 3"),
        (["--channel", "toaster"], "no class called 'toaster'"),
        (["--channel", "1", "--guide", "painting"], "--guide and --channel"),
        (["--steps", "0"], "--steps 0: must be at least 1"),
        (["--save", "dream.txt"], "--save dream.txt: a picture file"),
        (["--octave", "2"], "did you mean --octaves"),
    ],
)
def test_dreams_refused(run, files, args, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert dream(run, files["content"], *[files.get(a, a) for a in args]) == 2
    assert message in one_line(capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--style", "painting", "--stages", "conv1,conv8"], "no stage called 'conv8'; did you mean conv"),
        (["--style", "painting", "--stages", "fc1"], "fc1 makes no map"),
        (["--style", "painting", "--mask", "small"], "60 × 20 pixels, and"),
        (["--style", "painting", "--mask", "black"], "black everywhere"),
        (["--style", "painting", "--style-mask", "mask"], "60 × 40 pixels, and"),
        (["--style", "painting", "--mask", "mask", "--mask", "mask"], "--mask: 2 for 1 paintings"),
        (["--style", "painting", "--weights", "1,2"], "--weights 1,2: one for each of 1 paintings"),
        (["--style", "painting", "--weights", "much"], "--weights much: numbers"),
        (["--style", "painting", "--colour", "luminance"], "this network sees grey"),
        (["--style", "painting", "--steps", "0"], "--steps 0: must be at least 1"),
        (["--style", "painting", "--coarse", "other"], "--style PAINTING, or --coarse"),
        ([], "--style PAINTING, or --coarse"),
    ],
)
def test_styles_refused(run, files, args, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert style(files["content"], "--network", run, *[files.get(a, a) for a in args]) == 2
    assert message in one_line(capsys)
    assert not list(tmp_path.iterdir())


def test_a_picture_that_is_not_there_and_a_network_without_weights(run, files, capsys):
    assert style("no.jpg", "--style", files["painting"], "--network", run) == 3
    assert "no.jpg" in one_line(capsys)
    assert style(files["content"], "--style", files["painting"]) == 2
    said = one_line(capsys)
    assert "--start-from FILE" in said
    assert "SqueezeNet" in said
    assert style(files["content"], "--style", files["painting"], "--network", "vgg19") == 2
    assert "vgg19 is a network without weights" in one_line(capsys)


def test_a_network_without_maps_is_refused(files, tmp_path, capsys):
    dense = a_run(tmp_path / "dense", "mlp")
    assert style(files["content"], "--style", files["painting"], "--network", dense) == 2
    assert "no convolutions" in one_line(capsys)
    assert dream(dense, files["content"]) == 2
    assert "no convolutions" in one_line(capsys)


def one_line(capsys) -> str:
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("legato:")]
    assert len(said) == 1
    return said[0]
