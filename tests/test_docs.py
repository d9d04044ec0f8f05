"""Every code block of the documentation runs: ```python as it is, and lines of ```console that begin with `$ legato`.

A block marked `no-run` (it needs your data, or hours) is only checked for verbs and flags that exist.
"""

import re
import shlex
from pathlib import Path

import pytest

from legato import api, extension
from legato.cli import VERBS, main
from legato.networks.registry import NETWORKS
from legato.recurrent.cells import CELLS
from legato.task import TASKS

ROOT = Path(__file__).parent.parent
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.M | re.S)


@pytest.fixture
def as_if_alone(monkeypatch):
    """What a page gives by --with, or registers, is gone after it: other tests run in the same process."""
    monkeypatch.setattr(extension, "GIVEN", {})
    assert TASKS, api  # what legato has itself is there before
    kept = [(registry, dict(registry)) for registry in (CELLS, NETWORKS, TASKS)]
    yield
    for registry, before in kept:
        registry.clear()
        registry.update(before)


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    return [(mark.strip(), text) for found, mark, text in FENCE.findall(page.read_text()) if found == language]


def commands(text: str) -> list[list[str]]:
    return [shlex.split(line[2:], comments=True)[1:] for line in text.splitlines() if line.startswith("$ legato ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_pages_blocks_run(page, tmp_path, monkeypatch, capsys, as_if_alone):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for found, mark, text in FENCE.findall(page.read_text()):
        if found == "console" and "no-run" not in mark:
            for command in commands(text):
                assert main(command) == 0, f"{page.name}: legato {shlex.join(command)}"
        elif found == "python" and "no-run" not in mark:
            exec(compile(text, f"{page.name}", "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_verbs_and_links_of_the_page_exist(page):
    for _, text in blocks(page, "console"):
        assert {command[0] for command in commands(text) if command} <= set(VERBS)
    for link in re.findall(r"\]\((?!http)([^)#]+)", FENCE.sub("", page.read_text())):
        assert (page.parent / link).exists(), f"{page.name} → {link}"


def test_every_page_is_in_the_index():
    linked = set(re.findall(r"\]\((\w+\.md)\)", (ROOT / "docs" / "index.md").read_text()))
    assert linked == {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}, "make docs"
    assert "docs/index.md" in (ROOT / "README.md").read_text()
