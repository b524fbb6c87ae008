"""A few utterances of a corpus that stand for all of it, packed alone: a large corpus takes hours to pack."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from glosstune.search.config.errors import Say
from glosstune.trainables.corpora import PackedCorpus, Vocabulary, open_corpus
from glosstune.trainables.corpora.files.conventions import target_clean_up
from glosstune.trainables.corpora.opening import default_cache
from glosstune.trainables.corpora.store import check_utterances, clean_utterances, pack
from glosstune.trainables.corpora.utterance import SPLITS, Corpus, Split, Utterance
from glosstune.trainables.layouts.layout import Layout
from glosstune.trainables.settings import CorpusSettings


@dataclass(frozen=True)
class Excerpt(PackedCorpus):
    """Some utterances of training and dev, packed as a corpus of their own.

    Attributes:
        glosses_of_whole: of the whole training split.
        lengths: frames of every utterance of the whole corpus, as far as the few tell them.
    """

    glosses_of_whole: Vocabulary
    lengths: Mapping[Split, Sequence[int]]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Glosses of the whole training split, for so many classes a model has."""
        return self.glosses_of_whole


class _Packed(Corpus):
    """Rows of a packed corpus, to be packed once more."""

    def __init__(self, corpus: PackedCorpus, utterances: Sequence[Utterance], rows: Sequence[int]) -> None:
        self._corpus, self._rows = corpus, rows
        # What splits share on purpose would look held out, since not all of training is here.
        own = [utterances[row] for row in rows]
        self._utterances = [u if u.split == "train" else replace(u, sources=()) for u in own]

    @property
    def layout(self) -> Layout:
        return self._corpus.layout

    @property
    def shares_recordings(self) -> bool:
        return True  # what it may share was checked when the whole was packed

    def identity(self) -> dict[str, object]:
        return {"corpus": "excerpt", "of": self._corpus.key, "rows": list(self._rows)}

    def utterances(self) -> list[Utterance]:
        return self._utterances

    def read(self) -> Iterator[npt.NDArray[np.float32]]:
        for row in self._rows:
            yield self._corpus.frames(row).astype(np.float32)


def pack_excerpt(settings: CorpusSettings, counts: Mapping[Split, int], folder: Path, say: Say) -> Excerpt:
    """Pack so many utterances of each split into a folder, spread evenly over sentences of few and many glosses.

    A corpus that cannot be opened in part is packed whole, where sweeps look for it, unless it is there already.

    Raises:
        CorpusError: see ``pack``.
    """
    corpus = open_corpus(settings)
    rule = corpus.scoring if settings.scoring == "auto" else settings.scoring
    scored = {"scoring": rule, "targets": settings.targets}
    utterances = clean_utterances(corpus.utterances(), target_clean_up(**scored))
    check_utterances(utterances, shares_recordings=corpus.shares_recordings)
    ranked = {split: _ranked(utterances, split) for split in SPLITS[:2]}
    chosen = {split: spread(ranked[split], counts[split]) for split in ranked}
    told = ", ".join(f"{len(chosen[split])} of {len(ranked[split])} {split}" for split in chosen)
    say(f"corpus: reading {told} utterances")
    few = corpus.only([utterances[row].key for rows in chosen.values() for row in rows])
    if few is None:
        whole = pack(corpus, settings.cache or default_cache(), **scored)
        few = _Packed(whole, utterances, sorted(row for rows in chosen.values() for row in rows))
    packed = pack(few, folder, **scored)
    frames = dict(zip(packed.table["key"], packed.table["frames"].tolist(), strict=True))
    lengths = {
        split: stretch([frames[utterances[row].key] for row in chosen[split]], len(ranked[split])) for split in ranked
    }
    glosses = Vocabulary.of(u.glosses for u in utterances if u.split == "train")
    return Excerpt(packed.folder, packed.key, packed.width, packed.layout, packed.scoring, glosses, lengths)


def spread(ranked: Sequence[int], count: int) -> list[int]:
    """The middle ones of so many equal parts, all where there are no more."""
    parts = min(count, len(ranked))
    return [ranked[(2 * part + 1) * len(ranked) // (2 * parts)] for part in range(parts)]


def stretch(values: Sequence[int], count: int) -> list[int]:
    """So many values, each standing for an equal part, in the same order."""
    return [values[place * len(values) // count] for place in range(count)]


def _ranked(utterances: Sequence[Utterance], split: Split) -> list[int]:
    """Places of a split's utterances by their number of glosses, with which their frames grow."""
    places = [place for place, utterance in enumerate(utterances) if utterance.split == split]
    return sorted(places, key=lambda place: len(utterances[place].glosses))
