"""The kinds of corpora: ours, and those of one's own, which yield recordings and need nothing else."""

import hashlib
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from inspect import Parameter, signature
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast
from unicodedata import normalize

import numpy as np
import numpy.typing as npt

from glosstune.spaces.errors import CorpusError, GlosstuneError, SettingError, told
from glosstune.spaces.files.atomic import file_hash
from glosstune.spaces.parts import is_own, load_part
from glosstune.trainables.corpora.utterance import SPLITS, Corpus, CorpusTraits, Utterance, Values
from glosstune.trainables.layouts.blocks import BlockSpec, Hands, NotSeen
from glosstune.trainables.layouts.layout import FileLayout, Layout
from glosstune.trainables.layouts.reading import check_order, stored_values
from glosstune.trainables.settings import CORPORA, CorpusSettings

KEY = "corpus.kind"
_MADE_HERE = ("base", "default")  # layouts of a corpus that has none of its own: positions, or ready features


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


def draws_splits(kind: str) -> bool:
    """Whether a kind of corpus takes ``corpus.split_seed``."""
    return "split_seed" in signature(corpus_class(kind)).parameters


def file_layout(settings: CorpusSettings) -> FileLayout:
    """What frames of a corpus hold: what ``corpus.layout`` says where it has layouts."""
    traits = corpus_traits(settings.kind)
    if not traits.layouts:
        return FileLayout.of(_MADE_HERE[traits.ready_features])
    return FileLayout.of(settings.layout, settings.hands, settings.frame_step)


def has_positions(settings: CorpusSettings) -> bool:
    """Whether a corpus has positions that a mirror, a rotation or another scale may change.

    Ready features may stand in any frame of reference, and other values have none.
    """
    layout = file_layout(settings)
    return not layout.ready and bool(layout.layout.points)


def layout_by_header(settings: CorpusSettings) -> bool:
    """Whether the layout may be what files say of themselves, which only opening them tells."""
    return corpus_traits(settings.kind).headers and settings.layout == CorpusSettings.model_fields["layout"].default


def open_corpus(settings: CorpusSettings) -> Corpus:
    """The corpus that the settings describe, not read yet: its class is given the settings that it takes by name."""
    made, root = corpus_class(settings.kind), root_of(settings.kind)
    if settings.root is None and root is not None and root.default is Parameter.empty:
        needed = "its table" if corpus_traits(settings.kind).root == "table" else "the folder of its files"
        raise SettingError(f"missing; corpus.kind {settings.kind} needs {needed}", key="corpus.root")
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
    return OwnCorpus(
        settings.kind,
        source,
        settings.model_dump(mode="json", include=taken - {"root"}),
        layout=settings.layout,
        not_seen=settings.not_seen,
        hands=settings.hands,
        frame_step=settings.frame_step,
    )


class OwnCorpus(Corpus):
    """A corpus of one's own: what its ``utterances()`` yields (see ``Recording``), checked.

    What it may have besides: ``traits``, ``shares_recordings`` and ``isolated()`` as ``Corpus`` has them, and
    ``identity()``, anything that JSON can hold and that is another where utterances are; without it all of them are
    read whenever the corpus is opened.
    """

    def __init__(
        self,
        name: str,
        source: Any,
        taken: Mapping[str, object],
        *,
        layout: str | Sequence[BlockSpec] = "default",
        not_seen: NotSeen = "zeros+nan",
        hands: Hands = "as-stored",
        frame_step: int = 1,
    ) -> None:
        self.name = name
        self.source = source
        self.taken = taken
        self.traits = getattr(source, "traits", CorpusTraits())
        made = _MADE_HERE[self.traits.ready_features]
        declared = (layout, hands, frame_step) if self.traits.layouts else (made,)
        self._declared = FileLayout.of(*declared)
        self.not_seen: NotSeen = not_seen

    @property
    def layout(self) -> Layout:
        return self._declared.layout

    @property
    def files(self) -> FileLayout | None:
        return self._declared if self.traits.layouts else None

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
            "layout": self._declared.written,
            "not seen": self.not_seen,
            "hands": self._declared.hands,
            "frame step": self._declared.frame_step,
            "content": self._seen[1] if content is None else content,
        }

    def utterances(self) -> list[Utterance]:
        return self._seen[0]

    def read(self) -> Iterator[Values]:
        if self.files is not None:
            check_order(self, self.files, self.name)
        digest = hashlib.sha256()
        for known, again in zip_longest(self.utterances(), self._read()):
            if again is None or again[0] != known:
                where = again[0].key if known is None else known.key
                raise CorpusError(f"{self.name}: utterance {where}: is another one each time that the corpus is read")
            _add(digest, *again)
            yield again[1]
        if digest.hexdigest() != self._seen[1]:
            raise CorpusError(f"{self.name}: yields other features each time that it is read; make them the same")

    def look(self, places: Collection[int]) -> Iterator[tuple[int, npt.NDArray[np.floating] | CorpusError]]:
        if self.files is None:
            yield from super().look(places)
            return
        self.utterances()  # which says what is wrong with any of them
        for place, each in enumerate(self.source.utterances()):
            if place in places:
                yield place, np.asarray(each.features)

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
        width = self._declared.width
        if array.shape[1] != width and not self.traits.layouts:
            all_features = self.layout.feature_width
            way_out = f"; for {all_features} set traits = CorpusTraits(ready_features=True)" * (width < all_features)
            rule = f"features must have {width} values a frame{way_out}; for others CorpusTraits(layouts=True)"
            raise CorpusError(f"{where}: {rule}; got {array.shape[1]}")
        return stored_values(array, self._declared, where, self.not_seen)


def _add(digest: "hashlib._Hash", utterance: Utterance, values: Values) -> None:
    digest.update(repr((utterance, values.shape)).encode())
    digest.update(values.tobytes())
