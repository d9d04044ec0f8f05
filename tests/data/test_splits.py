"""Splits by hash: stable, disjoint, of the right size, even over the classes."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato.data.splits import deal, hold_out, parse_fold, share, shares
from legato.errors import UsageError

NAMES = [f"train/class{k % 7}/{k:05}.jpg" for k in range(7000)]
STRATA = np.arange(7000) % 7


def test_a_share_is_the_leading_bits_of_blake2b():
    digest = hashlib.blake2b("täst/1.jpg".encode(), digest_size=8).hexdigest()
    assert share("täst/1.jpg") == pytest.approx(int(digest, 16) / 2**64, abs=1e-15)
    assert 0 <= share("odd \udcff name") < 1


def test_shares_are_uniform():
    histogram = np.bincount((shares(NAMES) * 10).astype(int), minlength=10)
    assert histogram.sum() == 7000
    assert histogram.min() > 600
    assert histogram.max() < 800


def test_a_tenth_is_held_out_of_each_large_class():
    part = hold_out(shares(NAMES), STRATA)
    assert set(part) == {0, 1}
    for k in range(7):
        assert 0.07 < part[k == STRATA].mean() < 0.13
    both = hold_out(shares(NAMES), STRATA, parts=2)
    assert np.array_equal(both == 2, part == 1), "the last tenth is the last part"
    assert 0.08 < (both == 1).mean() < 0.12


def test_adding_examples_moves_none_of_a_large_class():
    few = hold_out(shares(NAMES[:3500]), STRATA[:3500])
    many = hold_out(shares(NAMES), STRATA)
    assert np.array_equal(few, many[:3500])
    shuffled = np.random.default_rng(0).permutation(7000)
    assert np.array_equal(hold_out(shares([NAMES[i] for i in shuffled]), STRATA[shuffled]), many[shuffled])


@given(st.integers(1, 99), st.integers(1, 2))
def test_a_small_class_gives_exactly_its_tenths_and_keeps_one(count, parts):
    part = hold_out(shares(str(k) for k in range(count)), np.zeros(count), parts)
    held = np.bincount(part, minlength=parts + 1)
    assert held[0] >= 1
    assert len(set(held[1:])) == 1
    assert held[1] == min(max(1, round(count / 10)), (count - 1) // parts)


def test_seventeen_pictures_a_class_give_two_each():
    strata = np.repeat([0, 1, 2], 17)
    part = hold_out(shares(f"{k}" for k in range(51)), strata)
    assert np.bincount(strata[part == 1]).tolist() == [2, 2, 2]


@given(st.lists(st.integers(0, 4), min_size=5, max_size=80), st.integers(2, 5))
def test_folds_part_every_class_evenly(strata, folds):
    strata = np.array(strata)
    fold = deal(shares(map(str, range(len(strata)))), strata, folds)
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for k in set(strata):
        of_class = np.bincount(fold[strata == k], minlength=folds)
        assert of_class.max() - of_class.min() <= 1


def test_fold_is_written_two_of_five():
    assert parse_fold("2/5") == (1, 5)
    for wrong in ("2", "0/5", "6/5", "1/1", "a/b", "-1/5", "2/5/1"):
        with pytest.raises(UsageError, match="2/5"):
            parse_fold(wrong)
