"""Frozen dataclasses to plain JSON and back, checked against the types of their fields. No import by name, no eval."""

import dataclasses
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from legato.errors import LegatoError, nearest

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Dataclasses become objects, tuples lists; numbers, strings, booleans and None stay."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [to_json(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    return value


def from_json(kind: type[T], found: Any, where: str) -> T:
    """The value of this type that `found` describes.

    Raises LegatoError, naming the field, where it describes none: an unknown field, or a value of another type.
    """
    if not isinstance(found, dict):
        raise LegatoError(f"{where}: {found!r} is not an object: the file is damaged, or not one of legato's")
    hints = get_type_hints(kind)
    fields = {f.name for f in dataclasses.fields(kind) if f.init}  # type: ignore[arg-type]
    for name in found:
        if name not in fields:
            raise LegatoError(f"{where}: unknown field {name!r}{nearest(name, sorted(fields))}")
    try:
        return kind(**{name: checked(hints[name], value, f"{where}.{name}") for name, value in found.items()})
    except TypeError as error:  # a field without default is missing
        raise LegatoError(f"{where}: {error}: the file is damaged, or from another version") from None


def checked(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type `hint` says, lists made tuples where the field is one."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return optional(args, value, where)
    if origin is tuple and isinstance(value, list):
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        return tuple(checked(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value)))
    if origin is dict and isinstance(value, dict):
        return {k: checked(args[1], v, f"{where}[{k!r}]") for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        return from_json(hint, value, where)  # type: ignore[arg-type]
    if is_a(hint, origin, args, value):
        return float(value) if hint is float else value
    raise LegatoError(f"{where}: {value!r} is not {getattr(hint, '__name__', hint)}")


def optional(args: tuple[Any, ...], value: Any, where: str) -> Any:
    """A field that may be None."""
    return None if value is None else checked(next(a for a in args if a is not type(None)), value, where)


def is_a(hint: Any, origin: Any, args: tuple[Any, ...], value: Any) -> bool:
    if origin is Literal:
        return value in args
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return hint in (str, bool) and isinstance(value, hint)
