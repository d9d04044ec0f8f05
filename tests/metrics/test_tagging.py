"""Words, sentences and unknown words with the right tags, counted by hand."""

import torch

from legato.metrics import tagging


def test_counts_by_hand():
    # two sentences of 3 and 2 words; predicted 0 1 1 | 2 2
    predicted = torch.tensor([[0, 2], [1, 2], [1, 0]])
    p = torch.nn.functional.one_hot(predicted, 3) * 0.8 + 0.1
    targets = torch.tensor([[0, 2], [1, 2], [2, -1]])
    unknown = torch.tensor([[True, False], [False, False], [True, True]])
    found = tagging.scores(tagging.tally(p / p.sum(-1, keepdim=True), targets, unknown))
    assert found["accuracy"] == 4 / 5
    assert found["errors"] == 1
    assert found["words"] == 5
    assert found["sentence_accuracy"] == 1 / 2
    assert found["unknown_accuracy"] == 1 / 2


def test_tallies_add_up():
    torch.manual_seed(0)
    p, targets = torch.rand(4, 6, 3).softmax(-1), torch.randint(-1, 3, (4, 6))
    unknown = torch.rand(4, 6) < 0.3
    whole = tagging.tally(p, targets, unknown)
    parts = [tagging.tally(p[:, i : i + 2], targets[:, i : i + 2], unknown[:, i : i + 2]) for i in (0, 2, 4)]
    for name, value in whole.items():
        torch.testing.assert_close(value, sum(part[name] for part in parts))
