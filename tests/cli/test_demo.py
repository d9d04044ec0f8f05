"""`legato demo` as a user types it: the list, one by name or row, pictures of one's own, mistakes in one line."""

import json

import numpy as np
import pytest
from PIL import Image as pil

from legato.cli import main
from legato.demos import DEMOS


def test_the_list_names_every_demonstration_with_its_rows_and_what_it_is(capsys):
    assert main(["demo", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(f"{entry.name} " in out and entry.about in out for entry in DEMOS.values())
    assert main(["demo", "--list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} == set(DEMOS)
    first = [row["rows"].split()[0] for row in rows]
    assert first.index("F2") < first.index("F11")


def test_without_a_name_it_is_the_list(capsys):
    assert main(["demo"]) == 0
    assert "backprop" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["sizes", "C17", "e4"])
def test_a_name_or_a_row_prints_lines_and_writes_the_picture(word, tmp_path, capsys):
    file = tmp_path / "new" / "drawn.png"
    assert main(["demo", word, "--save", str(file)]) == 0
    out = capsys.readouterr().out
    assert "32 (floor) or 33 (ceil)" in out
    assert str(file) in out
    with pil.open(file) as drawn:
        assert drawn.format == "PNG"


def test_json_is_one_object_and_nothing_else(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "stamps", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["numbers"]["overlap"] == 1 * 2 + 2 * 3
    assert found["rows"] == ["C20"]
    assert (tmp_path / found["picture"]).exists()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    files = [tmp_path / f"{k}.png" for k in range(3)]
    for file, seed in zip(files, ("5", "5", "6")):
        assert main(["demo", "dropout", "--seed", seed, "--save", str(file)]) == 0
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_picture_of_ones_own_is_shown(mode, tmp_path):
    mine, file = tmp_path / "mine.png", tmp_path / "drawn.png"
    pil.new(mode, (300, 200), "red" if mode != "L" else 90).save(mine)
    assert main(["demo", "kernels", "--picture", str(mine), "--save", str(file)]) == 0
    with pil.open(file) as drawn:
        colours = np.asarray(drawn).reshape(-1, 3)
    wanted = [90] * 3 if mode == "L" else [255, 0, 0]
    assert (colours == wanted).all(1).mean() > 0.2  # identity, sharpen and both blurs leave an even picture as it is


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["demo", "bakprop"], 2, "did you mean backprop"),
        (["demo", "sizes", "--sede", "1"], 2, "did you mean --seed"),
        (["demo", "sizes", "--picture", "wide.png"], 2, "these are: deblur, equivariance, kernels, pointwise"),
        (["demo", "kernels", "--picture", "no_such.png"], 3, "no_such.png"),
        (["demo", "kernels", "--picture", "broken.png"], 3, "broken.png"),
        (["demo", "kernels", "--picture", "narrow.png"], 3, "too narrow"),
        (["demo", "sizes", "--save", "drawn.jpg"], 2, "ends in .png"),
        (["demo", "all", "--json"], 2, "name one"),
    ],
)
def test_mistakes_are_one_line(args, code, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.png").write_text("not a picture")
    pil.new("RGB", (400, 20)).save(tmp_path / "narrow.png")
    pil.new("RGB", (400, 300)).save(tmp_path / "wide.png")
    assert main(args) == code
    [line] = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not list(tmp_path.rglob("demos"))


def test_all_writes_every_picture_and_a_wall_of_them(tmp_path, monkeypatch, capsys):
    few = {name: DEMOS[name] for name in ("stamps", "sizes")}
    monkeypatch.setattr("legato.demos.DEMOS", few)
    assert main(["demo", "all", "--save", str(tmp_path / "here")]) == 0
    assert sorted(file.name for file in (tmp_path / "here").iterdir()) == ["all.png", "sizes.png", "stamps.png"]
    assert len(capsys.readouterr().out.splitlines()) == 3
