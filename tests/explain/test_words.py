"""Which words an answer rests on."""

import json

import pytest
import torch
from torch import nn

from legato.data.vocabulary import UNKNOWN
from legato.device import Device
from legato.errors import UsageError
from legato.explain.phrases import by_word, phrases, show_phrases
from legato.explain.subject import Subject
from legato.explain.units import given, units, vectors
from legato.explain.words import (
    gradient_times_vectors,
    hidden_vector,
    score_of,
    show_words,
    word_occlusion,
)
from legato.recurrent.scan import mask_of
from legato.tasks.classify_text import ClassifyText, logits
from legato.tasks.language import Language
from legato.tasks.tag import Tag
from legato.values import Text
from legato.watch import watch

CPU = Device("cpu", "fp32", 1)
SENTENCE = "a fine film , not poor at all"


@pytest.fixture
def reviews(tmp_path):
    rows = [
        {"text": f"a {word} film , not {other} at all {i}", "label": label}
        for i in range(20)
        for word, other, label in (("fine", "poor", "good"), ("poor", "fine", "bad"))
    ]
    (tmp_path / "reviews.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(tmp_path / "reviews.jsonl")


@pytest.fixture
def tagged(tmp_path):
    rows = [{"words": ["They", "see", "the", "old", "light"], "tags": ["S", "V", "A", "J", "O"]}] * 8
    for split in ("train", "valid"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(tmp_path)


@pytest.fixture
def book(tmp_path):
    (tmp_path / "book.txt").write_text("to be or not to be, that is the question. " * 20)
    return str(tmp_path / "book.txt")


def classifier(reviews, network, what="good", **choices):
    task = ClassifyText(reviews, **{"network": network, "embed": 6, "width": 5} | choices).adapt()
    torch.manual_seed(0)
    return Subject(task, task.build().eval(), CPU, Text(SENTENCE), what)


def tagger(tagged, what, **choices):
    task = Tag(tagged, **{"width": 6, "embed": 5} | choices).adapt()
    torch.manual_seed(0)
    return Subject(task, task.build().eval(), CPU, ("They", "see", "the", "old", "light"), what)


def reader(book, what, **choices):
    task = Language(book, **{"width": 6, "depth": 2, "window": 10} | choices).adapt()
    torch.manual_seed(0)
    return Subject(task, task.build().eval(), CPU, Text("to be or no"), what)


@pytest.mark.parametrize("network", ["cnn", "rnn", "bag"])
def test_sentences_agree_with_captum(reviews, network):
    attr = pytest.importorskip("captum.attr")
    subject = classifier(reviews, network)
    net, inputs = subject.net, subject.encoded
    mask, k = mask_of(inputs.lengths, len(inputs.ids)), subject.task.names.index("good")
    xs = vectors(net, inputs).detach()
    layer = attr.LayerGradientXActivation(lambda ids: net(ids.T, mask), net.embed)
    expected = layer.attribute(inputs.ids.T, target=k)  # of the table's output, as (t, b, e)
    found = gradient_times_vectors(score_of(subject), xs)
    torch.testing.assert_close(found, expected.sum(-1), rtol=0, atol=1e-5)
    assert float(found.abs().max()) > 1e-4


@pytest.mark.parametrize(
    "subject_of",
    [
        lambda r, t, b: tagger(t, "old/J"),
        lambda r, t, b: tagger(t, "#4/J", reads="ahead"),
        lambda r, t, b: tagger(t, "old/J", spelling="rnn", cell="gru"),
        lambda r, t, b: reader(b, "t"),
        lambda r, t, b: reader(b, "t", cell="gru", embed=4),
        lambda r, t, b: classifier(r, "rnn", cell="lstm", depth=2),
    ],
)
def test_words_of_every_reader_agree_with_captum(reviews, tagged, book, subject_of):
    attr = pytest.importorskip("captum.attr")
    subject = subject_of(reviews, tagged, book)
    xs = vectors(subject.net, subject.encoded).detach()
    score = score_of(subject)
    method = attr.InputXGradient(lambda rows: score(rows.transpose(0, 1)))  # captum has the batch first
    expected = method.attribute(xs.transpose(0, 1).clone().requires_grad_()).transpose(0, 1).sum(-1)
    torch.testing.assert_close(gradient_times_vectors(score, xs), expected.detach(), rtol=0, atol=1e-6)


def test_a_linear_score_is_shared_out_without_rest():
    w, xs = torch.randn(4, 3), torch.randn(4, 2, 3)
    parts = gradient_times_vectors(lambda x: (x * w[:, None]).sum((0, 2)) + 7, xs)
    torch.testing.assert_close(parts.sum(0) + 7, (xs * w[:, None]).sum((0, 2)) + 7)
    torch.testing.assert_close(parts[1, 0], w[1] @ xs[1, 0])


def test_the_gradient_agrees_with_differences(book):
    """Along its own vector: (score(x + ε x) − score(x − ε x)) / 2ε."""
    subject = reader(book, "t")
    for weights in subject.net.stack.parameters():
        weights.data *= 8  # so that what was read counts
    score, xs = score_of(subject), vectors(subject.net, subject.encoded).detach()
    found, ε = gradient_times_vectors(score, xs), 1e-2
    for t in (8, 9, 10):
        step = torch.zeros_like(xs)
        step[t] = ε * xs[t]
        with torch.no_grad():
            difference = (score(xs + step) - score(xs - step)) / (2 * ε)
        assert float(found[t]) == pytest.approx(float(difference), abs=1e-4)
    assert float(found[8:].abs().max()) > 1e-2


def test_what_a_network_reads_can_be_given(reviews, tagged, book):
    for subject in (classifier(reviews, "cnn"), classifier(reviews, "rnn"), tagger(tagged, "#1/S"), reader(book, "t")):
        xs, net = vectors(subject.net, subject.encoded), subject.net
        with torch.no_grad():
            plain = subject.score(subject.encoded)
            with given(net, xs):
                torch.testing.assert_close(subject.score(subject.encoded), plain)
            with given(net, xs.flip(0)):
                assert not torch.allclose(subject.score(subject.encoded), plain)
            torch.testing.assert_close(subject.score(subject.encoded), plain)  # nothing stays behind
    with pytest.raises(UsageError, match="reads no text"), given(nn.Linear(1, 1), xs):
        pass


@pytest.mark.parametrize("network", ["cnn", "rnn"])
def test_a_hidden_word_is_an_unknown_word(reviews, network):
    subject = classifier(reviews, network)
    task, words = subject.task, SENTENCE.split()
    k = task.names.index("good")
    found = word_occlusion(score_of(subject), vectors(subject.net, subject.encoded), hidden_vector(subject), 3)
    with torch.no_grad():
        whole = logits(subject.net, subject.encoded)[0, k]
        for i, lost in enumerate(found):
            hidden = Text(" ".join([*words[:i], UNKNOWN, *words[i + 1 :]]))
            rest = logits(subject.net, task.encode_inputs([hidden]))[0, k]
            torch.testing.assert_close(lost, whole - rest, rtol=0, atol=1e-5)


def test_a_hidden_word_of_a_tagger_loses_its_spelling_too(tagged):
    subject = tagger(tagged, "#3/A")
    task, words = subject.task, subject.input
    k = task.names.index("A")
    found = word_occlusion(score_of(subject), vectors(subject.net, subject.encoded), hidden_vector(subject))
    with torch.no_grad():
        tag = lambda sentence: subject.net(*(x := task.encode_inputs([sentence]))[:2], x.mask)[2, 0, k]
        for i, lost in enumerate(found):
            hidden = (*words[:i], UNKNOWN, *words[i + 1 :])
            torch.testing.assert_close(lost, tag(words) - tag(hidden), rtol=0, atol=1e-5)


class Foreign(nn.Module):
    """A network of torch's own LSTM, as users have them."""

    def __init__(self):
        super().__init__()
        self.lstm, self.out = nn.LSTM(3, 4), nn.Linear(4, 1)

    def forward(self, xs):
        return self.out(self.lstm(xs)[0][-1])[:, 0]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_networks_that_call_cudnn_are_explained_in_evaluation_too(device):
    """cuDNN's backward pass asks for training mode; the user need not know."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    torch.manual_seed(0)
    net, xs = Foreign().eval(), torch.randn(5, 2, 3)
    before = gradient_times_vectors(net, xs)
    found = gradient_times_vectors(net.to(device), xs.to(device))
    torch.testing.assert_close(found.cpu(), before, rtol=0, atol=1e-5)
    assert torch.backends.cudnn.enabled


# what a task's score is


def test_a_taggers_score_is_the_logit_of_a_tag_at_a_word(tagged):
    subject = tagger(tagged, "")
    task, net, inputs = subject.task, subject.net, subject.encoded
    with torch.no_grad():
        all_logits = net(inputs.words, inputs.spellings, inputs.mask)
        k = task.names.index("V")
        assert torch.equal(task.score(net, inputs, "old/V"), all_logits[3, :, k])
        assert torch.equal(task.score(net, inputs, "#4/V"), all_logits[3, :, k])
        assert torch.equal(task.score(net, inputs, "old"), all_logits[3].amax(-1))
        torch.testing.assert_close(task.score(net, inputs, ""), all_logits.amax(-1).sum(0))
    for what, message in (("young/V", "no word 'young'"), ("#9", "5 words"), ("old/Q", "no tag called 'Q'")):
        with pytest.raises(UsageError, match=message):
            task.score(net, inputs, what)


def test_a_language_models_score_is_ln_p_of_the_next_unit(book):
    subject = reader(book, "")
    task, net = subject.task, subject.net
    inputs = task.encode_inputs([Text("to be"), Text("or")])
    with torch.no_grad():
        for row, text in enumerate(("to be", "or")):
            p = task.outputs(net, task.encode_inputs([Text(text)]), None)[0][-1, 0]
            i = task.known.vocabulary.numbers["t"]
            torch.testing.assert_close(task.score(net, inputs, "t")[row], p[i].log(), rtol=0, atol=1e-5)
            torch.testing.assert_close(task.score(net, inputs, "")[row], p.max().log(), rtol=0, atol=1e-5)
        with pytest.raises(UsageError, match="2 chars; name one"):
            task.score(net, inputs, "th")


# Kim's filters


def test_phrases_sum_to_the_logit_less_its_bias(reviews):
    subject = classifier(reviews, "cnn")
    net, inputs = subject.net, subject.encoded
    mask = mask_of(inputs.lengths, len(inputs.ids))
    for k in range(2):
        parts = phrases(net, inputs.ids, mask, k)
        with torch.no_grad():
            logit = net(inputs.ids, mask)[0, k] - net.out.bias[k]
        assert sum(parts.values()) == pytest.approx(float(logit), abs=1e-5)
        assert all(0 <= first < last <= len(SENTENCE.split()) for first, last in parts)
        torch.testing.assert_close(by_word(parts, 8).sum(), logit, rtol=0, atol=1e-5)


def test_phrases_are_gradient_times_activation_of_the_filters(reviews):
    subject = classifier(reviews, "cnn")
    net, inputs = subject.net, subject.encoded
    mask = mask_of(inputs.lengths, len(inputs.ids))
    with watch(net, "filters.0", "filters.1", "filters.2") as seen:
        logit = net(inputs.ids, mask)[0, 1]
    expected = torch.zeros(len(inputs.ids))
    for width, name in ((3, "filters.0"), (4, "filters.1"), (5, "filters.2")):
        [answers] = seen[name]
        (gradient,) = torch.autograd.grad(logit, answers, retain_graph=True)
        for begin, part in enumerate((gradient * answers)[0].sum(0).tolist()):
            inside = [i for i in range(begin - 4, begin - 4 + width) if 0 <= i < len(expected)]
            for i in inside:
                expected[i] += part / len(inside)
    found = by_word(phrases(net, inputs.ids, mask, 1), len(expected))
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=1e-5)


# what is shown


def test_every_task_that_reads_shows_something(reviews, tagged, book):
    shown = show_words(classifier(reviews, "rnn"))[0]
    assert shown.lines[0].startswith("gradient × input: ")
    assert shown.picture.width > 600
    assert len(show_words(tagger(tagged, ""))[0].lines) == 5
    assert len(show_words(tagger(tagged, "old"))[0].lines) == 2
    assert [one.name for one in show_words(reader(book, ""))] == ["gradient", "lost"]
    assert show_phrases(classifier(reviews, "cnn"))[0].lines[0].startswith("good")
    with pytest.raises(UsageError, match="no class called 'goo'; did you mean good"):
        show_phrases(classifier(reviews, "cnn", "goo"))


def test_units_are_what_the_network_reads(reviews, tagged, book):
    for subject, expected in (
        (classifier(reviews, "rnn"), tuple(SENTENCE.split())),
        (tagger(tagged, ""), ("They", "see", "the", "old", "light")),
        (reader(book, ""), tuple("to be or no")),
        (reader(book, "", unit="byte"), tuple("to be or no")),
    ):
        assert units(subject.task, subject.input, subject.encoded) == expected
