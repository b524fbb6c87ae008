"""How sure a confirmed figure is, where that is known."""

from dataclasses import replace
from itertools import chain, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.results.analysis.confirmation import (
    CONFIRMATION_COLUMNS,
    Counts,
    shorten_confirmation,
    summarise_confirmation,
)


def utterances(*rows: tuple[int, int, str, str, int, int]) -> pd.DataFrame:
    """Of (trial, seed, split, key, glosses, errors); the signer is the first letter of the key."""
    frame = pd.DataFrame(rows, columns=["trial", "seed", "split", "key", "glosses", "errors"])
    return frame.assign(
        scoring="greedy", sweep_wer=0.1 * (1 + frame["trial"]), part="seeds", signer=frame["key"].str[0]
    )


def test_means_are_over_seeds_and_intervals_around_them():
    rows = [(0, seed, split, f"a{n}", 10, 2 + seed) for seed in (1, 3) for split in ("dev", "test") for n in range(20)]
    (row,) = summarise_confirmation(utterances(*rows)).to_dict("records")
    assert (row["seeds"], row["dev_wer"], row["test_wer"]) == (2, pytest.approx(0.4), pytest.approx(0.4))
    assert row["dev_sd"] == pytest.approx(np.std([0.3, 0.5], ddof=1))
    assert row["optimism"] == pytest.approx(0.3)
    # Every utterance is like every other, so only which seeds are drawn matters.
    assert (row["test_low"], row["test_high"]) == (pytest.approx(0.3), pytest.approx(0.5))
    assert row["behind"] == 0


def test_of_one_seed_only_the_utterances_are_uncertain():
    rows = [(0, 1, split, f"a{n}", 10, 4) for split in ("dev", "test") for n in range(20)]
    (row,) = summarise_confirmation(utterances(*rows)).to_dict("records")
    assert row["test_low"] == row["test_high"] == pytest.approx(0.4)


def test_what_was_scored_on_other_utterances_or_seeds_is_refused():
    rows = [(trial, 1, split, f"a{n}", 10, 4) for trial in (0, 1) for split in ("dev", "test") for n in range(3)]
    with pytest.raises(ValueError, match="trial 1 was scored on other utterances or seeds"):
        summarise_confirmation(utterances(*rows[:-1]))
    with pytest.raises(ValueError, match="trial 1 was scored on other utterances or seeds"):
        summarise_confirmation(utterances(*rows, *((0, 2, *row[2:]) for row in rows[:6])))


def test_the_best_of_the_sweep_comes_first_and_others_are_so_far_behind():
    rows = [
        (trial, 1, split, f"a{n}", 10, 3 - trial + n % 2)
        for trial in (1, 0)
        for split in ("dev", "test")
        for n in range(30)
    ]
    first, second = summarise_confirmation(utterances(*rows)).to_dict("records")
    assert (first["trial"], second["trial"]) == (0, 1)
    # One error in ten less in every single utterance: paired, there is nothing uncertain about it.
    assert second["behind"] == pytest.approx(-0.1)
    assert (second["behind_low"], second["behind_high"]) == (pytest.approx(-0.1), pytest.approx(-0.1))
    assert second["test_high"] - second["test_low"] > 0.01


def test_drawing_signers_is_less_sure_than_drawing_utterances():
    rows = [
        (0, 1, split, f"{signer}{n}", 10, errors)
        for split in ("dev", "test")
        for signer, errors in (("a", 1), ("b", 7))
        for n in range(50)
    ]
    widths = [
        summary["test_high"].iloc[0] - summary["test_low"].iloc[0]
        for clusters in ([], ["signer"])
        for summary in [summarise_confirmation(utterances(*rows), clusters)]
    ]
    assert widths[1] == pytest.approx(0.6)  # either signer may be drawn twice
    assert widths[0] < 0.2


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 12)), min_size=1, max_size=12),
    st.sampled_from([[], ["signer"], ["signer", "broadcast"]]),
)
def test_no_draw_is_better_than_the_best_or_worse_than_the_worst_utterance(counts, clusters):
    frame = pd.DataFrame(counts, columns=["glosses", "errors"])
    frame["signer"] = [f"s{n % 3}" for n in range(len(frame))]
    frame = frame.assign(part="a", key=[f"u{n}" for n in range(len(frame))], seed=1)
    frame["broadcast"] = [f"b{n % 5}" for n in range(len(frame))]
    whole = Counts.of(frame, clusters)
    drawn = whole.draw(20, seed=0)
    assert (drawn[0].sum(axis=1) >= 1).all()
    draws = whole.resample(drawn)
    rates = frame["errors"] / frame["glosses"]
    assert draws.min() >= rates.min() - 1e-9
    assert draws.max() <= rates.max() + 1e-9


