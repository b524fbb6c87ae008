import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables import word_error_rate

GLOSSES = st.sampled_from(["HAUS", "haus", "IX", "loc- x", " ", "I'M", "REGEN"])
REFERENCES = st.lists(GLOSSES, min_size=1, max_size=6)
HYPOTHESES = st.lists(GLOSSES, max_size=8)


def _edit_distance(reference: list[str], hypothesis: list[str]) -> int:
    row = list(range(len(hypothesis) + 1))
    for i, gloss in enumerate(reference, start=1):
        previous, row[0] = row[0], i
        for j, other in enumerate(hypothesis, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (gloss != other))
    return row[-1]


@given(st.lists(st.tuples(REFERENCES, HYPOTHESES), min_size=1, max_size=4))
def test_wer_is_edit_distance_over_reference_glosses(pairs: list[tuple[list[str], list[str]]]) -> None:
    rates = word_error_rate([r for r, _ in pairs], [h for _, h in pairs])
    total = sum(len(r) for r, _ in pairs)
    assert rates.wer == pytest.approx(sum(_edit_distance(r, h) for r, h in pairs) / total)
    assert rates.wer == pytest.approx(rates.substitution_rate + rates.deletion_rate + rates.insertion_rate)


def test_wer_exceeds_one_and_is_not_capped() -> None:
    assert word_error_rate([["A"]], [["B", "C", "D"]]).wer == 3.0


def test_reference_and_hypothesis_are_not_interchangeable() -> None:
    rates = word_error_rate([["A", "B", "C"]], [["A"]])
    assert (rates.wer, rates.deletion_rate, rates.insertion_rate) == (pytest.approx(2 / 3), pytest.approx(2 / 3), 0)


@pytest.mark.parametrize(("references", "rule"), [([["A"], ["B"]], "2 references, 1 hypotheses"), ([[]], "is empty")])
def test_bad_arguments_are_named(references: list[list[str]], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        word_error_rate(references, [["A"]])
