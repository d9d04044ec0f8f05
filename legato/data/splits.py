"""Which example goes where, decided by a hash of its name: the same today and tomorrow, here and elsewhere.

Pure functions of numbers. Where a class is large, an example's place never changes when others are added.
"""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from legato.errors import UsageError

Shares = Float64[np.ndarray, "n"]
Strata = Shaped[np.ndarray, "n"]
SMALL = 100  # a tenth of fewer than this, left to chance, may well be empty


def share(name: str) -> float:
    """A number in [0, 1) that any change of the name changes."""
    digest = blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def shares(names: Iterable[str]) -> Shares:
    return np.fromiter(map(share, names), np.float64)


def hold_out(shares: Shares, strata: Strata, parts: int = 1) -> Int64[np.ndarray, "n"]:
    """0 for what stays in training, 1 … `parts` for the tenths held out: the last tenth is part `parts`.

    Strata (classes) of 100 and more are cut where the share passes 0.9 (0.8, …), so that an example's part depends on
    its name alone. Smaller ones give exactly their tenths, those of the largest shares, at least one each, as long as
    one example stays in training.
    """
    place, size = ranked(shares, strata)
    from_top = size - 1 - place
    tenth = np.minimum(np.maximum(1, np.round(size / 10)), (size - 1) // parts).astype(np.int64)
    exact = np.where(from_top < parts * tenth, parts - from_top // np.maximum(1, tenth), 0)
    by_share = np.maximum(0, np.floor(10 * shares).astype(np.int64) - (9 - parts))
    return np.where(size < SMALL, exact, by_share)


def deal(shares: Shares, strata: Strata, folds: int) -> Int64[np.ndarray, "n"]:
    """The fold 0 … folds − 1 of each example, dealt out like cards: stratum after stratum, each in order of its shares.

    Folds differ by at most one example, in all and in each stratum.
    """
    fold = np.empty(len(shares), np.int64)
    fold[np.lexsort((shares, strata))] = np.arange(len(shares)) % folds
    return fold


def ranked(shares: Shares, strata: Strata) -> tuple[Int64[np.ndarray, "n"], Int64[np.ndarray, "n"]]:
    """The place of each example in its stratum, ordered by share, and the size of that stratum."""
    order = np.lexsort((shares, strata))
    _, first, count = np.unique(strata[order], return_index=True, return_counts=True)
    place, size = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - np.repeat(first, count)
    size[order] = np.repeat(count, count)
    return place, size


def parse_fold(text: str) -> tuple[int, int]:
    """ "2/5" → (1, 5): the second of five. "all" → (1, 1): nobody is in it, all are left to train on. UsageError."""
    if text == "all":
        return 1, 1
    number, slash, folds = text.partition("/")
    if not (slash and number.isdecimal() and folds.isdecimal() and 1 <= int(number) <= int(folds) and int(folds) >= 2):
        raise UsageError(f"--fold {text}: write it as 2/5, the second of five folds; or all, to train on everything")
    return int(number) - 1, int(folds)


def who_validates(fold: str) -> str:
    """Of `deal` by this fold, for people."""
    return "nobody validates, the last weights are kept" if fold == "all" else f"valid is fold {fold}"
