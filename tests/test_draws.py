"""Addressed randomness: a number is a function of its address and of nothing else."""

import numpy as np
import torch
from scipy import stats

from legato.draws import Draws, generator, number, seed_from


def splitmix(state: int) -> int:
    """SplitMix64 as in Steele, Lea & Flood 2014, with Python's integers: the finalizer of a state."""
    mask = 2**64 - 1
    z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def test_draws_equal_splitmix_written_with_python_integers():
    mask, golden = 2**64 - 1, 0x9E3779B97F4A7C15
    address, examples = (7, "augment", 3), [0, 5, 123456789]
    found = Draws(address, examples).uniform("flip", 2)
    for row, example in enumerate(examples):
        start = splitmix((number(*address, "flip") + golden * (example + 1)) & mask)
        for k in (1, 2):
            expected = (splitmix((start + golden * k) & mask) >> 40) / 2**24
            assert found[row, k - 1].item() == expected


def test_a_row_does_not_depend_on_its_batch():
    together = Draws((0, "augment", 1), range(50)).normal("pca", 3)
    alone = torch.cat([Draws((0, "augment", 1), [i]).normal("pca", 3) for i in range(50)])
    assert torch.equal(together, alone)


def test_uniform_and_normal_pass_kolmogorov_smirnov():
    draws = Draws((1,), range(20_000))
    assert stats.kstest(draws.uniform("a").numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(draws.normal("a").numpy(), "norm").pvalue > 1e-3
    together = np.stack(
        [draws.uniform("a").numpy(), draws.uniform("b").numpy(), Draws((2,), range(20_000)).uniform("a")]
    )
    off_diagonal = np.corrcoef(together) - np.eye(3)
    assert np.abs(off_diagonal).max() < 0.03


def test_integers_stay_below_their_bound_and_reach_all_values():
    values = Draws((0,), range(1000)).integers("partner", 7)
    assert sorted(set(values.tolist())) == list(range(7))


def test_seed_and_generator_depend_on_the_whole_address():
    seed_from(0, "noise", 1)
    first = torch.rand(3)
    seed_from(0, "noise", 1)
    assert torch.equal(first, torch.rand(3))
    seed_from(0, "noise", 2)
    assert not torch.equal(first, torch.rand(3))
    assert not torch.equal(torch.rand(3, generator=generator("a")), torch.rand(3, generator=generator("b")))
