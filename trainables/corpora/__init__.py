"""Where utterances come from."""

from glosstune.trainables.corpora.fingerspelling import FingerspellingCorpus
from glosstune.trainables.corpora.opening import open_corpus, pack_corpus
from glosstune.trainables.corpora.phoenix import PhoenixCorpus
from glosstune.trainables.corpora.store import PackedCorpus
from glosstune.trainables.corpora.vocabulary import Vocabulary

__all__ = ["FingerspellingCorpus", "PackedCorpus", "PhoenixCorpus", "Vocabulary", "open_corpus", "pack_corpus"]
