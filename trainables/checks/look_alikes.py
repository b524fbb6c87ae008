"""Glosses that a reader takes for one and a model for two: another case, alphabet, width, dash or apostrophe."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from glosstune.trainables.corpora.store import PackedCorpus

# The Cyrillic and Greek capitals that look like each Latin one. Glosses are written in capitals, and here no two of one
# alphabet stand for the same Latin one, the two forms of the Cyrillic I apart.
_CAPITALS = {
    "A": "\u0410\u0391",
    "B": "\u0412\u0392",
    "C": "\u0421",
    "E": "\u0415\u0395",
    "H": "\u041d\u0397",
    "I": "\u0406\u04c0\u0399",
    "J": "\u0408",
    "K": "\u041a\u039a",
    "M": "\u041c\u039c",
    "N": "\u039d",
    "O": "\u041e\u039f",
    "P": "\u0420\u03a1",
    "Q": "\u051a",
    "S": "\u0405",
    "T": "\u0422\u03a4",
    "W": "\u051c",
    "X": "\u0425\u03a7",
    "Y": "\u0423\u03a5",
    "Z": "\u0396",
}
_MARKS = {
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d",
    "'": "\u2019\u2018\u201b\u02bc\u02b9\u2032`\u00b4\uff07",
}
_LETTERS = {ord(other.casefold()): latin.casefold() for latin, others in _CAPITALS.items() for other in others}
_PLAIN = {ord(other): mark for mark, others in _MARKS.items() for other in others}
_LISTED = 5


def find_look_alikes(counts: Mapping[str, int]) -> list[dict[str, int]]:
    """Groups of glosses that look the same, with their counts, the commonest group and in it the commonest first."""
    groups: dict[str, dict[str, int]] = {}
    for gloss in sorted(counts, key=lambda each: (-counts[each], each)):
        groups.setdefault(appearance(gloss), {})[gloss] = counts[gloss]
    alike = [group for group in groups.values() if len(group) > 1]
    return sorted(alike, key=lambda group: -sum(group.values()))


def appearance(gloss: str) -> str:
    """What glosses that look the same have in common; digits stay apart, for IX1 and IX2 are two signs."""
    plain = unicodedata.normalize("NFKD", gloss.translate(_PLAIN)).casefold()
    letters = unicodedata.normalize("NFKD", plain).translate(_LETTERS)
    # Such as joiners, of which nothing is seen.
    return unicodedata.normalize("NFC", "".join(sign for sign in letters if unicodedata.category(sign) != "Cf"))


def tell_look_alikes(groups: Sequence[Mapping[str, int]]) -> str:
    """The first of these groups on one line, with the sign that only the eye takes for another."""
    told = []
    for group in groups[:_LISTED]:
        first, *others = group
        told.append(" and ".join([f"{first} ({group[first]})", *(_apart(other, first, group) for other in others)]))
    return "; ".join(told) + ("; …" if len(groups) > _LISTED else "")


def corpus_look_alikes(corpus: PackedCorpus) -> str:
    """A line about the look-alikes of training and dev; empty where there are none."""
    rows = (*corpus.rows("train"), *corpus.rows("dev"))
    groups = find_look_alikes(count_glosses(map(corpus.glosses, rows)))
    if not groups:
        return ""
    return f"look-alike glosses, which count as different ones ({len(groups)}): {tell_look_alikes(groups)}"


def count_glosses(sentences: Iterable[Iterable[str]]) -> Counter[str]:
    """How often each gloss occurs."""
    return Counter(gloss for sentence in sentences for gloss in sentence)


def _apart(gloss: str, first: str, group: Mapping[str, int]) -> str:
    if gloss.casefold() == first.casefold():
        return f"{gloss} ({group[gloss]})"
    ours, theirs = gloss.casefold(), first.casefold()
    more = next((sign for sign in gloss if sign.casefold() not in theirs), None)
    less = next((sign for sign in first if sign.casefold() not in ours), None)
    sign = more or less
    if sign is None:  # the same signs in another number or order
        return f"{gloss} ({group[gloss]})"
    name = unicodedata.name(sign, "a sign without a name")
    return f"{gloss} ({group[gloss]}, {'with' if more else 'without'} U+{ord(sign):04X} {name})"
