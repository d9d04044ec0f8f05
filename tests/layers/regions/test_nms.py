"""Suppression against the greedy rule written out, in every awkward case."""

import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from legato.layers.regions import iou, nms


def greedy(boxes, scores, threshold, classes=None):
    order = sorted(range(len(boxes)), key=lambda i: (-scores[i].item(), i))
    over, kept = (iou(boxes, boxes) > threshold).tolist(), []
    for i in order:
        rivals = [j for j in kept if classes is None or classes[i] == classes[j]]
        if not any(over[i][j] for j in rivals):
            kept.append(i)
    return kept


def crowd(n: int, seed: int, spread: float = 100.0):
    g = torch.Generator().manual_seed(seed)
    low = torch.rand(n, 2, generator=g) * spread
    return torch.cat([low, low + 5 + 30 * torch.rand(n, 2, generator=g)], dim=1), torch.rand(n, generator=g)


@given(st.integers(0, 60), st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_equals_the_greedy_rule(n, seed, threshold, by_class):
    boxes, scores = crowd(n, seed, spread=40)
    scores = (scores * 8).round() / 8  # ties
    classes = torch.arange(n) % 3 if by_class else None
    assert nms(boxes, scores, threshold, classes).tolist() == greedy(boxes, scores, threshold, classes)


def test_equals_the_greedy_rule_over_several_blocks():
    boxes, scores = crowd(700, 0)
    expected = greedy(boxes, scores, 0.5)
    assert nms(boxes, scores, 0.5).tolist() == expected
    assert nms(boxes, scores, 0.5, most=17).tolist() == expected[:17]


def test_a_chain_is_settled_link_by_link():
    # each box overlaps the next by half: a beats b, so that c may stay
    boxes = torch.tensor([[x, 0.0, x + 10, 10.0] for x in range(0, 300, 4)])
    scores = torch.linspace(1, 0, len(boxes))
    assert nms(boxes, scores, 0.3).tolist() == list(range(0, len(boxes), 2))


def test_nothing_from_nothing():
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5).shape == (0,)


@pytest.mark.parametrize("spread", [200, 5000])
def test_two_thousand_boxes_cost_less_than_their_table_of_overlaps(spread):
    boxes, scores = crowd(2000, 1, spread)  # 2 to 7 ms, measured on a quiet machine
    assert fastest(lambda: nms(boxes, scores, 0.5)) < 2 * fastest(lambda: iou(boxes, boxes))


def fastest(work) -> float:
    seconds = []
    for _ in range(5):
        began = time.thread_time()
        work()
        seconds.append(time.thread_time() - began)
    return min(seconds)
