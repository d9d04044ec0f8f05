"""Nats, bits and the lectures' units."""

import math

import pytest
import torch

from legato.metrics import language
from legato.metrics.language import bracket_balance


def uniform(units: int) -> dict[str, float]:
    p = torch.full((10, 4, units), 1 / units)
    targets = torch.arange(40).view(10, 4) % units
    return language.scores(language.tally(p, targets, torch.ones(units, dtype=torch.long)))


def test_knowing_nothing_costs_the_logarithm_of_the_number_of_units():
    found = uniform(74)
    assert found["nats_per_character"] == pytest.approx(math.log(74))
    assert found["minus_nats"] == -found["nats_per_character"]
    assert found["bits_per_character"] == pytest.approx(math.log2(74))
    assert found["perplexity"] == pytest.approx(74)


def test_padding_is_not_counted_and_long_units_count_their_characters():
    p = torch.tensor([[[0.5, 0.5]], [[0.25, 0.75]], [[0.9, 0.1]]])
    found = language.tally(p, torch.tensor([[0], [1], [-1]]), torch.tensor([1, 5]))
    assert found["units"] == 2
    assert found["characters"] == 6
    assert float(found["nats"]) == pytest.approx(-math.log(0.5) - math.log(0.75))
    assert language.scores(found)["nats_per_character"] == pytest.approx(float(found["nats"]) / 6)
    assert language.scores(found)["nats_per_unit"] == pytest.approx(float(found["nats"]) / 2)


def test_tallies_add_up():
    torch.manual_seed(0)
    p, targets, lengths = torch.rand(6, 3, 5).softmax(-1), torch.randint(-1, 5, (6, 3)), torch.arange(5)
    whole = language.tally(p, targets, lengths)
    parts = [language.tally(p[:, i : i + 1], targets[:, i : i + 1], lengths) for i in range(3)]
    for name, value in whole.items():
        torch.testing.assert_close(value, sum(part[name] for part in parts))


@pytest.mark.parametrize(
    ("code", "balance"),
    [
        ("int f(int a[3]) { return a[0]; }", 1.0),
        ("no brackets", 1.0),
        ("(()", 2 / 3),
        ("([)]", 1 / 2),
        (")(", 0.0),
        ("(){", 2 / 3),
    ],
)
def test_balance_of_brackets(code, balance):
    assert bracket_balance(code) == pytest.approx(balance)
