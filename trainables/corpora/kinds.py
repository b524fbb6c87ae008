"""The kinds of corpora: ours, and those of one's own, which yield recordings and need nothing else."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib import import_module
from inspect import Parameter, signature
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast
from unicodedata import normalize

import numpy as np

from glosstune.spaces.errors import CorpusError, GlosstuneError, SettingError, told
from glosstune.spaces.files.atomic import file_hash
from glosstune.spaces.parts import is_own, load_part
from glosstune.trainables.corpora.geometry import flatten, to_shoulder_frame
from glosstune.trainables.corpora.layout import BASE_WIDTH, FULL_WIDTH, layout_width
from glosstune.trainables.corpora.utterance import SPLITS, Corpus, CorpusTraits, Utterance, Values
from glosstune.trainables.settings import CORPORA, CorpusSettings

KEY = "corpus.kind"
_LARGEST = 65504.0  # of half precision, in which a corpus is packed


def corpus_class(kind: str) -> Callable[..., Any]:
    """The class that a kind of corpus names; one of one's own is imported, which runs its code.

    Raises:
        SettingError: it cannot be imported, or is no corpus.
    """
    if kind in CORPORA:
        module, _, name = CORPORA[kind].partition(":")
        return cast("Callable[..., Any]", getattr(import_module(module), name))
    made = cast("Callable[..., Any]", load_part(kind, KEY, ["utterances"]))
    if not callable(made) or not isinstance(getattr(made, "traits", CorpusTraits()), CorpusTraits):
        raise SettingError(f"{kind} is no class, or its traits are no CorpusTraits; see docs/extending.md", key=KEY)
    return made


def corpus_traits(kind: str) -> CorpusTraits:
    """What a kind of corpus can."""
    traits: CorpusTraits = getattr(corpus_class(kind), "traits", CorpusTraits())
    return traits


def root_of(kind: str) -> Parameter | None:
    """How a kind of corpus takes the folder of its files; None if it takes none."""
    return signature(corpus_class(kind)).parameters.get("root")


def has_ready_features(settings: CorpusSettings) -> bool:
    """Whether a corpus yields all features, about which a mirror, a rotation or another scale would be wrong."""
    traits = corpus_traits(settings.kind)
    return traits.ready_features or (traits.layouts and layout_width(settings.layout) == FULL_WIDTH)


def open_corpus(settings: CorpusSettings) -> Corpus:
    """The corpus that the settings describe, not read yet: its class is given the settings that it takes by name."""
    made, root = corpus_class(settings.kind), root_of(settings.kind)
    if settings.root is None and root is not None and root.default is Parameter.empty:
        raise SettingError(f"missing; corpus.kind {settings.kind} needs the folder of its files", key="corpus.root")
    taken = signature(made).parameters.keys() & CorpusSettings.model_fields.keys()
    try:
        source = made(**{name: getattr(settings, name) for name in taken})
    except (Exception, SystemExit) as error:
        if isinstance(error, GlosstuneError) or not is_own(settings.kind):
            raise
        raise SettingError(f"{settings.kind} cannot be opened ({told(error)})", key=KEY) from error
    if isinstance(source, Corpus):
        return source
    # Not its folder: the same files in another place are the same corpus.
    return OwnCorpus(settings.kind, source, settings.model_dump(mode="json", include=taken - {"root"}))


class OwnCorpus(Corpus):
    """A corpus of one's own: what its ``utterances()`` yields (see ``Recording``), checked.

    What it may have besides: ``traits``, ``shares_recordings`` and ``isolated()`` as ``Corpus`` has them, and
    ``identity()``, anything that JSON can hold and that is another where utterances are; without it all of them are
    read whenever the corpus is opened.
    """

    def __init__(self, name: str, source: Any, taken: Mapping[str, object]) -> None:
        self.name = name
        self.source = source
        self.taken = taken
        self.traits = getattr(source, "traits", CorpusTraits())

    @property
    def shares_recordings(self) -> bool:
        return bool(getattr(self.source, "shares_recordings", False))

    def identity(self) -> dict[str, object]:
        file = getattr(sys.modules.get(type(self.source).__module__), "__file__", None)
        content: object = None
        if hasattr(self.source, "identity"):
            try:
                content = json.loads(json.dumps(self.source.identity()))
            except (Exception, SystemExit) as error:  # somebody else's code
                raise CorpusError(
                    f"{self.name}: identity() gives nothing that JSON can hold ({told(error)})"
                ) from error
        return {
            "corpus": self.name.partition(":")[2],
            "source": None if file is None else file_hash(Path(file)),
            "settings": self.taken,
            "content": self._seen[1] if content is None else content,
        }

    def utterances(self) -> list[Utterance]:
        return self._seen[0]

    def read(self) -> Iterator[Values]:
        digest = hashlib.sha256()
        for known, again in zip_longest(self.utterances(), self._read()):
            if again is None or again[0] != known:
                where = again[0].key if known is None else known.key
                raise CorpusError(f"{self.name}: utterance {where}: is another one each time that the corpus is read")
            _add(digest, *again)
            yield again[1]
        if digest.hexdigest() != self._seen[1]:
            raise CorpusError(f"{self.name}: yields other features each time that it is read; make them the same")

    def isolated(self) -> list[tuple[str, Values]]:
        return [
            (str(gloss), self._values(features, f"{self.name}: isolated {gloss}"))
            for gloss, features in self.source.isolated()
        ]

    @cached_property
    def _seen(self) -> tuple[list[Utterance], str]:
        """Every utterance, and a hash of all that they hold."""
        utterances, digest = [], hashlib.sha256()
        for utterance, values in self._read():
            utterances.append(utterance)
            _add(digest, utterance, values)
        return utterances, digest.hexdigest()

    def _read(self) -> Iterator[tuple[Utterance, Values]]:
        place = 0
        try:
            for each in self.source.utterances():
                yield self._checked(each, place)
                place += 1
        except GlosstuneError:
            raise
        except (Exception, SystemExit) as error:  # somebody else's code
            raise CorpusError(f"{self.name}: utterance {place}: cannot be read ({told(error)})") from error

    def _checked(self, each: Any, place: int) -> tuple[Utterance, Values]:
        lacking = [name for name in ("features", "glosses", "signer", "split") if not hasattr(each, name)]
        if lacking:
            raise CorpusError(f"{self.name}: utterance {place}: has no {', '.join(lacking)}; see docs/extending.md")
        key = str(getattr(each, "key", "") or f"{self.name.partition(':')[2]}-{place:06d}")
        where, glosses = f"{self.name}: utterance {key}", each.glosses
        if each.split not in SPLITS:
            raise CorpusError(f"{where}: split must be {', '.join(SPLITS[:-1])} or {SPLITS[-1]}; got {each.split!r}")
        # Not a set, whose order is another one in each process.
        if not isinstance(glosses, list | tuple) or not all(isinstance(gloss, str) and gloss for gloss in glosses):
            raise CorpusError(f"{where}: glosses must be a list of words; got {glosses!r}")
        if not len(glosses):
            raise CorpusError(f"{where}: has no gloss; leave it out")
        if isinstance(sources := getattr(each, "sources", ()), str):
            raise CorpusError(f"{where}: sources must be a list of recordings; got {sources!r}")
        sources = tuple(map(str, sources)) or (key,)
        for text in (key, each.signer, *glosses, *sources):
            if not isinstance(text, str) or not text.isprintable():
                raise CorpusError(f"{where}: must have printable text for key, signer, glosses, sources; got {text!r}")
        glosses = [normalize("NFC", gloss) for gloss in glosses]
        return Utterance(key, each.split, each.signer, tuple(glosses), sources), self._values(each.features, where)

    def _values(self, features: Any, where: str) -> Values:
        """Features as they are packed: all of them, or positions in the shoulder frame."""
        array = np.asarray(features)
        if array.ndim != 2 or not len(array) or array.dtype.kind != "f":
            rule = "features must be floats (time, values) of at least one frame"
            raise CorpusError(f"{where}: {rule}; got {array.dtype} {array.shape}")
        width = FULL_WIDTH if self.traits.ready_features else BASE_WIDTH
        if array.shape[1] != width:
            way_out = f"; for {FULL_WIDTH} set traits = CorpusTraits(ready_features=True)" * (width == BASE_WIDTH)
            raise CorpusError(f"{where}: features must have {width} values a frame{way_out}; got {array.shape[1]}")
        if not (sound := np.abs(array) <= _LARGEST).all():
            frame, column = np.argwhere(~sound)[0]
            rule = f"features must lie within {_LARGEST:g}, and none may be NaN"
            raise CorpusError(f"{where}: {rule}; got {array[frame, column]} at frame {frame}, value {column}")
        values: Values = array.astype(np.float32)
        if width == FULL_WIDTH:
            return values
        try:
            return flatten(to_shoulder_frame(values.reshape(len(values), -1, 3)))
        except CorpusError as error:
            raise CorpusError(f"{where}: {error}") from None


def _add(digest: "hashlib._Hash", utterance: Utterance, values: Values) -> None:
    digest.update(repr((utterance, values.shape)).encode())
    digest.update(values.tobytes())
