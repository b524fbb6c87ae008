"""How annotations of PHOENIX-2014 and PHOENIX-2014-T write glosses, and what evaluations make of them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from glosstune.spaces.errors import SettingError

CleanUp = Callable[[Sequence[str]], list[str]]

_SUFFIX = "-PLUSPLUS"
# What counts as a letter that is spelled: German ones have signs for these two as well.
_LETTERS = {"SCH", "NN"}
_RENAMED = {"S0NNE": "SONNE", "HABEN2": "HABEN", "ZEIGEN": "ZEIGEN-BILDSCHIRM"}

# What the scripts of PHOENIX-2014 take out of a gloss wherever it stands in it, in their order.
_INSIDE = ("loc-", "cl-", "qu-", "poss-", "lh-", "__EMOTION__", "__PU__", "__LEFTHAND__")


@dataclass(frozen=True)
class Convention:
    """What an evaluation makes of glosses before it compares them.

    Attributes:
        reference: of an annotation.
        output: of what a recogniser writes.
    """

    reference: CleanUp
    output: CleanUp


def clean_phoenix2014(glosses: Sequence[str]) -> list[str]:
    """An annotation as the scripts of PHOENIX-2014 count it, gloss by gloss; one that is clean already stays.

    ``loc-``, ``cl-``, ``qu-``, ``poss-``, ``lh-``, ``-PLUSPLUS`` and ``RAUM`` behind two letters go wherever they stand
    in a gloss (``NICHT-cl-KOMMEN`` is ``NICHT-KOMMEN``), ``__EMOTION__``, ``__PU__``, ``__LEFTHAND__`` and
    ``__EPENTHESIS__`` altogether; three spellings change. The scripts see one gloss at a time, so that ``WIE AUSSEHEN``
    and letters in a row stay apart. ``__ON__``, ``__OFF__`` and ``IX`` stay and are scored.

    Source: the evaluation of the corpus (Koller et al. 2015), as it is published with VAC (Min et al. 2021): it cleans
    outputs only, for the annotations of dev and test are released clean.
    """
    return [clean for gloss in glosses if (clean := _clean_phoenix2014(gloss))]


def clean_phoenix2014_output(glosses: Sequence[str]) -> list[str]:
    """What a recogniser writes, as the same scripts count it: immediate repeats are one, then each gloss is cleaned.

    Those that are alike only afterwards (``loc-NORD NORD``) stay two. An output of nothing stays empty, where the
    scripts write a gloss that is always wrong: as many errors.
    """
    return clean_phoenix2014(merge_repeats(glosses))


def clean_phoenix2014_camgoz(glosses: Sequence[str]) -> list[str]:
    """Annotation or output of PHOENIX-2014 as Camgoz et al. 2020 count both.

    What goes from a gloss in ``clean_phoenix2014`` goes here; between prefixes and endings ``WIE AUSSEHEN`` becomes one
    gloss, letters spelled in a row too (``A B`` is ``A+B``), and last immediate repeats.

    Letters join wherever they adjoin, also at the ends of a sentence, where the scripts' expressions miss some.
    """
    joined = _joined(map(_without_marks, glosses))
    return merge_repeats(clean for gloss in joined if (clean := _without_endings(gloss)))


def clean_phoenix2014t(glosses: Sequence[str]) -> list[str]:
    """Glosses as evaluations of PHOENIX-2014-T count them: whatever is written ``__SO__`` goes, few spellings change.

    ``loc-``, ``cl-``, ``-PLUSPLUS`` and ``RAUM`` behind a letter go wherever a word of the gloss begins or ends there.

    Source: the evaluation of Camgoz et al. 2020.
    """
    plain = (re.sub(r"\b__[^_]*__\b|\b(loc|cl)-(?=\w)|-PLUSPLUS\b", "", gloss) for gloss in glosses)
    joined = _joined(re.sub(r"\b([A-Z]+)RAUM\b", r"\1", gloss) for gloss in plain)
    return merge_repeats(gloss for gloss in joined if gloss)


def merge_repeats(glosses: Iterable[str]) -> list[str]:
    """One gloss for each run of equal ones."""
    return [gloss for gloss, _ in groupby(glosses)]


# By the names of the rules that score so (see ``ctc.rules``).
CONVENTIONS: Mapping[str, Convention] = {
    "phoenix2014": Convention(clean_phoenix2014, clean_phoenix2014_output),
    "phoenix2014-camgoz": Convention(clean_phoenix2014_camgoz, clean_phoenix2014_camgoz),
    "phoenix2014t": Convention(clean_phoenix2014t, clean_phoenix2014t),
}


def target_clean_up(scoring: str, targets: str) -> CleanUp:
    """What makes targets of annotations; SettingError if it should clean them and scoring does not."""
    if targets == "raw":
        return list
    if scoring not in CONVENTIONS:
        rule = f"must be raw where corpus.scoring is {scoring}, which cleans nothing up"
        raise SettingError(
            f"{rule}; say one that does: corpus.scoring={' or '.join(CONVENTIONS)}", key="corpus.targets"
        )
    return CONVENTIONS[scoring].reference


@lru_cache(maxsize=1 << 14)  # every epoch asks about the same glosses
def _clean_phoenix2014(gloss: str) -> str:
    return _without_endings(_without_marks(gloss))


def _without_marks(gloss: str) -> str:
    if "__EPENTHESIS__" in gloss:
        return ""
    for part in _INSIDE:
        gloss = gloss.replace(part, "")
    for spelled in ("S0NNE", "HABEN2"):
        gloss = gloss.replace(spelled, _RENAMED[spelled])
    return re.sub("ZEIGEN$", _RENAMED["ZEIGEN"], gloss)


def _without_endings(gloss: str) -> str:
    return re.sub("([A-Z][A-Z])RAUM", r"\1", gloss).replace(_SUFFIX, "")


def _joined(glosses: Iterable[str]) -> list[str]:
    """An empty one is kept: what stands on both sides of a mark does not join."""
    joined: list[str] = []
    for gloss in glosses:
        if joined and joined[-1].endswith("WIE") and gloss.startswith("AUSSEHEN"):
            joined[-1] = f"{joined[-1]}-{gloss}"
        elif joined and _spelled(joined[-1]) and _spelled(gloss):
            joined[-1] = f"{joined[-1]}+{gloss}"
        else:
            joined.append(gloss)
    return joined


def _spelled(gloss: str) -> bool:
    """Whether a gloss is a letter, or letters joined already."""
    return all(part in _LETTERS or (len(part) == 1 and "A" <= part <= "Z") for part in gloss.split("+"))
