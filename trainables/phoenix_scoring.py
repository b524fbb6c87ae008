"""The clean-up of glosses before scoring on PHOENIX-2014, for reference and hypothesis alike."""

from collections.abc import Sequence
from itertools import groupby

_DROPPED = {"__EMOTION__", "__PU__", "__LEFTHAND__", "__EPENTHESIS__"}
_PREFIXES = ("loc-", "cl-", "qu-", "poss-", "lh-")
_SUFFIX = "-PLUSPLUS"
_RENAMED = {"S0NNE": "SONNE", "HABEN2": "HABEN", "ZEIGEN": "ZEIGEN-BILDSCHIRM"}


def clean_phoenix2014(glosses: Sequence[str]) -> list[str]:
    """Glosses as the evaluation of PHOENIX-2014 counts them.

    Marks of emotion, pauses, the left hand and epenthesis go, prefixes such as ``loc-`` and the suffix ``-PLUSPLUS``
    too; some spellings are united, letters spelled in a row become one gloss (``A B`` is ``A+B``), and immediate
    repeats one. ``__ON__``, ``__OFF__`` and ``IX`` stay and are scored.

    Source: the evaluation scripts of the corpus (Koller et al. 2015), as public evaluations apply them.
    """
    plain = [_plain(gloss) for gloss in glosses if gloss not in _DROPPED]
    joined: list[str] = []
    for gloss in (gloss for gloss in plain if gloss):
        if joined and joined[-1] == "WIE" and gloss == "AUSSEHEN":
            joined[-1] = "WIE-AUSSEHEN"
        elif joined and _spelled(joined[-1]) and _spelled(gloss):
            joined[-1] = f"{joined[-1]}+{gloss}"
        else:
            joined.append(gloss)
    return [gloss for gloss, _ in groupby(_RENAMED.get(gloss, gloss) for gloss in joined)]


def _plain(gloss: str) -> str:
    while (prefix := next((each for each in _PREFIXES if gloss.startswith(each)), None)) is not None:
        gloss = gloss.removeprefix(prefix)
    return gloss.removesuffix(_SUFFIX)


def _spelled(gloss: str) -> bool:
    """Whether a gloss is a letter, or letters joined already."""
    return all(len(part) == 1 and part.isalpha() and part.isupper() for part in gloss.split("+"))
