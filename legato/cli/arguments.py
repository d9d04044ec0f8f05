"""From dataclasses to flags, by tyro. What does not exist is answered in one line, with the nearest that does."""

import ast
import contextlib
import dataclasses
import inspect
import io
import textwrap
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import tyro

from legato.errors import UsageError, nearest

T = TypeVar("T")
FRAME = "╭╮╰╯│─ -"  # what tyro draws around an error


def parse(kind: type[T], args: list[str], verb: str) -> T:
    """An instance of the dataclass `kind` as `args` say. `--help` prints and exits.

    Raises UsageError for an unknown flag or a value that does not fit.
    """
    args, known, choices = [hyphened(arg) for arg in args], flags(kind), choices_of(kind)
    for arg, following in zip(args, [*args[1:], ""]):
        name, is_one, value = arg.partition("=")
        if name.startswith("--") and name not in known:
            raise UsageError(f"legato {verb} has no flag {name}{nearest(name, sorted(known))}")
        value = value if is_one else following
        if value and value not in choices.get(name, (value,)):
            raise UsageError(f"{name} {value}: no such choice{nearest(value, choices[name])}")
    said, flat = io.StringIO(), (tyro.conf.OmitArgPrefixes,)
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=args, prog=f"legato {verb}", description=kind.__doc__, config=flat)
    except SystemExit as left:
        if not left.code:  # --help
            raise
        raise UsageError(f"legato {verb}: {sentence(said.getvalue())}; see legato {verb} --help") from None


def hyphened(arg: str) -> str:
    """--batch_size=3 is --batch-size=3."""
    name, is_one, value = arg.partition("=")
    return name.replace("_", "-") + is_one + value if name.startswith("--") else arg


def sentence(box: str) -> str:
    """What tyro says in a box, in a line: without its title, its frame, and the help it points to."""
    lines = [line.strip(FRAME) for line in box.splitlines()]
    lines = [line for line in lines if line][1:]
    end = next((i for i, line in enumerate(lines) if line.startswith(("For full help", "Argument helptext"))), None)
    return " ".join(lines[:end]).rstrip(".") or "arguments that cannot be understood"


def flags(kind: type) -> set[str]:
    """All that parse accepts, `--no-` forms included."""
    names = {flag_of(f.name) for f in dataclasses.fields(kind)}
    return {"--help"} | names | {f"--no-{name[2:]}" for name in names}


def flag_of(field: str) -> str:
    """batch_size → --batch-size; from_ → --from."""
    return f"--{field.rstrip('_').replace('_', '-')}"


def choices_of(kind: type) -> dict[str, tuple[str, ...]]:
    """The flags that take one of several words, and these words."""
    return {flag_of(name): get_args(hint) for name, hint in get_type_hints(kind).items() if get_origin(hint) is Literal}


def switches(kind: type) -> set[str]:
    """The flags that take no value."""
    names = [flag_of(name) for name, hint in get_type_hints(kind).items() if hint is bool]
    return {*names, *(f"--no-{name[2:]}" for name in names)}


def positional(args: Iterable[str], without_value: set[str]) -> str:
    """The first argument that is neither a flag nor the value of one; "" if there is none."""
    waiting = False
    for arg in map(hyphened, args):
        if arg.startswith("--"):
            waiting = "=" not in arg and arg not in without_value
        elif waiting:
            waiting = False
        elif not arg.startswith("-"):
            return arg
    return ""


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


def as_flags(kind: type, left_out: Iterable[str] = (), default: str = "") -> list[tuple[str, Any, Any]]:
    """The fields of a dataclass as flags, for `make_dataclass`. `default` says in --help what holds without them."""
    hints, texts, out = get_type_hints(kind), help_of(kind), set(left_out)
    told = default or None
    return [
        (
            f.name,
            Annotated[hints[f.name], tyro.conf.arg(help=texts.get(f.name, ""), help_behavior_hint=told)],
            f.default,
        )
        for f in dataclasses.fields(kind)
        if f.name not in out and f.metadata.get("flag", True)
    ]


def given(options: Any, args: Iterable[str], names: Iterable[str]) -> dict[str, Any]:
    """Those of the flags that were given."""
    said = {hyphened(arg).partition("=")[0] for arg in args}
    return {n: getattr(options, n) for n in names if said & {flag_of(n), f"--no-{flag_of(n)[2:]}"}}
