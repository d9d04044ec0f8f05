"""`make new-network` and `make new-task` put something into place that works at once."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("new", ROOT / "tools" / "new.py")
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


@pytest.fixture
def tree(tmp_path) -> Path:
    """A copy of the house, without its tests but for the contract."""
    shutil.copytree(ROOT / "legato", tmp_path / "legato", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("tests", "tests/networks", "tests/tasks"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    for file in ("contract.py", "networks/test_registry.py", "networks/conftest.py"):
        shutil.copy(ROOT / "tests" / file, tmp_path / "tests" / file)
    return tmp_path


def passes(tree: Path, *tests: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert " passed" in done.stdout


@pytest.mark.slow
def test_a_new_network_is_registered_and_keeps_the_contract(tree):
    tool.new("network", "gosset", tree)
    passes(tree, "tests/networks/test_gosset.py", "tests/networks/test_registry.py", "-k", "gosset or as_many_classes")


@pytest.mark.slow
def test_a_new_task_is_registered_and_keeps_the_contract(tree):
    tool.new("task", "how_much", tree)
    passes(tree, "tests/tasks/test_how_much.py")


def test_files_are_made_in_order_and_nothing_is_overwritten(tree):
    source, test, index = tool.new("network", "gosset", tree)
    assert "def gosset(" in source.read_text()
    assert "gosset" in test.read_text()
    imports = [line for line in index.read_text().splitlines() if line.startswith("from")]
    assert imports == sorted(imports)
    assert "from legato.networks import gosset as gosset" in imports
    tool.new("task", "how_much", tree)
    assert "class HowMuch(" in (tree / "legato/tasks/how_much.py").read_text()
    last = (tree / "legato/tasks/__init__.py").read_text().splitlines()[-1]
    assert "HowMuch" in last, "asked last whether data is its own"
    for name, told in (
        ("gosset", "there already"),
        ("Gosset", "small letters"),
        ("", "small letters"),
        ("class", "small"),
    ):
        with pytest.raises(ValueError, match=told):
            tool.new("network", name, tree)
