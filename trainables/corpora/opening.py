"""From the settings of a corpus to its packed form."""

from pathlib import Path

from glosstune.spaces.files.cache import cache_folder
from glosstune.trainables.corpora.kinds import open_corpus
from glosstune.trainables.corpora.store import PackedCorpus, pack
from glosstune.trainables.settings import CorpusSettings


def pack_corpus(settings: CorpusSettings) -> PackedCorpus:
    """The packed corpus of these settings; packs it on first use (``corpus.cache``, else the user's cache folder)."""
    cache = settings.cache or default_cache()
    return pack(open_corpus(settings), cache, scoring=settings.scoring, targets=settings.targets)


def default_cache() -> Path:
    """Folder of packed corpora of this user on this machine."""
    return cache_folder() / "corpora"
