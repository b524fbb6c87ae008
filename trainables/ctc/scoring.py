"""Count the errors of hypotheses against references: plain edit distance by jiwer, or weighted as NIST's sclite."""

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer
from rapidfuzz.distance import Levenshtein

_SUBSTITUTION, _INDEL = 4, 3  # what sclite weighs


@dataclass(frozen=True)
class ErrorRates:
    """Errors over reference glosses; all are fractions, and ``wer`` may exceed 1."""

    wer: float
    substitution_rate: float
    deletion_rate: float
    insertion_rate: float


@dataclass(frozen=True)
class ErrorCounts:
    """Errors, and the glosses of the references that they are counted over."""

    substitutions: int
    deletions: int
    insertions: int
    glosses: int

    @property
    def errors(self) -> int:
        """All of them."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rates(self) -> ErrorRates:
        """The same as fractions; ValueError where the references have no gloss."""
        total = self.glosses
        if not total:
            raise ValueError("the references have no gloss, which errors are divided by")
        return ErrorRates(
            wer=self.errors / total,
            substitution_rate=self.substitutions / total,
            deletion_rate=self.deletions / total,
            insertion_rate=self.insertions / total,
        )


def word_error_rate(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> ErrorRates:
    """Errors of plain edit distance over all reference glosses.

    Args:
        references: glosses of each utterance; none may be empty.
        hypotheses: recognised glosses in the same order; may be empty.

    Raises:
        ValueError: the numbers of references and hypotheses differ, or a reference is empty.
    """
    if not all(references):
        raise ValueError("a reference is empty; word error rate divides by its glosses")
    return count_plain(references, hypotheses).rates


def count_plain(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> ErrorCounts:
    """Errors of plain edit distance; against an empty reference all that was written is too much.

    Raises:
        ValueError: the numbers of references and hypotheses differ.
    """
    _check_paired(references, hypotheses)
    pairs = [pair for pair in zip(references, hypotheses, strict=True) if pair[0]]
    extra = sum(len(hypothesis) for reference, hypothesis in zip(references, hypotheses, strict=True) if not reference)
    if not pairs:
        return ErrorCounts(0, 0, extra, 0)
    # Each gloss becomes one character: jiwer splits words at spaces and would strip a gloss it does not expect.
    codes: dict[str, str] = {}
    encoded = [
        [" ".join(codes.setdefault(gloss, chr(0x4E00 + len(codes))) for gloss in sentence) for sentence in sentences]
        for sentences in zip(*pairs, strict=True)
    ]
    output = jiwer.process_words(encoded[0], encoded[1])
    total = sum(map(len, references))
    return ErrorCounts(output.substitutions, output.deletions, output.insertions + extra, total)


def count_weighted(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> ErrorCounts:
    """Errors of the alignment that weighs least: a substitution 4, a deletion or an insertion 3.

    Of alignments that weigh the same the one with the fewest errors counts, which gave sclite's totals on five real
    outputs. Source: NIST's scoring toolkit SCTK.

    Raises:
        ValueError: the numbers of references and hypotheses differ.
    """
    _check_paired(references, hypotheses)
    substitutions = deletions = insertions = 0
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        # Weights in units that all errors together stay below, and one for each error: the sum tells both.
        unit = len(reference) + len(hypothesis) + 1
        indel = _INDEL * unit + 1
        distance = Levenshtein.distance(reference, hypothesis, weights=(indel, indel, _SUBSTITUTION * unit + 1))
        weight, errors = divmod(distance, unit)
        substituted = weight - _INDEL * errors
        apart = errors - substituted
        deleted = (apart + len(reference) - len(hypothesis)) // 2
        substitutions += substituted
        deletions += deleted
        insertions += apart - deleted
    return ErrorCounts(substitutions, deletions, insertions, sum(map(len, references)))


def _check_paired(references: Sequence[object], hypotheses: Sequence[object]) -> None:
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references, {len(hypotheses)} hypotheses; expected as many")
