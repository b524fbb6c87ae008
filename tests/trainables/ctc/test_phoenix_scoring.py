"""Glosses are cleaned as the evaluations of PHOENIX-2014 and PHOENIX-2014-T clean them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables.ctc.phoenix_scoring import CLEAN_UPS, clean_phoenix2014, clean_phoenix2014t


@pytest.mark.parametrize(
    ("glosses", "cleaned"),
    [
        ("__ON__ MORGEN __EMOTION__ REGEN __PU__ __OFF__", "__ON__ MORGEN REGEN __OFF__"),
        ("__LEFTHAND__ __EPENTHESIS__", ""),
        ("loc-NORD cl-KOMMEN qu-WAS poss-EUCH lh-BERG REGEN-PLUSPLUS", "NORD KOMMEN WAS EUCH BERG REGEN"),
        ("S0NNE HABEN2 ZEIGEN", "SONNE HABEN ZEIGEN-BILDSCHIRM"),
        ("WETTER WIE AUSSEHEN MORGEN", "WETTER WIE-AUSSEHEN MORGEN"),
        ("JETZT A D A C IX", "JETZT A+D+A+C IX"),
        ("A+B C WIND", "A+B+C WIND"),
        ("REGEN REGEN loc-REGEN WIND REGEN", "REGEN WIND REGEN"),
        ("REGEN __PU__ REGEN", "REGEN"),
        ("IX IX", "IX"),
        ("M A NN SCH E", "M+A+NN+SCH+E"),
        ("NORDRAUM RAUM TRAUM", "NORD RAUM TRAUM"),
    ],
)
def test_clean_up_of_phoenix2014(glosses: str, cleaned: str) -> None:
    assert clean_phoenix2014(glosses.split()) == cleaned.split()


@pytest.mark.parametrize(
    ("glosses", "cleaned"),
    [
        ("__ON__ MORGEN __EMOTION__ REGEN __anything__ __OFF__", "MORGEN REGEN"),
        ("loc-NORD cl-KOMMEN qu-WAS REGEN-PLUSPLUS NORDRAUM", "NORD KOMMEN qu-WAS REGEN NORD"),
        ("S0NNE HABEN2 ZEIGEN WIE AUSSEHEN", "S0NNE HABEN2 ZEIGEN WIE-AUSSEHEN"),
        ("JETZT A D IX IX", "JETZT A+D IX"),
    ],
)
def test_clean_up_of_phoenix2014t(glosses: str, cleaned: str) -> None:
    assert clean_phoenix2014t(glosses.split()) == cleaned.split()


GLOSSES = ["A", "B", "NN", "REGEN", "loc-REGEN", "__PU__", "ZEIGEN", "WIE", "AUSSEHEN", "HABEN2", "cl-loc-X"]
GLOSSES += ["ORTRAUM", "ORTRAUM-PLUSPLUS", "ORTRAUMRAUM", "__ON__"]


@pytest.mark.parametrize("clean", CLEAN_UPS.values())
@given(glosses=st.lists(st.sampled_from(GLOSSES)))
def test_cleaning_again_changes_nothing(clean: Callable[[list[str]], list[str]], glosses: list[str]) -> None:
    once = clean(glosses)
    assert clean(once) == once
