"""What every corpus says of itself and yields: what it can, utterances, and their frames."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from glosstune.spaces.errors import CorpusError
from glosstune.trainables.layouts.layout import DEFAULT, FileLayout, Layout

Split = Literal["train", "dev", "test"]
_LISTED = 10
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

Values = npt.NDArray[np.float32]  # (time, base or feature width of a layout)


@dataclass(frozen=True)
class Utterance:
    """One signed sentence.

    Attributes:
        key: unique within the corpus.
        sources: the recordings it is made of; splits that claim to be disjoint share none.
    """

    key: str
    split: Split
    signer: str
    glosses: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Recording:
    """One signed sentence with its frames, as a corpus of one's own yields it.

    Attributes:
        features: floats (time, values), as ``corpus.layout`` says where the corpus has layouts; else landmark positions
            in the order of the layout ``base``, (time, 1629), or all features, (time, 6516).
        split: ``train``, ``dev`` or ``test``.
        key: unique within the corpus, and the same in all its splits; default its place.
        sources: the recordings it is cut out of, which splits must not share; default itself.
    """

    features: Any
    glosses: Sequence[str]
    signer: str
    split: str
    key: str = ""
    sources: Sequence[str] = ()


@dataclass(frozen=True)
class CorpusTraits:
    """What a kind of corpus can, known before one is opened; the defaults are those of a corpus of one's own.

    Attributes:
        splits: the values of ``corpus.split`` that it has.
        folds: whether its unseen signers come in folds, ``corpus.fold`` from 1 to 5 at most.
        clusters: what a bootstrap over its utterances draws first (``signer``, ``broadcast``), widest first.
        isolated: whether it has recordings of single glosses (see ``Corpus.isolated``).
        headers: whether files may say themselves what they hold, where ``corpus.layout`` is left out.
        layouts: whether its files hold blocks in the order that ``corpus.layout`` says.
        ready_features: whether it yields all 6516 values, which may stand in any frame of reference.
        names_repeat: whether files of other corpora may be called alike (``0.npy``), so that files of weights know what
            they have learned from by its content.
        extra: of glosstune that has to be installed for it.
        root: what ``corpus.root`` names.
    """

    splits: tuple[str, ...] = ("multi-signer",)
    folds: bool = False
    clusters: tuple[str, ...] = ()
    isolated: bool = False
    headers: bool = False
    names_repeat: bool = False
    layouts: bool = False
    ready_features: bool = False
    extra: str = ""
    root: str = "folder"


def check_found(
    where: object, noun: str, kept: Sized, absent: Sequence[str], silent: Sequence[str], missing: str
) -> None:
    """Require that there is a file and a gloss for every row, or that those without are to be left out.

    Args:
        where: what errors begin with.
        noun: what rows are called.
        kept: the rows that have both.
        absent, silent: split and id of those without a file, and of those without a gloss.
        missing: ``corpus.missing``.

    Raises:
        CorpusError: there is not, or nothing is left.
    """
    lacking = [
        f"{len(names)} {noun} {what}: {listing(names)}"
        for what, names in {"have no gloss": silent, "have no feature file": absent}.items()
        if names
    ]
    if lacking and (missing == "error" or not len(kept)):
        way_out = "corpus.missing=skip leaves them out" if len(kept) else f"none of the {noun} has a gloss and a file"
        raise CorpusError(f"{where}: {', and '.join(lacking)}; {way_out}")


def listing(names: Sequence[str]) -> str:
    """The first of many names, none of which takes more than a line."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(name if len(name) <= 80 else name[:77] + "..." for name in names[:_LISTED]) + more


class Corpus(ABC):
    """A source of utterances that can be packed."""

    traits = CorpusTraits()

    @property
    def shares_recordings(self) -> bool:
        """Whether its splits are allowed to share recordings (unseen sentences of the same clips)."""
        return False

    @property
    def layout(self) -> Layout:
        """The order in which models read its frames."""
        return DEFAULT

    @property
    def folds(self) -> int:
        """How many folds its unseen signers make, where they come in folds."""
        return 5

    @property
    def files(self) -> FileLayout | None:
        """What the values are that ``look`` gives, as files hold them; None where they are packed as they are."""
        return None

    @property
    def absent(self) -> list[str]:
        """Split and key of each utterance that is annotated and not there."""
        return []

    @property
    def unannotated(self) -> list[str]:
        """Split and key of each utterance that has no gloss, where these are left out."""
        return []

    @property
    def scoring(self) -> str:
        """The rule that its published figures are counted by (see ``ctc.rules``)."""
        return "plain"

    @property
    def notes(self) -> list[str]:
        """What a user should know of how it was read, as ``topic: text``: splits drawn, what was not used."""
        return []

    @abstractmethod
    def identity(self) -> dict[str, object]:
        """All that its packed form depends on, as JSON."""

    @abstractmethod
    def utterances(self) -> list[Utterance]:
        """Every utterance of every split, in a fixed order."""

    def contents(self) -> list[str]:
        """What tells the content of each utterance's file, in the same order; empty where there are no such files."""
        return []

    @abstractmethod
    def read(self) -> Iterator[Values]:
        """The frames of each utterance, in the same order."""

    def look(self, places: Collection[int]) -> Iterator[tuple[int, npt.NDArray[np.floating] | CorpusError]]:
        """The values of the utterances in some places as their files hold them, or what is wrong with a file."""
        for place, values in enumerate(self.read()):
            if place in places:
                yield place, values

    def isolated(self) -> list[tuple[str, Values]]:
        """Gloss and frames of each recording of a single gloss that training utterances are made of."""
        return []

    def only(self, keys: Collection[str]) -> "Corpus | None":
        """The same corpus with the utterances of these keys alone; None where the whole takes no longer."""
        return None
