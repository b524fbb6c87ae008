"""Where utterances come from."""

from typing import TYPE_CHECKING

from glosstune.spaces.lazy import import_later

if TYPE_CHECKING:
    from glosstune.trainables.corpora.fingerspelling import FingerspellingCorpus
    from glosstune.trainables.corpora.kinds import open_corpus
    from glosstune.trainables.corpora.opening import pack_corpus
    from glosstune.trainables.corpora.phoenix import PhoenixCorpus
    from glosstune.trainables.corpora.store import PackedCorpus
    from glosstune.trainables.corpora.table import TableCorpus
    from glosstune.trainables.corpora.utterance import CorpusTraits, Recording
    from glosstune.trainables.corpora.vocabulary import Vocabulary
else:
    # A sweep file is checked against layouts alone, without torch and pandas.
    __getattr__, __dir__ = import_later(__name__, __file__)

__all__ = [
    "CorpusTraits",
    "FingerspellingCorpus",
    "PackedCorpus",
    "PhoenixCorpus",
    "Recording",
    "TableCorpus",
    "Vocabulary",
    "open_corpus",
    "pack_corpus",
]
