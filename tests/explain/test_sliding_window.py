"""What a sliding network spares, and what it finds."""

import re

import torch
from torch import nn

from legato.explain.sliding_window import cost
from legato.layers.stages import stages
from legato.networks.sliding_window import SlidingWindow


def test_multiply_adds_are_counted_by_hand():
    """A 3×3 convolution to 4 channels and a dense layer, 8 × 8 windows on 16 × 16 pixels, one scale and the next."""
    net = stages(conv=nn.Conv2d(1, 4, 3), flat=nn.Flatten(), classify=nn.Linear(4 * 6 * 6, 2)).eval()
    slid = SlidingWindow(net, (1, 8, 8))
    told = cost(net, slid, (1, 8, 8), torch.Size([16, 16]))
    window = 6 * 6 * 4 * 9 + 4 * 36 * 2
    counts = {16: 9 * 9, 11: 4 * 4, 8: 1}  # 16 pixels less by √½ twice; at stride 1
    together = sum((n - 2) ** 2 * 4 * 9 + (n - 7) ** 2 * 4 * 36 * 2 for n in counts)
    assert told.startswith(f"{sum(counts.values())} windows of 8 × 8: ")
    apart, shared, less = (int(n.replace(",", "")) for n in re.findall(r"([\d,]+) (?:million|as|times)", told))
    assert (apart, shared) == (round(sum(counts.values()) * window / 1e6), round(together / 1e6))
    assert less == round(sum(counts.values()) * window / together)
