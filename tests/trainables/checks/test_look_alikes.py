"""Glosses that look the same are found, and those that do not are left alone."""

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.trainables.checks.look_alikes import appearance, find_look_alikes, tell_look_alikes

GLOSSES = st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=6)
# Alphabets with digits, of which no two letters look the same.
ALPHABETS = (
    string.ascii_uppercase,
    "\u0410\u0411\u0412\u0413\u0414\u0415\u0416\u0417\u0418\u0419\u041a\u041b\u041c\u041d\u041e\u041f\u0420\u0421\u0422\u0423\u0424\u0425\u0426\u0427\u0428\u0429\u042a\u042b\u042c\u042d\u042e\u042f\u0406\u040e\u0404\u0401",
    "\u0391\u0392\u0393\u0394\u0395\u0396\u0397\u0398\u0399\u039a\u039b\u039c\u039d\u039e\u039f\u03a0\u03a1\u03a3\u03a4\u03a5\u03a6\u03a7\u03a8\u03a9",
    "我你去来",
)
WRITTEN = st.sampled_from(ALPHABETS).flatmap(lambda alphabet: st.lists(st.text(f"{alphabet}0123456789-", max_size=4)))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("HAUS", "Haus"),
        ("STRASSE", "Straße"),
        ("HAUS", "H\u0410US"),  # a Cyrillic A
        ("BETA", "\u0392\u0395\u03a4\u0391"),  # Greek capitals
        ("\u0421\u041e\u041d", "COH"),
        ("IX1", "\uff29\uff38\uff11"),
        ("GEHT'S", "GEHT\u2019S"),
        ("NORD-OST", "NORD\u2013OST"),
        ("NORD-OST", "NORD\u2011OST"),
        ("MÜNCHEN", "MU\u0308NCHEN"),
        ("A\u200dB", "AB"),
    ],
)
def test_glosses_that_look_the_same_are_found(first: str, second: str) -> None:
    assert find_look_alikes({first: 3, second: 1, "REGEN": 9}) == [{first: 3, second: 1}]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("IX1", "IX2"),
        ("HAUS", "HAUS+"),
        ("HAUS", "RAUS"),
        ("k\u0131l", "kil"),
        ("\u0435", "\u0451"),
        ("\u0423\u0420", "\u04ae\u0420"),
        ("A-B", "AB"),
    ],
)
def test_glosses_that_differ_are_left_alone(first: str, second: str) -> None:
    assert find_look_alikes({first: 3, second: 1}) == []


@given(WRITTEN)
def test_glosses_of_one_alphabet_in_one_case_are_never_alike(glosses: list[str]) -> None:
    assert find_look_alikes(dict.fromkeys(glosses, 1)) == []


@given(GLOSSES)
def test_a_gloss_looks_like_itself_in_other_forms(gloss: str) -> None:
    seen = appearance(gloss)
    assert appearance(seen) == seen
    for form in ("NFC", "NFD"):
        assert appearance(unicodedata.normalize(form, gloss)) == seen


@given(st.dictionaries(GLOSSES, st.integers(1, 99)))
def test_groups_are_apart_whole_and_in_order(counts: dict[str, int]) -> None:
    groups = find_look_alikes(counts)
    listed = [gloss for group in groups for gloss in group]
    assert len(listed) == len(set(listed))
    assert all(len(group) > 1 and len({appearance(gloss) for gloss in group}) == 1 for group in groups)
    assert len({appearance(next(iter(group))) for group in groups}) == len(groups)
    alone = set(counts) - set(listed)
    assert len({appearance(gloss) for gloss in alone}) == len(alone)
    for group in groups:
        assert list(group.values()) == sorted(group.values(), reverse=True)
        assert all(counts[gloss] == count for gloss, count in group.items())
    assert "\n" not in tell_look_alikes(groups)


def test_the_sign_that_the_eye_cannot_tell_is_named() -> None:
    told = tell_look_alikes(find_look_alikes({"HAUS": 12, "H\u0410US": 3, "Haus": 1}))
    assert told == "HAUS (12) and H\u0410US (3, with U+0410 CYRILLIC CAPITAL LETTER A) and Haus (1)"
    assert tell_look_alikes([{"A\u200dB": 2, "AB": 1}]) == "A\u200dB (2) and AB (1, without U+200D ZERO WIDTH JOINER)"
    many = find_look_alikes({f"{case(letter)}": 1 for letter in "abcdefg" for case in (str.upper, str.lower)})
    assert tell_look_alikes(many).count(";") == 5 and tell_look_alikes(many).endswith("; …")
