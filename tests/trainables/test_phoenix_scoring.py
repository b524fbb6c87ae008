"""Glosses are cleaned as the evaluation of PHOENIX-2014 cleans them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables.phoenix_scoring import clean_phoenix2014


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
    ],
)
def test_clean_up(glosses: str, cleaned: str) -> None:
    assert clean_phoenix2014(glosses.split()) == cleaned.split()


GLOSSES = ["A", "B", "REGEN", "loc-REGEN", "__PU__", "ZEIGEN", "WIE", "AUSSEHEN", "HABEN2", "cl-loc-X"]


@given(st.lists(st.sampled_from(GLOSSES)))
def test_cleaning_again_changes_nothing(glosses: list[str]) -> None:
    once = clean_phoenix2014(glosses)
    assert clean_phoenix2014(once) == once
