"""From the settings of a corpus to its packed form."""

from pathlib import Path

from glosstune.spaces.errors import SettingError
from glosstune.spaces.files.cache import cache_folder
from glosstune.trainables.corpora.fingerspelling import FingerspellingCorpus
from glosstune.trainables.corpora.phoenix import PhoenixCorpus
from glosstune.trainables.corpora.store import PackedCorpus, pack
from glosstune.trainables.corpora.utterance import Corpus
from glosstune.trainables.settings import CorpusSettings


def open_corpus(settings: CorpusSettings) -> Corpus:
    """The corpus that the settings describe, not read yet."""
    if settings.kind == "fingerspelling":
        return FingerspellingCorpus(
            settings.split, fold=settings.fold, signers=settings.signers, sentences=settings.sentences
        )
    if settings.root is None:
        raise SettingError("corpus.root: missing; corpus.kind phoenix needs the folder of its files")
    return PhoenixCorpus(
        settings.root, layout=settings.layout, split=settings.split, missing=settings.missing, signers=settings.signers
    )


def pack_corpus(settings: CorpusSettings) -> PackedCorpus:
    """The packed corpus of these settings; packs it on first use (``corpus.cache``, else the user's cache folder)."""
    return pack(open_corpus(settings), settings.cache or default_cache())


def default_cache() -> Path:
    """Folder of packed corpora of this user on this machine."""
    return cache_folder() / "corpora"
