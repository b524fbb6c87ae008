"""A corpus of one's own that yields what a test has put into it."""

from collections.abc import Iterator
from typing import ClassVar

from glosstune.trainables.corpora import CorpusTraits, Recording


class DrawnCorpus:
    """Its files hold whatever ``corpus.layout`` says."""

    traits = CorpusTraits(layouts=True)
    recordings: ClassVar[list[Recording]] = []

    def utterances(self) -> Iterator[Recording]:
        yield from self.recordings
