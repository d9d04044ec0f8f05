"""From dataclasses to flags: what is accepted, and that what is not is answered in one line."""

from dataclasses import dataclass
from typing import Literal

import pytest
import tyro

from legato.cli import arguments
from legato.errors import UsageError


@dataclass
class Cook:
    """A dish."""

    dish: tyro.conf.Positional[str]
    """Its name."""
    oven_heat: int = 180
    """Degrees."""
    how: Literal["boil", "bake"] = "bake"
    """The way."""
    salted: bool = False
    """Whether."""


def test_flags_with_hyphens_and_with_underscores_and_switches_without_a_value():
    for heat in (["--oven-heat", "200"], ["--oven_heat", "200"], ["--oven_heat=200"]):
        assert arguments.parse(Cook, ["soup", *heat, "--salted"], "cook") == Cook("soup", 200, "bake", True)
    assert not arguments.parse(Cook, ["soup", "--no-salted"], "cook").salted


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["soup", "--oven", "3"], "legato cook has no flag --oven; did you mean --oven-heat?"),
        (["soup", "--how", "biol"], "--how biol: no such choice; did you mean boil?"),
        (["soup", "--how=fry"], "--how fry: no such choice; there are boil, bake"),
        (["soup", "--oven-heat", "hot"], "Error parsing --oven-heat: invalid literal for int() with base 10: 'hot'"),
        (["soup", "--oven-heat"], "Missing value for argument '--oven-heat'"),
        ([], "Its name. (required); see legato cook --help"),
        (["soup", "salad"], "salad"),
    ],
)
def test_what_does_not_fit_is_one_line(args, told, capsys):
    with pytest.raises(UsageError) as error:
        arguments.parse(Cook, args, "cook")
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert not set(str(error.value)) & set("│╭╰")
    out = capsys.readouterr()
    assert out.out + out.err == ""


def test_the_first_argument_that_is_no_flag_nor_the_value_of_one():
    switches = arguments.switches(Cook)
    assert switches == {"--salted", "--no-salted"}
    for args in (
        ["--oven-heat", "3", "soup"],
        ["--oven_heat=3", "soup"],
        ["--salted", "soup", "x"],
        ["--t", "-1", "soup"],
    ):
        assert arguments.positional(args, switches) == "soup"
    assert arguments.positional(["--oven-heat", "3", "--salted"], switches) == ""


def test_given_are_those_that_stand_in_the_arguments_even_at_their_default():
    args = ["soup", "--oven_heat", "180", "--no-salted"]
    options = arguments.parse(Cook, args, "cook")
    assert arguments.given(options, args, ["oven_heat", "how", "salted"]) == {"oven_heat": 180, "salted": False}
