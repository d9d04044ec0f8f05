"""What all demonstrations promise: short, ten lines, the same for the same seed, rows of the ledger that exist."""

import ast
from pathlib import Path

import pytest
import torch
from PIL import Image as pil

from docs import build as page
from legato import demos
from legato.demos.registry import NARROWEST, SIDE, photo
from legato.errors import DataError, UsageError
from legato.values import Image
from tests.demos.ran import shown

FOLDER = Path(demos.__file__).parent
SLOW = {"depth", "invariance", "paradigms"}  # seconds each: run by tests/ledger/test_foundations.py, marked slow
QUICK = sorted(set(demos.DEMOS) - SLOW)
ASKED = (
    "F1 F2 F3 F4 F5 F6 F7 F8 F9 F11 F12 F13 F15 C4 C6 C8 C12 C13 C14 C15 C16 C17 C18 C20 C22 N10 N11 R2 R4 R6 L1 "
    "E1 E2 E3 E4"
)


def code_lines(text: str) -> int:
    """Lines that are neither blank, nor comments, nor imports, nor docstrings."""
    left_out: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            left_out |= set(range(node.lineno, node.end_lineno + 1))
        elif isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            left_out |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and n not in left_out for n, line in lines)


@pytest.mark.parametrize("name", sorted(demos.DEMOS))
def test_a_demonstration_is_one_file_of_at_most_forty_lines_of_code_that_cites_its_lecture(name):
    text = (FOLDER / f"{name}.py").read_text()
    assert code_lines(text) <= 40
    assert "lecture" in (ast.get_docstring(ast.parse(text)) or "")


def test_every_file_is_a_demonstration_and_the_rows_are_those_of_the_ledger():
    files = {file.stem for file in FOLDER.glob("*.py")} - {"__init__", "registry", "learning"}
    assert files == set(demos.DEMOS)
    rows = {row for entry in demos.DEMOS.values() for row in entry.rows}
    assert rows <= {row.id for row in page.rows()}
    assert rows >= set(ASKED.split())
    assert all(entry.about for entry in demos.DEMOS.values())


@pytest.mark.parametrize("name", QUICK)
def test_a_demonstration_draws_and_says_about_ten_lines(name):
    found = shown(name)
    assert isinstance(found.picture, pil.Image)
    assert found.picture.width >= 1000
    assert 3 <= len(found.lines) <= 12
    assert max(map(len, found.lines)) <= 112
    assert found.numbers
    assert all(value == value for value in found.numbers.values())


def test_the_same_seed_shows_the_same_and_torchs_own_numbers_are_left_alone():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, again, other = (demos.run("predictor", seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.lines == again.lines
    assert first.picture.tobytes() == again.picture.tobytes() != other.picture.tobytes()


def test_a_row_finds_its_first_demonstration_and_a_misspelt_name_the_nearest():
    assert demos.lookup("f9").name == "backprop"
    with pytest.raises(UsageError, match="did you mean kernels"):
        demos.lookup("kernles")
    with pytest.raises(UsageError, match="is not shown on a picture; these are: "):
        demos.run("sizes", image=Image(torch.zeros(3, 64, 64, dtype=torch.uint8)))


@pytest.mark.parametrize("shape", [(3, 480, 640), (1, 640, 480), (3, 50, 60)])
def test_a_photo_is_brought_to_colour_and_one_size(shape):
    found = photo(Image(torch.randint(256, shape, dtype=torch.uint8)))
    assert found.shape[0] == 3
    assert max(found.shape[1:]) == SIDE
    assert found.shape[1] / found.shape[2] == pytest.approx(shape[1] / shape[2], rel=0.02)
    assert 0 <= found.min() <= found.max() <= 1


def test_a_picture_too_narrow_is_refused():
    with pytest.raises(DataError, match=r"strip.png: 400 × 40 is too narrow"):
        photo(Image(torch.zeros(1, 40, 400, dtype=torch.uint8), "strip.png"))
    assert photo(Image(torch.zeros(1, 60, 400, dtype=torch.uint8))).shape[1] >= NARROWEST


@pytest.mark.parametrize("name", [entry.name for entry in demos.DEMOS.values() if entry.on_picture])
@pytest.mark.parametrize("shape", [(3, 36, 240), (3, 240, 33)])
def test_wide_and_high_pictures_are_shown(name, shape):
    found = demos.run(name, image=Image(torch.randint(256, shape, dtype=torch.uint8)))
    assert found.picture.width < 4000 > found.picture.height / 4
