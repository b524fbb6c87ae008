"""Score hypotheses against references: word error rate by jiwer."""

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer


@dataclass(frozen=True)
class ErrorRates:
    """Errors over reference glosses; all are fractions, and ``wer`` may exceed 1."""

    wer: float
    substitution_rate: float
    deletion_rate: float
    insertion_rate: float


def word_error_rate(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> ErrorRates:
    """Errors of plain edit distance over all reference glosses.

    Args:
        references: glosses of each utterance; none may be empty.
        hypotheses: recognised glosses in the same order; may be empty.

    Raises:
        ValueError: the numbers of references and hypotheses differ, or a reference is empty.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references, {len(hypotheses)} hypotheses; expected as many")
    if not all(references):
        raise ValueError("a reference is empty; word error rate divides by its glosses")
    # Each gloss becomes one character: jiwer splits words at spaces and would strip a gloss it does not expect.
    codes: dict[str, str] = {}
    encoded = [
        [" ".join(codes.setdefault(gloss, chr(0x4E00 + len(codes))) for gloss in sentence) for sentence in sentences]
        for sentences in (references, hypotheses)
    ]
    output = jiwer.process_words(encoded[0], encoded[1])
    total = sum(map(len, references))
    return ErrorRates(
        wer=(output.substitutions + output.deletions + output.insertions) / total,
        substitution_rate=output.substitutions / total,
        deletion_rate=output.deletions / total,
        insertion_rate=output.insertions / total,
    )
