"""From dataclasses to flags, by tyro. A flag that does not exist is answered with the nearest that does."""

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar, get_type_hints

import tyro

from legato.errors import UsageError, nearest

T = TypeVar("T")


def parse(kind: type[T], args: list[str], verb: str) -> T:
    """An instance of the dataclass `kind` as `args` say. `--help` prints and exits.

    Raises UsageError for an unknown flag; what else is wrong tyro says, and exits with 2.
    """
    known = flags(kind)
    for arg in args:
        name = arg.split("=")[0]
        if name.startswith("--") and name not in known:
            raise UsageError(f"legato {verb} has no flag {name}{nearest(name, sorted(known))}")
    return tyro.cli(
        kind, args=args, prog=f"legato {verb}", description=kind.__doc__, config=(tyro.conf.OmitArgPrefixes,)
    )


def flags(kind: type) -> set[str]:
    """All that parse accepts, `--no-` forms included."""
    names = {f.name.replace("_", "-") for f in dataclasses.fields(kind)}
    return {"--help"} | {f"--{n}" for n in names} | {f"--no-{n}" for n in names}


def help_of(kind: type) -> dict[str, str]:
    """The docstring under each field of a dataclass and of those it inherits from."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:]):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[ast.unparse(field.target)] = str(text.value.value)
    return found


def optional_flags(kind: type, left_out: Iterable[str] = ()) -> list[tuple[str, Any, Any]]:
    """The fields of a dataclass as flags that are None when not given, for `make_dataclass`."""
    hints, texts, out = get_type_hints(kind), help_of(kind), set(left_out)
    return [
        (f.name, Annotated[hints[f.name] | None, tyro.conf.arg(help=texts.get(f.name, ""))], None)
        for f in dataclasses.fields(kind)
        if f.name not in out and f.metadata.get("flag", True)
    ]


def given(options: Any, names: Iterable[str]) -> dict[str, Any]:
    """Those of the flags that were given."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}
