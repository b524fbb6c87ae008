"""Errors are those of an edit distance of the tests' own, of jiwer and of sclite."""

import random
import unicodedata
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import jiwer
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables import word_error_rate
from glosstune.trainables.corpora.vocabulary import split_glosses
from glosstune.trainables.ctc.scoring import ErrorRates, count_plain, count_weighted

Sentences = Sequence[Sequence[str]]

GLOSSES = st.sampled_from(["HAUS", "haus", "IX", "loc- x", " ", "I'M", "REGEN"])
REFERENCES = st.lists(GLOSSES, min_size=1, max_size=6)
HYPOTHESES = st.lists(GLOSSES, max_size=8)


def _distances(references: Sentences, hypotheses: Sentences, substitution: int, indel: int) -> npt.NDArray[np.int64]:
    """What the lightest alignment of each pair weighs (pair,), found for all of them at once."""
    codes = {
        gloss: place
        for place, gloss in enumerate(sorted({g for side in (references, hypotheses) for s in side for g in s}))
    }
    lengths = [np.array([len(sentence) for sentence in side]) for side in (references, hypotheses)]
    said, written = (
        np.array([[codes[g] for g in sentence] + [-1] * (counts.max() - len(sentence)) for sentence in side], dtype=int)
        for side, counts in zip((references, hypotheses), lengths, strict=True)
    )
    weights = np.empty((said.shape[1] + 1, written.shape[1] + 1, len(said)), dtype=np.int64)
    weights[:, 0], weights[0] = indel * np.arange(len(weights))[:, None], indel * np.arange(len(weights[0]))[:, None]
    for i, j in np.ndindex(said.shape[1], written.shape[1]):
        paired = weights[i, j] + substitution * (said[:, i] != written[:, j])
        weights[i + 1, j + 1] = np.minimum(paired, np.minimum(weights[i, j + 1], weights[i + 1, j]) + indel)
    return weights[*lengths, np.arange(len(said))]


@given(st.lists(st.tuples(REFERENCES, HYPOTHESES), min_size=1, max_size=4))
def test_wer_is_edit_distance_over_reference_glosses(pairs: list[tuple[list[str], list[str]]]) -> None:
    rates = word_error_rate([r for r, _ in pairs], [h for _, h in pairs])
    total = sum(len(r) for r, _ in pairs)
    assert rates.wer == pytest.approx(_distances(*zip(*pairs, strict=True), 1, 1).sum() / total)
    assert rates.wer == pytest.approx(rates.substitution_rate + rates.deletion_rate + rates.insertion_rate)


def test_ten_thousand_random_pairs_are_counted_as_by_an_edit_distance_and_by_jiwer() -> None:
    generator = random.Random(0)

    def sentence(least: int) -> list[str]:
        # Of few glosses there are many alignments, of many hardly one.
        glosses = generator.choice([2, 5, 1000])
        return [f"G{generator.randrange(glosses)}" for _ in range(generator.randrange(least, 14))]

    references, hypotheses = [sentence(1) for _ in range(10_000)], [sentence(0) for _ in range(10_000)]
    longer = np.array([len(r) - len(h) for r, h in zip(references, hypotheses, strict=True)])
    for count, substitution, indel in ((count_weighted, 4, 3), (count_plain, 1, 1)):
        singly = [count([r], [h]) for r, h in zip(references, hypotheses, strict=True)]
        s, d, i = np.array([(each.substitutions, each.deletions, each.insertions) for each in singly]).T
        assert min(s.min(), d.min(), i.min()) == 0 and (d - i == longer).all()
        assert (substitution * s + indel * (d + i) == _distances(references, hypotheses, substitution, indel)).all()
    theirs = jiwer.process_words(*([" ".join(glosses) for glosses in side] for side in (references, hypotheses)))
    assert (theirs.substitutions, theirs.deletions, theirs.insertions) == (s.sum(), d.sum(), i.sum())
    rates, glosses = word_error_rate(references, hypotheses), sum(map(len, references))
    assert rates == ErrorRates(theirs.wer, s.sum() / glosses, d.sum() / glosses, i.sum() / glosses)


def test_weighted_errors_are_those_of_sclite() -> None:
    lines = Path(__file__).with_name("sclite.txt").read_text(encoding="utf-8").splitlines()
    for line in islice(lines, 3, None):
        reference, hypothesis, *expected = line.split()
        counts = count_weighted([reference], [hypothesis.strip("-")])
        assert [counts.substitutions, counts.deletions, counts.insertions] == [int(each) for each in expected], line


def test_glosses_are_told_apart_by_their_characters_and_corpora_are_read_in_one_form() -> None:
    forms = [unicodedata.normalize(form, "GRÜN") for form in ("NFC", "NFD")]
    assert word_error_rate([forms[:1]], [forms[1:]]).wer == 1
    assert word_error_rate(*([split_glosses(form)] for form in forms)).wer == 0
    assert word_error_rate([["A B", "A"]], [["A", "B A"]]).wer == 1  # a blank within a gloss parts nothing


def test_more_glosses_than_there_are_characters_below_the_surrogates_are_told_apart() -> None:
    glosses = [f"G{place}" for place in range(50_000)]
    assert word_error_rate([glosses], [[*glosses[:-2], *glosses[:1]]]).wer == 2 / 50_000


def test_wer_exceeds_one_and_is_not_capped() -> None:
    assert word_error_rate([["A"]], [["B", "C", "D"]]).wer == 3.0


def test_reference_and_hypothesis_are_not_interchangeable() -> None:
    rates = word_error_rate([["A", "B", "C"]], [["A"]])
    assert (rates.wer, rates.deletion_rate, rates.insertion_rate) == (pytest.approx(2 / 3), pytest.approx(2 / 3), 0)


@pytest.mark.parametrize(("references", "rule"), [([["A"], ["B"]], "2 references, 1 hypotheses"), ([[]], "is empty")])
def test_bad_arguments_are_named(references: list[list[str]], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        word_error_rate(references, [["A"]])
