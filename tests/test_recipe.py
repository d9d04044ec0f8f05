"""The learning rate is a function of the step: against the formulas, written a second time."""

from math import cos, isclose, pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato.errors import UsageError
from legato.recipe import Recipe, lr_at


def test_warm_up_is_linear_and_cosine_is_loshchilov_and_hutter():
    recipe = Recipe(lr=0.4, warmup=0.2, schedule="cosine")
    for step in range(20):
        assert isclose(lr_at(recipe, step, 100), 0.4 * (step + 1) / 21)
    for step in range(20, 100):
        assert isclose(lr_at(recipe, step, 100), 0.4 * 0.5 * (1 + cos(pi * (step - 20) / 80)))


def test_linear_falls_to_zero_and_constant_stays():
    assert isclose(lr_at(Recipe(lr=1.0, warmup=0.0, schedule="linear"), 25, 100), 0.75)
    assert lr_at(Recipe(lr=1.0, warmup=0.0, schedule="constant"), 99, 100) == 1


def test_plateau_divides_by_ten_each_time():
    recipe = Recipe(lr=1e-2, warmup=0.0, schedule="plateau")
    assert [round(lr_at(recipe, 5, 10, drops), 9) for drops in range(3)] == [1e-2, 1e-3, 1e-4]


@given(step=st.integers(0, 999), warmup=st.floats(0, 0.9), schedule=st.sampled_from(["constant", "linear", "cosine"]))
def test_the_rate_stays_between_zero_and_its_peak(step, warmup, schedule):
    assert 0 < lr_at(Recipe(lr=0.1, warmup=warmup, schedule=schedule), step, 1000) <= 0.1


@pytest.mark.parametrize(("field", "value"), [("epochs", 0), ("batch_size", 0), ("lr", -1.0), ("patience", -1)])
def test_nonsense_is_refused_with_the_flags_name(field, value):
    with pytest.raises(UsageError, match=f"--{field.replace('_', '-')}"):
        Recipe(**{field: value})
