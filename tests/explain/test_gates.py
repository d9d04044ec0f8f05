"""How often gates are open or shut."""

import pytest
import torch

from legato.explain.saturation import gated, saturation
from legato.networks.charrnn import CharRNN, onehot
from legato.networks.sentence import BagOfWords
from legato.recurrent.cells import CELLS
from legato.recurrent.stack import Stack
from legato.tasks.language import Language


def test_shares_are_counted_by_hand():
    gate = torch.tensor([[0.05, 0.95, 0.5], [0.2, 0.91, 0.09], [0.01, 0.99, 0.5], [0.0999, 0.5, 0.95]])[:, None]
    shut, opened = saturation(gate)
    assert shut.tolist() == [0.75, 0, 0.25]
    assert opened.tolist() == [0, 0.75, 0.25]
    assert ((shut + opened) <= 1).all()


def test_padding_does_not_count():
    gate = torch.tensor([[[0.0], [1.0]], [[0.5], [1.0]]])  # (t, b, n)
    shut, opened = saturation(gate, torch.tensor([[True, True], [True, False]]))
    assert shut.item() == pytest.approx(1 / 3)
    assert opened.item() == pytest.approx(1 / 3)


def language(cell):
    return CharRNN(onehot(4), Stack(CELLS[cell], 4, 4), 4)


@pytest.mark.parametrize(("cell", "why"), [("lstm", ""), ("mut1", ""), ("rnn", "RNN has no gates")])
def test_networks_without_gates_are_told_so(cell, why):
    assert gated(Language(), language(cell)) == why


def test_networks_without_cells_are_told_so():
    assert "no recurrent cells" in gated(Language(), BagOfWords(torch.nn.Embedding(3, 2), 2, 2, 0.0))
