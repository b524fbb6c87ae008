"""Glosses are cleaned as the evaluations of PHOENIX-2014 and PHOENIX-2014-T clean them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.spaces import SettingError
from glosstune.trainables.corpora.files.conventions import (
    CleanUp,
    clean_phoenix2014,
    clean_phoenix2014_camgoz,
    clean_phoenix2014_output,
    clean_phoenix2014t,
    target_clean_up,
)


@pytest.mark.parametrize(
    ("glosses", "cleaned"),
    [
        ("__ON__ MORGEN __EMOTION__ REGEN __PU__ __OFF__", "__ON__ MORGEN REGEN __OFF__"),
        ("__LEFTHAND__ __EPENTHESIS__", ""),
        ("loc-NORD cl-KOMMEN qu-WAS poss-EUCH lh-BERG REGEN-PLUSPLUS", "NORD KOMMEN WAS EUCH BERG REGEN"),
        ("NICHT-cl-KOMMEN REGEN-PLUSPLUS-STARK", "NICHT-KOMMEN REGEN-STARK"),
        ("S0NNE HABEN2 NICHT-HABEN2 ZEIGEN ZEIGEN-PLUSPLUS", "SONNE HABEN NICHT-HABEN ZEIGEN-BILDSCHIRM ZEIGEN"),
        ("WETTER WIE AUSSEHEN MORGEN", "WETTER WIE AUSSEHEN MORGEN"),
        ("JETZT S H A+B C", "JETZT S H A+B C"),
        ("NORDRAUM RAUM TRAUM NORDRAUM-WEST", "NORD RAUM TRAUM NORD-WEST"),
    ],
)
def test_clean_up_of_phoenix2014(glosses: str, cleaned: str) -> None:
    assert clean_phoenix2014(glosses.split()) == clean_phoenix2014_output(glosses.split()) == cleaned.split()


@pytest.mark.parametrize(
    ("glosses", "reference", "output"),
    [
        ("REGEN REGEN WIND", "REGEN REGEN WIND", "REGEN WIND"),
        ("REGEN loc-REGEN", "REGEN REGEN", "REGEN REGEN"),
        ("REGEN __PU__ REGEN", "REGEN REGEN", "REGEN REGEN"),
        ("loc-NORD loc-NORD NORD", "NORD NORD NORD", "NORD NORD"),
    ],
)
def test_repeats_are_merged_in_what_a_recogniser_writes_before_it_is_cleaned(
    glosses: str, reference: str, output: str
) -> None:
    assert clean_phoenix2014(glosses.split()) == reference.split()
    assert clean_phoenix2014_output(glosses.split()) == output.split()


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
        ("NORDRAUM RAUM TRAUM NICHT-cl-KOMMEN REGEN-PLUSPLUS-STARK", "NORD RAUM TRAUM NICHT-KOMMEN REGEN-STARK"),
        ("WIE __PU__ AUSSEHEN A __EMOTION__ B ZEIGEN-PLUSPLUS", "WIE AUSSEHEN A B ZEIGEN"),
        ("HABEN2RAUM NICHT-HABEN2 WIE AUSSEHEN-PLUSPLUS", "HABEN NICHT-HABEN WIE-AUSSEHEN"),
    ],
)
def test_clean_up_of_phoenix2014_as_camgoz_has_it(glosses: str, cleaned: str) -> None:
    assert clean_phoenix2014_camgoz(glosses.split()) == cleaned.split()


@pytest.mark.parametrize(
    ("glosses", "cleaned"),
    [
        ("__ON__ MORGEN __EMOTION__ REGEN __anything__ __OFF__", "MORGEN REGEN"),
        ("loc-NORD cl-KOMMEN qu-WAS REGEN-PLUSPLUS NORDRAUM", "NORD KOMMEN qu-WAS REGEN NORD"),
        ("S0NNE HABEN2 ZEIGEN WIE AUSSEHEN", "S0NNE HABEN2 ZEIGEN WIE-AUSSEHEN"),
        ("JETZT A D IX IX", "JETZT A+D IX"),
        ("NICHT-cl-KOMMEN REGEN-PLUSPLUS-STARK NORDRAUM-WEST TRAUM", "NICHT-KOMMEN REGEN-STARK NORD-WEST T"),
        ("A __ON__ B WIE __OFF__ AUSSEHEN", "A B WIE AUSSEHEN"),
    ],
)
def test_clean_up_of_phoenix2014t(glosses: str, cleaned: str) -> None:
    assert clean_phoenix2014t(glosses.split()) == cleaned.split()


GLOSSES = ["A", "B", "NN", "REGEN", "loc-REGEN", "__PU__", "ZEIGEN", "WIE", "AUSSEHEN", "HABEN2", "cl-loc-X"]
GLOSSES += ["ORTRAUM", "ORTRAUM-PLUSPLUS", "__ON__", "NICHT-cl-X"]
SENTENCES = st.lists(st.sampled_from(GLOSSES))


@pytest.mark.parametrize("clean", [clean_phoenix2014, clean_phoenix2014_camgoz, clean_phoenix2014t])
@given(glosses=SENTENCES)
def test_what_is_clean_stays_as_it_is(clean: CleanUp, glosses: list[str]) -> None:
    # What stood on both sides of a mark joins only once the mark is gone.
    once = clean([gloss for gloss in glosses if clean is clean_phoenix2014 or not gloss.startswith("__")])
    assert clean(once) == once


@given(one=SENTENCES, other=SENTENCES)
def test_phoenix2014_knows_no_neighbours(one: list[str], other: list[str]) -> None:
    assert clean_phoenix2014([*one, *other]) == clean_phoenix2014(one) + clean_phoenix2014(other)


def test_what_cleans_nothing_makes_no_clean_targets() -> None:
    assert target_clean_up("plain", "raw")(("loc-A",)) == ["loc-A"]
    assert target_clean_up("phoenix2014", "clean")(("loc-A", "__PU__")) == ["A"]
    with pytest.raises(SettingError, match="is csl-daily, which cleans nothing up") as error:
        target_clean_up("csl-daily", "clean")
    assert error.value.key == "corpus.targets"
