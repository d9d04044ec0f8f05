"""`make new-network NAME=x`, `make new-task NAME=x`: the smallest existing one, copied under a new name, with its test.

What it makes passes its tests at once; from there it is changed to what it should become (CONTRIBUTING.md).
"""

import keyword
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODELS = {"network": "madry", "task": "regress"}  # the smallest there are

NETWORK_TEST = '''"""What {name} promises beyond the contract that every network keeps."""

import torch

from legato.networks.registry import build


def test_it_tells_as_many_classes_as_it_is_asked_to():
    assert build("{name}", 7, 3, 28)(torch.rand(2, 3, 28, 28)).shape == (2, 7)
'''
TASK_TEST = '''"""What {name} promises: the contract of every task, on pictures drawn here."""

from pathlib import Path

import numpy as np
import PIL.Image

from legato.tasks.{name} import {kind}
from tests.contract import check_task


def table(folder: Path) -> Path:
    """Forty grey squares, and how bright each is."""
    rows = ["path,brightness"]
    for i, bright in enumerate(np.random.default_rng(0).integers(20, 235, 40)):
        PIL.Image.fromarray(np.full((8, 8, 3), bright, np.uint8)).save(folder / f"{{i}}.png")
        rows.append(f"{{i}}.png,{{bright / 255:.3f}}")
    (folder / "table.csv").write_text("\\n".join(rows))
    return folder / "table.csv"


def test_contract(tmp_path):
    task = {kind}(data=str(table(tmp_path)), network="[conv4-relu]*1-fc", size=8).adapt()
    check_task(task, tmp_path / "run")
'''


def new(what: str, name: str, root: Path = ROOT) -> list[Path]:
    """Make the files; the ones that are new or changed. Raises ValueError for a name that is none, or taken."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ValueError(f"NAME={name}: write it in small letters, digits and _, as Python names a function")
    model, kind = MODELS[what], "".join(word.title() for word in name.split("_"))
    package = root / "legato" / f"{what}s"
    source, test = package / f"{name}.py", root / "tests" / f"{what}s" / f"test_{name}.py"
    for file in (source, test):
        if file.exists():
            raise ValueError(f"{file.relative_to(root)} is there already: choose another NAME")
    text = (package / f"{model}.py").read_text()
    if what == "task":
        text = text.replace(f"class {model.title()}(", f"class {kind}(").replace(f'= "{model}"', f'= "{name}"')
        line, words = f"from legato.tasks.{name} import {kind} as {kind}  # isort: skip\n", TASK_TEST
    else:
        text = text.replace(f"def {model}(", f"def {name}(")
        line, words = f"from legato.networks import {name} as {name}\n", NETWORK_TEST
    source.write_text(text)
    test.write_text(words.format(name=name, kind=kind))
    index = package / "__init__.py"
    index.write_text(with_import(index.read_text(), line, in_order=what == "network"))
    return [source, test, index]


def with_import(text: str, line: str, in_order: bool) -> str:
    """The file with one import more: in alphabetical order, or last."""
    lines = text.splitlines(keepends=True)
    imports = [i for i, one in enumerate(lines) if one.startswith("from ")]
    later = [i for i in imports if in_order and lines[i] > line]
    lines.insert(later[0] if later else imports[-1] + 1, line)
    return "".join(lines)


def main() -> None:
    what, name = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    try:
        files = [file.relative_to(ROOT) for file in new(what, name)]
    except ValueError as error:
        sys.exit(f"make new-{what}: {error}")
    print(f"{files[0]}: a copy of {MODELS[what]}; {files[1]}: its test; {files[2]}: its import.")
    print(f"It works already: `make fast`. Now make of it what it should be: CONTRIBUTING.md, a {what} in 4 steps.")


if __name__ == "__main__":
    main()
