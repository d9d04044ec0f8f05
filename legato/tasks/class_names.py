"""Classes as people call them: "toaster" for "toaster", "tabby" for "tabby, tabby cat"."""

from collections.abc import Sequence

from legato.errors import UsageError, nearest


def class_index(what: str, names: Sequence[str]) -> int:
    """Which class is meant: by its whole name, or by one of the synonyms in it, which commas part; case does not count.

    Of "crane (n02012849)" what is in brackets only tells it from another crane.

    Raises UsageError for a synonym of several classes, and for no class at all, naming the nearest.
    """
    if what in names:
        return list(names).index(what)
    called: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        for word in {name.lower(), *(part.partition(" (")[0].strip().lower() for part in name.split(","))}:
            called.setdefault(word, []).append(k)
    found = called.get(what.strip().lower(), [])
    if len(found) > 1:
        raise UsageError(f"several classes are called {what!r}: {'; '.join(names[k] for k in found)}")
    if not found:
        raise UsageError(f"no class called {what!r}{nearest(what, called)}")
    return found[0]
