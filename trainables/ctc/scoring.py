"""Count the errors of hypotheses against references: plain edit distance by jiwer, or weighted as NIST's sclite."""

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer

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

    Where several alignments have as few errors, which of them are substitutions is what jiwer says.

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

    Source: sclite of NIST's scoring toolkit SCTK 2.4.10, whose counts these are in each of 10,000 random pairs, also
    where several alignments weigh the same.

    Raises:
        ValueError: the numbers of references and hypotheses differ.
    """
    _check_paired(references, hypotheses)
    counts = [_lightest(*pair) for pair in zip(references, hypotheses, strict=True)]
    substitutions, deletions, insertions = (sum(each) for each in zip(*counts, strict=True)) if counts else (0, 0, 0)
    return ErrorCounts(substitutions, deletions, insertions, sum(map(len, references)))


def _lightest(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[int, int, int]:
    """Substitutions, deletions and insertions of the lightest alignment."""
    # Of a beginning of the reference and each beginning of the hypothesis: weight and counts of the best alignment.
    row = [(_INDEL * place, 0, 0, place) for place in range(len(hypothesis) + 1)]
    for place, said in enumerate(reference, start=1):
        left = (_INDEL * place, 0, place, 0)
        above, row = row, [left]
        for written, diagonal, upper in zip(hypothesis, above, above[1:], strict=False):
            weight, substitutions, deletions, insertions = best = diagonal
            if said != written:
                best = (weight + _SUBSTITUTION, substitutions + 1, deletions, insertions)
            # Where they weigh the same sclite takes a pair before an insertion, and that before a deletion.
            if left[0] + _INDEL < best[0]:
                weight, substitutions, deletions, insertions = left
                best = (weight + _INDEL, substitutions, deletions, insertions + 1)
            if upper[0] + _INDEL < best[0]:
                weight, substitutions, deletions, insertions = upper
                best = (weight + _INDEL, substitutions, deletions + 1, insertions)
            row.append(best)
            left = best
    return row[-1][1:]


def _check_paired(references: Sequence[object], hypotheses: Sequence[object]) -> None:
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references, {len(hypotheses)} hypotheses; expected as many")