def enumerated(utterances, errors, clusters):
    """The WER of every draw there is, (draw,), all of them equally likely: seeds, then clusters, then utterances."""
    if clusters:
        groups = [np.flatnonzero(utterances[clusters[0]] == name) for name in sorted(set(utterances[clusters[0]]))]
    else:
        groups = [np.arange(len(utterances))]
    wers = []
    for seeds in product(range(errors.shape[1]), repeat=errors.shape[1]):
        for chosen in product(groups, repeat=len(groups)):
            for rows in product(*(product(group, repeat=len(group)) for group in chosen)):
                drawn = list(chain.from_iterable(rows))
                glosses = utterances["glosses"].to_numpy()[drawn].sum()
                wers.append(np.mean([errors[drawn, seed].sum() / glosses for seed in seeds]))
    return np.array(wers)


@pytest.mark.parametrize("clusters", [[], ["signer"]], ids=["utterances", "signers"])
def test_bootstrap_samples_come_as_often_as_among_all_that_there_are(clusters):
    frame = pd.DataFrame(
        [
            {"part": "a", "key": f"{signer}{n}", "signer": signer, "glosses": 3 + n, "seed": seed, "errors": errors}
            for signer, n, *each in (("a", 0, 1, 3), ("a", 1, 2, 2), ("b", 0, 0, 1), ("b", 4, 6, 2))
            for seed, errors in enumerate(each)
        ]
    )
    one = Counts.of(frame, clusters)
    other = replace(one, errors=one.errors[:, ::-1] + np.arange(4)[:, None] % 2)
    drawn = one.draw(4000, seed=0)
    paired = one.resample(drawn) - other.resample(drawn)
    expected = [enumerated(each.utterances, each.errors, clusters) for each in (one, other)]
    for draws, all_draws in ((one.resample(drawn), expected[0]), (paired, expected[0] - expected[1])):
        at = np.unique(all_draws.round(9))
        shares = [
            np.searchsorted(np.sort(values.round(9)), at, side="right") / len(values) for values in (draws, all_draws)
        ]
        assert np.abs(shares[0] - shares[1]).max() < 0.026  # Kolmogorov and Smirnov: 1 % of samples as large as this
        assert np.isin(draws.round(9), at).all()


def test_one_seed_has_no_deviation_and_types_are_exact():
    frame = summarise_confirmation(utterances((0, 1, "dev", "a0", 4, 1), (0, 1, "test", "a0", 4, 2)))
    assert frame["test_sd"].isna().all()
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == CONFIRMATION_COLUMNS


def test_ways_of_scoring_are_told_apart():
    rows = [(0, 1, split, "a0", 4, 2) for split in ("dev", "test")]
    frame = utterances(*rows)
    both = pd.concat([frame, frame.assign(scoring="beam:10", errors=1)])
    summary = summarise_confirmation(both)
    assert summary[["scoring", "test_wer"]].values.tolist() == [["greedy", 0.5], ["beam:10", 0.25]]
    assert summary["optimism"].notna().tolist() == [True, False]  # the sweep decoded greedily


def test_the_short_form_is_in_percent():
    rows = [
        (trial, seed, split, "a0", 10, trial + seed) for trial in (0, 1) for seed in (1, 2) for split in ("dev", "test")
    ]
    short = shorten_confirmation(summarise_confirmation(utterances(*rows)))
    assert short["test, %"].tolist() == ["15.0 ± 7.1", "25.0 ± 7.1"]
    assert short["behind the first"].tolist() == ["-", "+10.0 (+10.0 to +10.0)"]
    one = summarise_confirmation(utterances((0, 1, "dev", "a0", 10, 1), (0, 1, "test", "a0", 10, 2)))
    assert shorten_confirmation(one)["dev, %"].tolist() == ["10.0"]
