"""Networks of words: padding and neighbours change nothing, gradient reaches everything, shapes are as promised."""

import pytest
import torch
from torch import nn

from legato.layers.attention import AdditiveAttention, DotAttention
from legato.networks.charrnn import CharRNN, onehot
from legato.networks.sentence import BagOfWords, SentenceCNN, SentenceRNN
from legato.networks.seq2seq import AttentiveDecoder, Encoder, FeedingDecoder, FixedDecoder, Memory, Seq2Seq
from legato.networks.tagger import LimitedLookahead, SpellingCNN, SpellingRNN, Tagger, WordByWord
from legato.recurrent.cells import GRU, LSTM
from legato.recurrent.scan import mask_of
from legato.recurrent.stack import Stack

V, E, N, K = 11, 6, 5, 3
IDS = torch.tensor([[1, 2], [3, 4], [5, 0], [6, 0], [7, 0]])
LENGTHS = torch.tensor([5, 2])

READERS = {
    "bag": lambda: BagOfWords(nn.Embedding(V, E), N, K, 0.5),
    "cnn": lambda: SentenceCNN(nn.Embedding(V, E), N, K, 0.5),
    "rnn": lambda: SentenceRNN(nn.Embedding(V, E), Stack(GRU, E, N), K, 0.5),
    "both": lambda: SentenceRNN(nn.Embedding(V, E), Stack(LSTM, E, N, depth=2, both=True), K, 0.5),
}


def reaches_all(net: nn.Module, output: torch.Tensor) -> None:
    output.square().sum().backward()
    assert [
        n for n, p in net.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.abs().sum())
    ] == []


@pytest.mark.parametrize("kind", READERS)
def test_a_sentence_is_read_the_same_alone_and_beside_longer_ones(kind):
    torch.manual_seed(0)
    net = READERS[kind]().eval()
    together = net(IDS, mask_of(LENGTHS, 5))
    for row, length in enumerate(LENGTHS.tolist()):
        alone = net(IDS[:length, row : row + 1], mask_of(LENGTHS[row : row + 1], length))
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", READERS)
def test_gradient_reaches_every_parameter_of_a_sentence_reader(kind):
    torch.manual_seed(0)
    net = READERS[kind]().eval()
    reaches_all(net, net(IDS, mask_of(LENGTHS, 5)))


def test_order_counts_for_all_but_the_bag():
    for kind, make in READERS.items():
        torch.manual_seed(0)
        net, mask = make().eval(), mask_of(torch.tensor([5]), 5)
        same = torch.allclose(net(IDS[:, :1], mask), net(IDS[:, :1].flip(0), mask), atol=1e-6)
        assert same == (kind == "bag")


def test_kims_parameters():
    """100 maps of widths 3, 4, 5 on 300-dimensional words (Kim 2014, section 3.1)."""
    net = SentenceCNN(nn.Embedding(V, 300), 100, 2, 0.5)
    filters = sum(300 * width * 100 + 100 for width in (3, 4, 5))
    assert sum(p.numel() for p in net.parameters()) == V * 300 + filters + 300 * 2 + 2


def test_a_text_read_in_two_parts_is_read_as_one():
    torch.manual_seed(0)
    net = CharRNN(onehot(V), Stack(LSTM, V, N, depth=2), V)
    ids = torch.randint(V, (9, 2))
    whole, _ = net(ids)
    first, states = net(ids[:4])
    second, _ = net(ids[4:], states)
    torch.testing.assert_close(torch.cat((first, second)), whole)


def test_one_hot_is_a_table_that_stays():
    torch.manual_seed(0)
    net = CharRNN(onehot(V), Stack(GRU, V, N), V)
    assert torch.equal(net.embed.weight, torch.eye(V))
    reaches_all(net, net(torch.arange(V)[:, None])[0])
    assert net.embed.weight.grad is None


def spellings(words: torch.Tensor) -> torch.Tensor:
    """Word w is spelt with w % 4 + 1 letters."""
    flat = words.flatten()
    table = torch.full((4, len(flat)), -1)
    for column, w in enumerate(flat.tolist()):
        for i in range(w % 4 + 1):
            table[i, column] = (w + i) % 7
    return table


SPELLING = {
    "cnn": lambda: SpellingCNN(nn.Embedding(7, 4), 6),
    "rnn": lambda: SpellingRNN(nn.Embedding(7, 4), Stack(LSTM, 4, 3, both=True)),
}


