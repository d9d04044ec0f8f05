import pytest
import torch
from torch import nn

from legato.recurrent.cells import CELLS, GRU, LSTM
from legato.recurrent.generate import Sampler, draw, sample

LETTERS = 17


def model(name, width, depth=2):
    torch.manual_seed(1)
    cells = [CELLS[name](width, width) for _ in range(depth)]
    head = nn.Linear(width, LETTERS)
    head.weight.data *= 5
    return cells, torch.randn(LETTERS, width), head


@pytest.mark.parametrize(("name", "width"), [("lstm", 16), ("mut1", 16), ("gru", 19), ("fgr", 16)])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_c_draws_the_same_text_as_the_slow_loop(name, width, temperature):
    parts, prompt = model(name, width), torch.randint(0, LETTERS, (4, 3))
    uniforms = torch.rand(40, 3)
    text, states = sample(*parts, prompt, uniforms, temperature)
    fast_text, fast_states = Sampler(*parts)(prompt, uniforms, temperature)
    assert torch.equal(text, fast_text)
    for a, b in zip(states, fast_states, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_text_may_be_drawn_in_pieces():
    sampler, prompt, uniforms = Sampler(*model("lstm", 16)), torch.zeros(1, 2, dtype=torch.long), torch.rand(20, 2)
    whole, _ = sampler(prompt, uniforms)
    first, states = sampler(prompt, uniforms[:7])
    second, _ = sampler(first[-1:], uniforms[7:], states=states)
    assert torch.equal(torch.cat((first, second)), whole)


def test_bfloat16_draws_nearly_the_same_letters():
    cells, table, head = model("lstm", 32, depth=1)
    prompt, uniforms = torch.zeros(1, 64, dtype=torch.long), torch.rand(10, 64)
    exact, _ = Sampler(cells, table, head)(prompt, uniforms)
    rounded, _ = Sampler(cells, table, head, torch.bfloat16)(prompt, uniforms)
    assert (exact == rounded).float().mean() > 0.9


def test_a_draw_follows_the_distribution():
    logits, uniforms = torch.log(torch.tensor([[0.1, 0.6, 0.3]])), (torch.arange(1000) + 0.5) / 1000
    letters = draw(logits.expand(1000, -1), 1.0, uniforms)
    assert letters.bincount().tolist() == [100, 600, 300]
    assert draw(logits, 0.0, uniforms[:1]).item() == 1


def test_layers_that_do_not_fit_are_sampled_slowly():
    cells = [LSTM(4, 8), GRU(8, 8)]
    odd = [LSTM(4, 8), GRU(8, 6)]
    head = nn.Linear(6, LETTERS)
    table, prompt, uniforms = torch.randn(LETTERS, 4), torch.zeros(1, 1, dtype=torch.long), torch.rand(5, 1)
    assert Sampler(cells, table, nn.Linear(8, LETTERS)).layers
    with pytest.warns(UserWarning, match="not as wide as what is below"):
        text, _ = Sampler(odd, table, head)(prompt, uniforms)
    assert torch.equal(text, sample(odd, table, head, prompt, uniforms)[0])
