"""What every corpus yields: one utterance and its frames."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


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


class Corpus(Protocol):
    """A source of utterances that can be packed."""

    @property
    def shares_recordings(self) -> bool:
        """Whether its splits are allowed to share recordings (unseen sentences of the same clips)."""

    def identity(self) -> dict[str, object]:
        """All that its packed form depends on, as JSON."""

    def utterances(self) -> list[Utterance]:
        """Every utterance of every split, in a fixed order."""

    def read(self) -> Iterator[npt.NDArray[np.float32]]:
        """The frames (time, 1629 or 6516) of each utterance, in the same order."""