@pytest.mark.parametrize("kind", SPELLING)
def test_a_word_is_spelt_the_same_beside_longer_ones(kind):
    torch.manual_seed(0)
    net, table = SPELLING[kind](), spellings(torch.arange(8))
    together = net(table)
    assert together.shape == (8, 6)
    for w in range(8):
        alone = net(table[: w % 4 + 1, w : w + 1])
        torch.testing.assert_close(together[w : w + 1], alone, atol=1e-5, rtol=1e-5)


def tagger(spelling: str, reader: nn.Module) -> Tagger:
    return Tagger(nn.Embedding(V, E), SPELLING[spelling]() if spelling else None, reader, K, 0.5)


@pytest.mark.parametrize("spelling", ["cnn", "rnn", ""])
@pytest.mark.parametrize("reads", ["both", "forward", "dnn"])
def test_tags_do_not_change_with_padding(spelling, reads):
    torch.manual_seed(0)
    inputs = E + (6 if spelling else 0)
    reader = WordByWord(inputs, N) if reads == "dnn" else Stack(LSTM, inputs, N, both=reads == "both")
    net = tagger(spelling, reader).eval()
    together = net(IDS, spellings(IDS), mask_of(LENGTHS, 5))
    alone = net(IDS[:2, 1:], spellings(IDS[:2, 1:]), mask_of(LENGTHS[1:], 2))
    torch.testing.assert_close(together[:2, 1:], alone, atol=1e-5, rtol=1e-5)
    reaches_all(net, together)


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_a_tag_sees_so_many_words_ahead_and_no_more(ahead):
    torch.manual_seed(0)
    net = tagger("", LimitedLookahead(LSTM, E, N, chunk=1, ahead=ahead)).eval()
    words = torch.randint(V, (7, 1))
    mask = torch.ones_like(words, dtype=torch.bool)
    before = net(words, spellings(words), mask)
    words[4] = (words[4] + 1) % V
    changed = (net(words, spellings(words), mask) - before).abs().amax((1, 2)) > 0
    assert changed.nonzero().flatten().min() == 4 - ahead


DECODERS = {
    "fixed": lambda embed: FixedDecoder(embed, GRU, 2 * N, 8, 0.3),
    "dot": lambda embed: AttentiveDecoder(embed, LSTM, DotAttention(8, 2 * N), 2 * N, 8, 0.3),
    "additive": lambda embed: AttentiveDecoder(embed, GRU, AdditiveAttention(8, 2 * N, 4), 2 * N, 8, 0.3),
    "feeding": lambda embed: FeedingDecoder(embed, GRU, AdditiveAttention(8, 2 * N, 4), 2 * N, 8, 0.3),
}
TARGET = torch.tensor([[1, 1], [2, 5], [3, 6], [4, 7]])


def seq2seq(kind: str) -> Seq2Seq:
    torch.manual_seed(0)
    encoder = Encoder(nn.Embedding(V, E), Stack(GRU, E, N, both=True), 0.3)
    return Seq2Seq(encoder, DECODERS[kind](nn.Embedding(V, E))).eval()


@pytest.mark.parametrize("kind", DECODERS)
def test_a_target_is_decoded_the_same_step_by_step_and_at_once(kind):
    net, mask = seq2seq(kind), mask_of(LENGTHS, 5)
    logits, weights = net(IDS, mask, TARGET)
    assert logits.shape == (4, 2, V)
    assert weights.shape == (4, 2, 5)
    memory = net.encoder(IDS, mask)
    assert isinstance(memory, Memory)
    state = net.decoder.start(memory)
    for t in range(4):
        one, looked, state = net.decoder(TARGET[t : t + 1], memory, state)
        torch.testing.assert_close(one, logits[t : t + 1], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(looked, weights[t : t + 1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", DECODERS)
def test_padding_of_the_source_changes_nothing_and_is_not_looked_at(kind):
    net = seq2seq(kind)
    logits, weights = net(IDS, mask_of(LENGTHS, 5), TARGET)
    alone, own = net(IDS[:2, 1:], mask_of(LENGTHS[1:], 2), TARGET[:, 1:])
    torch.testing.assert_close(logits[:, 1:], alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(weights[:, 1:, :2], own, atol=1e-5, rtol=1e-5)
    assert not weights[:, 1, 2:].any()
    torch.testing.assert_close(weights.sum(-1), torch.ones(4, 2))
    reaches_all(net, logits)


@pytest.mark.parametrize("kind", DECODERS)
def test_what_is_written_does_not_depend_on_what_comes_after(kind):
    net, mask = seq2seq(kind), mask_of(LENGTHS, 5)
    before = net(IDS, mask, TARGET)[0]
    later = TARGET.clone()
    later[3] = 9
    torch.testing.assert_close(net(IDS, mask, later)[0][:3], before[:3])
