"""One line for the user: what is wrong, where, and what to do about it. The exit code says of which kind it is."""

from collections.abc import Iterable
from difflib import get_close_matches


class LegatoError(Exception):
    """Something the user can act on. `str(error)` is one line; `code` is the exit code of the command line."""

    code = 1


class UsageError(LegatoError):
    """A flag, a name or a combination that does not exist."""

    code = 2


class DataError(LegatoError):
    """Data that cannot be used as it is."""

    code = 3


class Notice(UserWarning):
    """Something the user should know, and nothing to stop for."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean resnet18?`, or the list of what there is when nothing is near."""
    known = list(known)
    lower = {k.lower(): k for k in known}
    if close := get_close_matches(name.lower(), lower, n=1, cutoff=0.6):
        return f"; did you mean {lower[close[0]]}?"
    return f"; there are {', '.join(known)}" if len(known) <= 40 else f"; there are {len(known)}, see `legato list`"
