"""Attention against its formulas, written out place by place."""

import pytest
import torch

from legato.layers.attention import AdditiveAttention, DotAttention

S, T, B, N, M = 3, 5, 2, 4, 6


@pytest.fixture
def case():
    torch.manual_seed(0)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], dtype=torch.bool).T
    return torch.randn(S, B, N, dtype=torch.double), torch.randn(T, B, M, dtype=torch.double), mask


def by_hand(score, queries, memory, mask):
    """α_ij = exp(e_ij) / Σ_k exp(e_ik), c_i = Σ_j α_ij h_j, over the places that are there."""
    contexts, weights = torch.zeros(S, B, M).double(), torch.zeros(S, B, T).double()
    for i in range(S):
        for b in range(B):
            there = [j for j in range(T) if mask[j, b]]
            e = [float(score(queries[i, b], memory[j, b])) for j in there]
            total = sum(torch.tensor(x).exp() for x in e)
            for j, x in zip(there, e):
                weights[i, b, j] = torch.tensor(x).exp() / total
                contexts[i, b] += weights[i, b, j] * memory[j, b]
    return contexts, weights


def test_additive_attention_is_bahdanaus_formula(case):
    queries, memory, mask = case
    attention = AdditiveAttention(N, M, 7).double()
    score = lambda s, h: (
        attention.v.weight[0] @ torch.tanh(attention.W.weight @ s + attention.U.weight @ h + attention.U.bias)
    )
    c, α = attention(queries, attention.keys(memory), memory, mask)
    expected_c, expected_α = by_hand(lambda s, h: score(s, h).detach(), queries, memory, mask)
    torch.testing.assert_close(α, expected_α, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(c, expected_c, atol=1e-5, rtol=1e-5)


def test_dot_attention_is_luongs_formula(case):
    queries, memory, mask = case
    attention = DotAttention(N, M).double()
    c, α = attention(queries, attention.keys(memory), memory, mask)
    score = lambda s, h: (s @ attention.W.weight @ h).detach()
    expected_c, expected_α = by_hand(score, queries, memory, mask)
    torch.testing.assert_close(α, expected_α, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(c, expected_c, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [lambda: AdditiveAttention(N, M, 7), lambda: DotAttention(N, M)])
def test_padding_is_never_looked_at_and_one_query_is_as_good_as_many(case, kind):
    queries, memory, mask = (x.float() if x.is_floating_point() else x for x in case)
    attention = kind()
    c, α = attention(queries, attention.keys(memory), memory, mask)
    assert not α[:, 1, 2:].any()
    torch.testing.assert_close(α.sum(-1), torch.ones(S, B))
    other = memory.clone()
    other[2:, 1] = 99
    torch.testing.assert_close(attention(queries, attention.keys(other), other, mask)[0], c)
    one_c, one_α = attention(queries[1:2], attention.keys(memory), memory, mask)
    torch.testing.assert_close(one_c, c[1:2])
    torch.testing.assert_close(one_α, α[1:2])
