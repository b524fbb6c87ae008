"""Glosses and their CTC classes."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

BLANK = 0
# Zero-width space, word joiner, byte order mark, soft hyphen: what editors and web pages leave inside of words.
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad"))


def split_glosses(text: str) -> tuple[str, ...]:
    """Glosses of an annotation in one Unicode form, without the invisible characters that make two of one."""
    return tuple(unicodedata.normalize("NFC", text.translate(_INVISIBLE)).split())


@dataclass(frozen=True)
class Vocabulary:
    """The glosses of a training split, sorted; class 0 is the CTC blank, gloss k is class k + 1."""

    glosses: tuple[str, ...]
    _classes: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_classes", {gloss: index + 1 for index, gloss in enumerate(self.glosses)})

    @classmethod
    def of(cls, sentences: Iterable[Sequence[str]]) -> "Vocabulary":
        """Every gloss of the sentences, sorted, so that file order does not matter."""
        return cls(tuple(sorted({gloss for sentence in sentences for gloss in sentence})))

    def __len__(self) -> int:
        """Classes, the blank included."""
        return len(self.glosses) + 1

    def unknown(self, sentence: Sequence[str]) -> list[str]:
        """Glosses of a sentence that have no class; they can only count as errors."""
        return [gloss for gloss in sentence if gloss not in self._classes]

    def encode(self, sentence: Sequence[str]) -> list[int]:
        """Classes of a sentence; KeyError on an unknown gloss, which must never become a blank."""
        return [self._classes[gloss] for gloss in sentence]

    def decode(self, classes: Iterable[int]) -> list[str]:
        """Glosses of classes without blanks."""
        return [self.glosses[index - 1] for index in classes]
