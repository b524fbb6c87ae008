"""Splits that a table does not say are drawn so that nothing leaks and nothing moves."""

from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from glosstune.spaces import SettingError
from glosstune.trainables.corpora.splits import (
    Candidate,
    draw_by_recording,
    draw_by_signer,
    draw_dev,
    plan_splits,
)
from glosstune.trainables.corpora.utterance import SPLITS

names = st.text(min_size=1, max_size=8)
many = st.sets(names, min_size=2, max_size=60)
seeds = st.integers(0, 2**32 - 1)


def _drawn(recordings: set[str], seed: int) -> dict[str, str]:
    try:
        return dict(draw_by_recording(recordings, seed))
    except SettingError:
        assume(False)
        raise


@given(many, seeds)
def test_every_recording_is_in_one_split_and_in_the_same_each_time(recordings: set[str], seed: int) -> None:
    drawn = _drawn(recordings, seed)
    assert drawn.keys() == recordings
    assert {"train", "dev"} <= set(drawn.values()) <= set(SPLITS)
    assert drawn == _drawn(set(reversed(sorted(recordings))), seed)


@given(many, st.sets(names, max_size=20), seeds)
def test_recordings_that_come_later_move_nobody(recordings: set[str], later: set[str], seed: int) -> None:
    before, after = _drawn(recordings, seed), _drawn(recordings | later, seed)
    assert {name: after[name] for name in recordings} == before


@given(many, st.sets(names, max_size=20), seeds)
def test_dev_out_of_training_moves_nobody_either(recordings: set[str], later: set[str], seed: int) -> None:
    try:
        before, after = draw_dev(recordings, seed), draw_dev(recordings | later, seed)
    except SettingError:
        assume(False)
    assert before == after & recordings
    assert before and recordings - before


@given(st.sets(names, min_size=2, max_size=12), seeds, st.integers(1, 5))
def test_every_signer_is_in_one_split_and_dev_in_each_fold_is_another(signers: set[str], seed: int, fold: int) -> None:
    folds = min(5, len(signers))
    drawn = [draw_by_signer(signers, seed, number) for number in range(1, folds + 1)]
    held = [name for each in drawn for name in each if each[name] == "dev"]
    assert sorted(held) == sorted(signers)
    for each in drawn:
        assert each.keys() == signers
        assert set(each.values()) == ({"train", "dev", "test"} if len(signers) > 2 else {"train", "dev"})
    if fold > folds:
        with pytest.raises(SettingError, match=rf"corpus\.fold: must be 1 to {folds}, as the {len(signers)} signers"):
            draw_by_signer(signers, seed, fold)


def test_about_eight_in_ten_train() -> None:
    drawn = list(draw_by_recording(map(str, range(5000)), 0).values())
    assert [round(drawn.count(split) / 5000, 1) for split in SPLITS] == [0.8, 0.1, 0.1]


def test_another_seed_draws_others() -> None:
    recordings = list(map(str, range(50)))
    assert draw_by_recording(recordings, 0) != draw_by_recording(recordings, 1)
    assert draw_by_signer(recordings, 0, 1) != draw_by_signer(recordings, 1, 1)


def test_too_few_to_split_say_what_mends_it() -> None:
    with pytest.raises(SettingError, match=r"corpus\.split: 1 recordings cannot be split .* column split"):
        draw_by_recording(["a"], 0)
    with pytest.raises(SettingError, match=r"corpus\.split: unseen-signers needs at least 2 signers; got a; set"):
        draw_by_signer(["a"], 0, 1)
    few = ["a", "b", "c"]
    seed = next(seed for seed in range(99) if len({_split(name, seed) for name in few}) == 1)
    with pytest.raises(
        SettingError, match=r"corpus\.split_seed: leaves .* of the 3 recordings; .* set corpus\.split_seed="
    ) as error:
        draw_by_recording(few, seed)
    way_out = int(str(error.value).partition("split_seed=")[2].partition(",")[0])
    assert {"train", "dev"} <= set(draw_by_recording(few, way_out).values())


def _split(name: str, seed: int) -> str:
    """What one recording is drawn for, beside so many that no split is empty."""
    return draw_by_recording([name, *map(str, range(200))], seed)[name]


def _candidates(*said: str | None) -> list[Candidate]:
    return [
        Candidate(f"clip{place}", f"s{place % 3}", next((each for each in SPLITS if each == split), None))
        for place, split in enumerate(said)
    ]


def test_splits_that_are_said_stay_as_they_are() -> None:
    plan = plan_splits(_candidates("test", "train", "dev"), seed=7)
    assert (plan.splits, plan.decided, plan.notes) == (["test", "train", "dev"], {"by": "table"}, [])


def test_a_missing_dev_is_drawn_from_training_alone_and_told() -> None:
    plan = plan_splits(_candidates(*["train", "test"] * 40), seed=3)
    assert [split for split in plan.splits[1::2]] == ["test"] * 40
    dev = plan.splits[::2].count("dev")
    assert 0 < dev < 20
    assert plan.notes == [
        f"splits: the table has no dev, which is drawn from train under corpus.split_seed=3: {40 - dev} train, {dev} "
        "dev, 40 test"
    ]


def test_what_is_drawn_is_told() -> None:
    told = plan_splits(_candidates(*[None] * 30), unseen_signers=True, fold=2).notes
    held = draw_by_signer({"s0", "s1", "s2"}, 0, 2)
    of = {split: name for name, split in held.items()}
    assert told == [
        f"splits: drawn by signer, fold 2 of 3, under corpus.split_seed=0: train {of['train']}; dev {of['dev']}; "
        f"test {of['test']}"
    ]
    (told,) = plan_splits(_candidates(*[None] * 30)).notes
    assert told.startswith("splits: drawn by recording under corpus.split_seed=0: ")
    assert told.endswith(" test; corpus.split=unseen-signers draws by signer")


def test_few_for_dev_or_test_are_told_with_a_seed_that_draws_more() -> None:
    candidates = _candidates(*[None] * 60)
    for seed in range(40):
        counts = Counter(plan_splits(candidates, seed=seed).splits)
        few = plan_splits(candidates, seed=seed).notes[1:]
        assert bool(few) == (min(counts["dev"], counts["test"]) < 3)
        for note in few:
            assert f"{counts['dev']} recordings for dev and {counts['test']} for test are few of 60" in note
            better = plan_splits(candidates, seed=int(note.partition("corpus.split_seed=")[2].partition(" ")[0]))
            counts = Counter(better.splits)
            assert note.endswith(f" draws {counts['dev']} and {counts['test']}")
            assert better.notes[1:] == []


def test_splits_that_are_said_are_not_drawn_by_signer() -> None:
    with pytest.raises(SettingError, match=r"corpus\.split: unseen-signers draws splits, and the table says its own"):
        plan_splits(_candidates("train", "dev"), unseen_signers=True)
