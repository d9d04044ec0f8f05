"""Sampling against its formula; beam search against trying every sentence."""

from itertools import product

import pytest
import torch

from legato.decoding import Beam, Sampling, beam_search, draw, probabilities, sample
from legato.draws import generator
from legato.errors import UsageError

LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0]])


def test_temperature_divides_the_logits():
    for t in (0.5, 1.0, 2.0):
        expected = (LOGITS / t).exp() / (LOGITS / t).exp().sum()
        torch.testing.assert_close(probabilities(LOGITS, Sampling(temperature=t)), expected)
    assert probabilities(LOGITS, Sampling(temperature=0)).tolist() == [[1, 0, 0, 0]]


def test_top_k_leaves_k_in_their_proportions():
    p = LOGITS.softmax(-1)[0]
    expected = torch.tensor([[p[0], p[1], 0, 0]]) / (p[0] + p[1])
    torch.testing.assert_close(probabilities(LOGITS, Sampling(top_k=2)), expected)


def test_top_p_leaves_the_fewest_that_have_p_together():
    p = torch.tensor([[0.1, 0.5, 0.15, 0.25]])
    left = lambda top_p: probabilities(p.log(), Sampling(top_p=top_p)).gt(0).tolist()[0]
    assert left(0.5) == [False, True, False, False]
    assert left(0.6) == [False, True, False, True]
    assert left(0.8) == [False, True, True, True]
    assert left(1.0) == [True] * 4
    torch.testing.assert_close(probabilities(p.log(), Sampling(top_p=0.6)), torch.tensor([[0, 2 / 3, 0, 1 / 3]]))


def test_draws_follow_the_probabilities_and_the_seed():
    p = torch.tensor([[0.2, 0.3, 0.5]]).expand(20_000, 3)
    ids = draw(p, generator("test"))
    torch.testing.assert_close(ids.bincount(minlength=3) / 20_000, p[0], atol=0.015, rtol=0)
    assert torch.equal(ids, draw(p, generator("test")))
    assert not torch.equal(ids, draw(p, generator("another")))


def test_each_drawn_unit_is_the_next_input():
    fed = []

    def count_up(ids, state):
        fed.append(ids.tolist())
        return torch.nn.functional.one_hot((ids + 1) % 5, 5) * 100.0, state

    first = torch.nn.functional.one_hot(torch.tensor([3, 0]), 5) * 100.0
    drawn = list(sample(count_up, first, (), Sampling(length=4), generator(0)))
    assert torch.stack(drawn).T.tolist() == [[3, 4, 0, 1], [0, 1, 2, 3]]
    assert fed == [[3, 0], [4, 1], [0, 2]]


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}, {"top_k": -1}, {"length": -1}]
)
def test_choices_that_mean_nothing_are_refused(wrong):
    with pytest.raises(UsageError, match=f"--{next(iter(wrong)).replace('_', '-')}"):
        Sampling(**wrong)


V, END, LONGEST = 4, 3, 4


def chain(seed: int) -> torch.Tensor:
    """A first-order model with memory of the step: logits (step, previous, next)."""
    return torch.randn(LONGEST, V, V, generator=torch.Generator().manual_seed(seed)) * 1.5


def best_of_all(logits: torch.Tensor, begin: int, alpha: float) -> tuple[list[int], float]:
    """Every sentence there is, scored by the formula."""
    log_p = logits.log_softmax(-1)
    found = []
    for length in range(1, LONGEST + 1):
        for ids in product(range(V), repeat=length):
            if END in ids[:-1] or (length < LONGEST and ids[-1] != END):
                continue
            total = sum(float(log_p[t, (begin, *ids)[t], ids[t]]) for t in range(length))
            found.append((total / ((5 + length) / 6) ** alpha, [i for i in ids if i != END]))
    score, ids = max(found)
    return ids, score


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_wide_beam_finds_the_best_of_all_sentences(seed, alpha):
    tables = [chain(seed), chain(seed + 100)]  # two sentences at once, each with its own model
    k = 64

    def step(ids, state):
        which, t = state
        logits = torch.stack([tables[int(w)][int(s), int(i)] for w, s, i in zip(which, t, ids)])
        return logits, (which, t + 1)

    state = (torch.tensor([0, 1]).repeat_interleave(k), torch.zeros(2 * k, dtype=torch.long))
    found = beam_search(step, state, torch.tensor([0, 1]), END, Beam(beam=k, longest=LONGEST, length_penalty=alpha))
    for hypothesis, table, begin in zip(found, tables, (0, 1)):
        ids, score = best_of_all(table, begin, alpha)
        assert hypothesis.ids == ids
        assert hypothesis.score == pytest.approx(score, rel=1e-4)


def test_a_beam_of_one_is_greedy():
    table = chain(7)
    ids, greedy = 0, []
    for t in range(LONGEST):
        ids = int(table[t, ids].argmax())
        if ids == END:
            break
        greedy.append(ids)
    step = lambda ids, state: (table[int(state[0][0]), ids], (state[0] + 1,))
    [found] = beam_search(
        step, (torch.zeros(1, dtype=torch.long),), torch.tensor([0]), END, Beam(1, beam=1, longest=LONGEST)
    )
    assert found.ids == greedy
