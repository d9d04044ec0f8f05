"""A file of the user's own: given again at each use, told apart by its sha256, and its mistakes told in a line."""

import hashlib
import json

import pytest

from legato import extension
from legato.cli import main
from legato.errors import Notice, UsageError
from legato.networks.registry import NETWORKS
from legato.run import Run
from tests.data.drawn import draw_folder

NETWORK = '''
from torch import nn
from legato.layers import ConvRelu, stages
from legato.networks.registry import network

@network(paper="own", params=0, size=8)
def NAME(classes: int = 10, channels: int = 3) -> nn.Sequential:
    """A convolution and an average."""
    return stages(conv=ConvRelu(channels, 8, 3), average=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(),
                  classify=nn.Linear(8, classes))
'''


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """What a test gives is given to it alone."""
    monkeypatch.setattr(extension, "GIVEN", {})
    known = dict(NETWORKS)
    yield
    NETWORKS.clear()
    NETWORKS.update(known)


def test_a_network_of_ones_own_is_trained_and_given_again(tmp_path, capsys):
    data, run = draw_folder(tmp_path / "data", {"cat": 12, "dog": 12}), tmp_path / "run"
    file = tmp_path / "mine.py"
    file.write_text(NETWORK.replace("NAME", "tiniest"))
    given = ["--with", str(file)]
    assert main(["train", str(data), "--network", "tiniest", "--epochs", "1", "--to", str(run), "--quiet", *given]) == 0
    recorded = json.loads((run / "run.json").read_text())["with"]
    assert recorded == {"mine.py": hashlib.sha256(file.read_bytes()).hexdigest()}

    extension.GIVEN.clear()
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json"]) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert "mine.py: give it again, --with mine.py" in out.err

    extension.GIVEN["mine.py"] = recorded["mine.py"]  # as after --with mine.py in a process of its own
    assert main(["evaluate", str(run), "--json"]) == 0
    extension.GIVEN["mine.py"] = "another"
    with pytest.warns(Notice, match=r"mine\.py has changed"):
        Run(run).task()


def test_it_may_be_given_twice_and_to_any_verb(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(NETWORK.replace("NAME", "tinier"))
    for args in (["describe", "tinier", "--json", f"--with={file}"], ["describe", "--with", str(file), "tinier"]):
        assert main(args) == 0
    assert "tinier" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = (\n", ":1: SyntaxError"),
        ("x = 1\nx / 0\n", ":2: ZeroDivisionError"),
        (NETWORK.replace("NAME", "lenet5"), "a network called lenet5 already"),
        (None, "name one that ends in .py"),
    ],
)
def test_its_mistakes_are_one_line(tmp_path, text, told):
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError) as error:
        extension.give(file)
    assert told in str(error.value)
    assert str(error.value).startswith(f"--with {file}")
    assert "mine.py" not in extension.GIVEN
