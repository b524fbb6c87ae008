"""What an alignment path of CTC stands for, by its definition (Graves et al. 2006)."""

from collections.abc import Sequence

from glosstune.trainables.corpora.vocabulary import BLANK


def collapse(path: Sequence[int]) -> list[int]:
    """Classes without repeats, then without blanks."""
    return [label for index, label in enumerate(path) if label != BLANK and (index == 0 or path[index - 1] != label)]
