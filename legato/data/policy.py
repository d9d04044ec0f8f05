"""Which split comes from where, and the sentence that says so; and what no set of pictures may lack."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from legato.data.examples import Pictures, PictureSet, join
from legato.data.splits import deal, hold_out, parse_fold, shares, who_validates
from legato.errors import DataError
from legato.task import Split

SPLITS: dict[str, Split] = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
TENTHS = "train, valid and test are 80, 10 and 10 % of the examples, chosen by the hash of each name"


def tenths(found: Pictures) -> dict[Split, Pictures]:
    """80 % to train on, a tenth to validate and a tenth to test with."""
    part = hold_out(shares(found.names()), strata(found), parts=2)
    return {"train": found.take(part == 0), "valid": found.take(part == 1), "test": found.take(part == 2)}


def complete(found: PictureSet, fold: str = "") -> PictureSet:
    """All three splits, checked. With `fold` "2/5" the second fifth of train and valid validates, the rest trains;
    with "all" both train.

    A set without a validation split gives a tenth of train to it; one without a test split goes without, and says so.
    Raises DataError for a set nothing can be learnt from.
    """
    channels = found.splits["train"].channels
    none = found.splits["train"].take(np.arange(0))
    train, valid, test = (
        replace(found.splits.get(split, none), channels=channels) for split in ("train", "valid", "test")
    )
    policy = found.policy
    if fold:
        number, folds = parse_fold(fold)
        known = join(train, valid)
        dealt = deal(shares(known.names()), strata(known), folds)
        train, valid = known.take(dealt != number), known.take(dealt == number)
        policy += f"; train and valid are dealt anew, class by class by the hash of each name: {who_validates(fold)}"
    elif not len(valid):
        part = hold_out(shares(train.names()), strata(train))
        train, valid = train.take(part == 0), train.take(part == 1)
        policy += f"; valid is the last tenth of train by the hash of each name ({len(valid):,} of {len(part):,})"
    if not len(test):
        policy += "; there is no test split"
    whole = replace(found, splits={"train": train, "valid": valid, "test": test}, policy=policy)
    check(whole)
    return whole


def strata(found: Pictures) -> Int64[np.ndarray, "n"]:
    """The class of each example; without classes all are one stratum."""
    return found.targets if found.targets.ndim == 1 else np.zeros(len(found), np.int64)


def check(found: PictureSet) -> None:
    """Raises DataError for a set without examples or labels, or with classes that cannot be learnt."""
    if not len(found.splits["train"]):
        raise DataError(f"no training examples; {found.policy}")
    if not found.names:
        raise DataError(f"no example has any label; {found.policy}")
    if found.kind == "class":
        check_classes(found)


def check_classes(found: PictureSet) -> None:
    """Raises DataError for a single class, a label without a name, a class that training never sees."""
    classes = len(found.names)
    if classes < 2:
        raise DataError(f"one class only ({', '.join(found.names)}); there must be two or more to tell apart")
    for examples in found.splits.values():
        wrong = np.flatnonzero((examples.targets < 0) | (examples.targets >= classes))
        if len(wrong):
            label, name = examples.targets[wrong[0]], examples.name(int(wrong[0]))
            raise DataError(f"{name}: label {label} is out of range; {classes} classes have labels 0 to {classes - 1}")
    seen = set(np.unique(found.splits["train"].targets).tolist())
    for split, examples in found.splits.items():
        unseen = set(np.unique(examples.targets).tolist()) - seen
        if unseen:
            names = ", ".join(found.names[k] for k in sorted(unseen))
            raise DataError(f"classes in {split} that train has no example of: {names}; add some or take them out")
