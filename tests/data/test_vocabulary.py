"""Units of text: what they are, that they come back, and what happens to unseen ones."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from legato.data import vocabulary
from legato.data.vocabulary import UNKNOWN, Vocabulary, side_by_side
from legato.errors import DataError
from legato.record import from_json, to_json

PROSE = "The cat sat on the mat.\nThe dog, too, sat; on the log!\n\nÀ bientôt — said 7 cats.\n"


def test_characters_are_numbered_as_they_appear():
    assert vocabulary.characters("hello", "refuse").names == ("h", "e", "l", "o")
    assert vocabulary.characters("hello").names == ("h", "e", "l", "o", UNKNOWN)


@given(st.text())
@settings(max_examples=50, deadline=None)
def test_any_text_comes_back_from_bytes(text):
    units = vocabulary.bytes_of_text()
    text = text.encode("utf-8", "replace").decode()
    assert units.decode(units.encode(text)) == text
    assert sum(units.lengths[i] for i in units.encode(text)) == len(text)


@given(st.text())
@settings(max_examples=50, deadline=None)
def test_any_text_comes_back_from_its_words_and_characters(text):
    for units in (vocabulary.characters(text, "refuse"), words(text)):
        numbers = units.encode(text)
        assert units.decode(numbers) == text
        assert sum(units.lengths[i] for i in numbers) == len(text)


def words(text: str) -> Vocabulary:
    return vocabulary.words_of(vocabulary.SPACED.findall(text), unseen="refuse")


def test_words_are_the_commonest_first_and_not_too_many():
    units = vocabulary.words_of(["b", "a", "b", "c", "a", "b", "d"], most=2)
    assert units.names == ("b", "a", UNKNOWN)
    assert vocabulary.words_of(["b", "a", "b", "c", "a", "b", "d"], at_least=2).names == ("b", "a", UNKNOWN)
    assert units.numbered(["a", "z", "b"]) == [1, 2, 0]


def test_unseen_characters_are_mapped_or_refused_as_chosen():
    assert vocabulary.characters("abc").encode("axc") == [0, 3, 2]
    with pytest.raises(DataError, match=r"'ß' \(U\+00DF\) is not in the training text.*--unseen map"):
        vocabulary.characters("abc", "refuse").encode("aßc")


@pytest.fixture(scope="module")
def cut() -> Vocabulary:
    rng = random.Random(0)
    nouns = ["cat", "dog", "log", "mat", "house", "mouse"]
    lines = [f"The {rng.choice(nouns)} sat, on   the {rng.choice(nouns)}." for _ in range(200)]
    return vocabulary.pieces(lines, 300, reversible=True)


@pytest.mark.parametrize("text", [PROSE, " a  b ", "\n\n\t x\n", "日本 🎈", ""])
def test_reversible_pieces_bring_back_every_space_and_line_end(cut, text):
    numbers = cut.encode(text)
    assert cut.decode(numbers) == text
    assert sum(cut.lengths[i] for i in numbers) == len(text)


def test_pieces_are_words_and_parts_of_words(cut):
    assert 276 <= len(cut) <= 300  # 256 bytes, 3 marks, and at least the letters
    assert len(cut.encode("The cat sat")) < len("The cat sat")


def test_pieces_are_the_same_after_json(cut):
    again = from_json(Vocabulary, to_json(cut), "here")
    assert again == cut
    assert again.encode("The house") == cut.encode("The house")


def test_too_few_pieces_for_the_letters_are_one_line():
    with pytest.raises(DataError, match=r"^5 pieces cannot .* --vocabulary \d+ or more") as error:
        vocabulary.pieces(["the quick brown fox"] * 10, 5)
    assert "\n" not in str(error.value)


def test_sequences_side_by_side_are_padded_at_their_end():
    ids, lengths = side_by_side([[5, 6, 7], [8], []], padding=-1)
    assert ids.T.tolist() == [[5, 6, 7], [8, -1, -1], [-1, -1, -1]]
    assert lengths.tolist() == [3, 1, 0]
    assert side_by_side([torch.tensor([1])], least=4).ids.shape == (4, 1)


def test_too_few_pieces_say_how_many_there_must_be():
    with pytest.raises(DataError, match=r"^3 pieces .*; try --vocabulary (\d+) or more$") as told:
        vocabulary.pieces(["a dog", "the cat"] * 20, 3)
    least = int(str(told.value).split()[-3])
    assert len(vocabulary.pieces(["a dog", "the cat"] * 20, least)) == least
