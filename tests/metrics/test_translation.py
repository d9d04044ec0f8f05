"""BLEU: the same as sacrebleu over all sentences, however they are batched."""

import math

import pytest
import sacrebleu

from legato.metrics import translation

SYSTEM = ["the cat is on the mat .", "a dog sleeps", "two men in a boat on the river .", "so"]
REFERENCE = ["there is a cat on the mat .", "a dog is sleeping .", "two men are in a boat on the river .", "so"]


def test_batches_add_up_to_sacrebleus_corpus_score():
    whole = translation.tally(SYSTEM, REFERENCE)
    parts = [translation.tally(SYSTEM[i : i + 1], REFERENCE[i : i + 1]) for i in range(4)]
    for name, value in whole.items():
        assert value.tolist() == sum(part[name] for part in parts).tolist()
    expected = sacrebleu.corpus_bleu(SYSTEM, [REFERENCE])
    found = translation.scores(whole)
    assert found["bleu"] == pytest.approx(expected.score)
    assert found["brevity_penalty"] == pytest.approx(expected.bp)
    assert found["sentences"] == 4


def test_bleu_by_hand():
    """The formula of Papineni et al. 2002: unigrams 6/6, bigrams 3/5, trigrams 2/4, four-grams 1/3, equally long."""
    found = translation.scores(translation.tally(["the cat sat on mat today"], ["the cat sat on today mat"]))
    # the cat, cat sat, sat on | the cat sat, cat sat on | the cat sat on
    expected = 100 * math.exp((math.log(6 / 6) + math.log(3 / 5) + math.log(2 / 4) + math.log(1 / 3)) / 4)
    assert found["bleu"] == pytest.approx(expected)


def test_nothing_gives_nothing():
    assert translation.scores(translation.tally([], []))["bleu"] == 0


def test_the_signature_says_what_was_measured():
    assert translation.signature().startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
