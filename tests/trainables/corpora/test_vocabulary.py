import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables.corpora import Vocabulary

SENTENCES = st.lists(st.lists(st.sampled_from(["HAUS", "REGEN", "IX", "__ON__", "MORGEN"]), min_size=1), min_size=1)


@given(SENTENCES, st.integers(0, 100))
def test_classes_do_not_depend_on_file_order(sentences: list[list[str]], seed: int) -> None:
    shuffled = random.Random(seed).sample(sentences, len(sentences))
    assert Vocabulary.of(shuffled) == Vocabulary.of(sentences)


@given(SENTENCES)
def test_decoding_inverts_encoding_and_never_uses_the_blank(sentences: list[list[str]]) -> None:
    vocabulary = Vocabulary.of(sentences)
    for sentence in sentences:
        classes = vocabulary.encode(sentence)
        assert 0 not in classes
        assert vocabulary.decode(classes) == sentence
    assert len(vocabulary) == len({gloss for sentence in sentences for gloss in sentence}) + 1


def test_an_unknown_gloss_is_named_and_never_becomes_a_blank() -> None:
    vocabulary = Vocabulary.of([["HAUS"]])
    assert vocabulary.unknown(["HAUS", "NEU"]) == ["NEU"]
    with pytest.raises(KeyError):
        vocabulary.encode(["NEU"])
