"""Each rule counts what the evaluation that it is named after counts."""

from typing import get_args

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables.ctc.rules import RULES
from glosstune.trainables.ctc.scoring import count_plain, count_weighted
from glosstune.trainables.settings import Scoring

GLOSSES = ["A", "B", "S", "H", "REGEN", "loc-REGEN", "__PU__", "WIE", "AUSSEHEN", "NICHT-cl-X", "ORTRAUM", "regen"]
SENTENCES = st.lists(st.sampled_from(GLOSSES), max_size=8)
PAIRS = st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=4)


def test_the_settings_name_every_rule() -> None:
    assert tuple(RULES) == get_args(Scoring)


@given(PAIRS)
def test_weights_never_make_fewer_errors(pairs: list[tuple[list[str], list[str]]]) -> None:
    references, hypotheses = [r for r, _ in pairs], [h for _, h in pairs]
    assert count_weighted(references, hypotheses).errors >= count_plain(references, hypotheses).errors


def test_weights_prefer_a_match_to_fewer_errors() -> None:
    reference, hypothesis = ["A", "B", "C", "D", "REGEN", "WIND", "IX"], ["REGEN", "WIND", "IX", "E", "F", "G", "H"]
    assert count_plain([reference], [hypothesis]).substitutions == 7
    weighted = count_weighted([reference], [hypothesis])
    assert (weighted.substitutions, weighted.deletions, weighted.insertions) == (0, 4, 4)


@pytest.mark.parametrize(
    ("rule", "reference", "output", "errors"),
    [
        ("plain", "NORD REGEN", "loc-NORD REGEN", 1),
        ("phoenix2014", "NORD REGEN", "loc-NORD REGEN", 0),
        ("phoenix2014", "REGEN REGEN", "REGEN REGEN", 1),  # outputs are merged, annotations are not
        ("phoenix2014", "NORD", "loc-NORD NORD", 1),  # alike only after the clean-up
        ("phoenix2014", "S+H WIE-AUSSEHEN", "S H WIE AUSSEHEN", 4),  # nothing joins across glosses
        ("phoenix2014", "NICHT-KOMMEN", "NICHT-cl-KOMMEN", 0),
        ("phoenix2014", "Regen", "REGEN", 0),  # sclite ignores case
        ("phoenix2014", "REGEN WIND", "__PU__", 2),
        ("phoenix2014-camgoz", "REGEN REGEN S+H WIE-AUSSEHEN", "REGEN S H WIE AUSSEHEN", 0),
        ("phoenix2014-camgoz", "NORD", "loc-NORD NORD", 0),
        ("phoenix2014-camgoz", "NICHT-KOMMEN", "NICHT-cl-KOMMEN", 0),
        ("phoenix2014t", "__ON__ loc-NORD", "NORD __OFF__", 0),
        ("csl-daily", "你 好 好", "你 好 好", 1),
        ("csl-daily", "朋友 好", "朋 友 好", 2),
        ("characters", "朋友 好", "朋 友 好", 0),
        ("characters", "朋友 好", "朋 好", 1),
    ],
)
def test_a_rule_counts(rule: str, reference: str, output: str, errors: int) -> None:
    assert RULES[rule].count([reference.split()], [output.split()]).errors == errors


@pytest.mark.parametrize("name", RULES)
@given(pairs=PAIRS)
def test_utterances_add_up_and_what_is_annotated_is_right(name: str, pairs: list[tuple[list[str], list[str]]]) -> None:
    rule = RULES[name]
    references, outputs = [r for r, _ in pairs], [h for _, h in pairs]
    single = [rule.count([reference], [output]) for reference, output in pairs]
    whole = rule.count(references, outputs)
    assert whole.errors == sum(counts.errors for counts in single)
    assert whole.glosses == sum(counts.glosses for counts in single)
    unrepeated = [[gloss for place, gloss in enumerate(r) if not place or r[place - 1] != gloss] for r in references]
    assert rule.count(unrepeated, unrepeated).errors == 0


def test_a_reference_that_clean_up_leaves_nothing_of_counts_what_was_written() -> None:
    counts = RULES["phoenix2014"].count([["__PU__"], ["REGEN"]], [["A", "B"], ["REGEN"]])
    assert (counts.insertions, counts.errors, counts.glosses) == (2, 2, 1)
    with pytest.raises(ValueError, match="no gloss"):
        _ = RULES["phoenix2014"].count([["__PU__"]], [["A"]]).rates


def test_tables_show_what_is_counted() -> None:
    table = pd.DataFrame({"key": ["a"], "reference": ["NORD"], "hypothesis": ["loc-NORD loc-NORD __PU__"]})
    assert RULES["phoenix2014"].cleaned(table).to_dict("records") == [
        {"key": "a", "reference": "NORD", "hypothesis": "NORD"}
    ]
    assert RULES["plain"].cleaned(table).equals(table)


def test_a_gloss_is_reachable_that_some_known_one_is_cleaned_to() -> None:
    known = ["loc-MEIN", "REGEN", "NICHT-cl-KOMMEN"]
    dev = ["MEIN", "NICHT-KOMMEN", "REGEN", "SONNE", "__PU__"]
    assert RULES["phoenix2014"].unreachable(dev, known) == ["SONNE"]
    assert RULES["plain"].unreachable(dev, known) == ["MEIN", "NICHT-KOMMEN", "SONNE", "__PU__"]
    assert RULES["phoenix2014"].unreachable(["S+H"], ["S", "H"]) == ["S+H"]  # nothing joins across glosses
    assert RULES["phoenix2014-camgoz"].unreachable(["S+H", "S+K"], ["S", "H"]) == ["S+K"]
    assert RULES["characters"].unreachable(["朋好", "吃"], ["朋友", "好"]) == ["吃"]
