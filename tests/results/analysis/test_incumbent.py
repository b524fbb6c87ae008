"""The best trial so far, and two searches side by side."""

from pathlib import Path

import pandas as pd
import pytest
from sweep_folder import SweepFolder

from glosstune.results import Results, compare, explain_trial, load_results, rank_trials, trace_incumbent
from glosstune.results.report.page_data import build_data
from glosstune.spaces.errors import SettingError


def searched(path: Path, *reports: tuple[int, int, float, float]) -> Results:
    """A sweep of (trial, epoch, WER, second); each epoch took 2 s."""
    sweep = SweepFolder(path)
    for trial in dict.fromkeys(trial for trial, *_ in reports):
        sweep.start(trial, learning_rate=0.1)
    for trial, epoch, wer, second in reports:
        sweep.report(trial, epoch, second, wer=wer, dev_loss=wer + 1, epoch_s=2.0)
    return load_results(path)


@pytest.fixture
def two_trials(tmp_path: Path) -> Results:
    return searched(tmp_path / "a", (0, 1, 0.9, 10), (1, 1, 0.8, 12), (0, 2, 0.5, 20), (1, 2, 0.6, 24))


def test_trials_rank_by_their_best_epoch_and_not_by_their_last(tmp_path):
    results = searched(tmp_path / "a", (0, 1, 0.4, 1), (0, 2, 0.7, 2), (1, 1, 0.9, 3), (1, 2, 0.5, 4))
    ranked = rank_trials(results)
    assert ranked[["rank", "trial", "value", "value_epoch"]].values.tolist() == [[1, 0, 0.4, 1], [2, 1, 0.5, 2]]
    assert rank_trials(results, top=1)["trial"].tolist() == [0]
    assert rank_trials(results, metric="dev_loss")["value"].tolist() == [1.4, 1.5]


def test_a_mistyped_metric_is_an_error_that_names_those_there_are(two_trials):
    with pytest.raises(SettingError, match=r"no metric 'wre'; did you mean 'wer'; metrics are wer, dev_loss, epoch_s$"):
        rank_trials(two_trials, metric="wre")
    with pytest.raises(SettingError, match="no metric 'sweep'"):
        trace_incumbent(two_trials, metric="sweep")


def test_the_incumbent_falls_in_the_order_of_the_reports(two_trials):
    trace = trace_incumbent(two_trials)
    assert trace["trial"].tolist() == [0, 1, 0, 1]
    assert trace["incumbent"].tolist() == [0.9, 0.8, 0.5, 0.5]
    assert trace["incumbent_trial"].tolist() == [0, 1, 0, 0]
    assert trace["improved"].tolist() == [True, True, True, False]
    assert trace["epochs"].tolist() == [1, 2, 3, 4]
    assert trace["seconds"].tolist() == [10, 12, 20, 24]
    assert trace["train_seconds"].tolist() == [2, 4, 6, 8]


def test_pauses_between_drivers_are_no_time_of_the_sweep(tmp_path):
    sweep = SweepFolder(tmp_path / "a")
    sweep.start(0, learning_rate=0.1)
    sweep.report(0, 1, 10, wer=0.9)
    sweep.append(event="resume", time="2026-11-22T22:44:49+00:00", changes={})
    sweep.append(event="report", trial=0, epoch=2, time="2026-11-22T22:44:54+00:00", metrics={"wer": 0.8})
    assert trace_incumbent(load_results(sweep.path))["seconds"].tolist() == [10, 15]


def test_a_value_that_is_not_finite_is_no_incumbent(tmp_path):
    sweep = SweepFolder(tmp_path / "a")
    sweep.start(0)
    for epoch, wer in enumerate((None, 0.9, None, 0.7), start=1):
        sweep.report(0, epoch, epoch, wer=wer)
    trace = trace_incumbent(load_results(sweep.path))
    assert trace["incumbent"].isna().tolist() == [True, False, False, False]
    assert trace["incumbent"].tolist()[1:] == [0.9, 0.9, 0.7]
    assert trace["incumbent_trial"].isna().tolist() == [True, False, False, False]
    assert trace["improved"].tolist() == [False, True, False, True]


def test_searches_are_compared_at_equal_budgets(tmp_path, two_trials):
    other = searched(tmp_path / "b", (0, 1, 0.85, 5), (0, 2, 0.7, 6), (0, 3, 0.55, 7), (0, 4, 0.5, 8), (0, 5, 0.1, 9))
    frame = compare(two_trials, other, points=4)
    assert frame["budget"].tolist() == [1, 2, 3, 4]  # of epochs: the shorter sweep has four
    assert frame["a"].tolist() == [0.9, 0.8, 0.5, 0.5]
    assert frame["b"].tolist() == [0.85, 0.7, 0.55, 0.5]
    assert frame["ahead"].tolist() == ["b", "b", "a", "tie"]
    by_clock = compare(two_trials, other, budget="seconds", points=3)
    assert by_clock["budget"].tolist() == [3, 6, 9]
    assert by_clock["b"].tolist()[1:] == [0.7, 0.1]
    assert by_clock["ahead"].isna().all()  # a had reported nothing yet


def test_of_several_sweeps_the_median_counts(tmp_path, two_trials):
    seeds = [searched(tmp_path / name, (0, 1, wer, 1)).folder for name, wer in (("x", 0.2), ("y", 0.4), ("z", 0.9))]
    frame = compare(load_results(seeds), two_trials, points=1)
    assert frame[["a", "b"]].values.tolist() == [[0.4, 0.9]]


def test_figures_of_different_rules_are_told_apart(tmp_path: Path, two_trials: Results) -> None:
    record = tmp_path / "a" / "record.jsonl"
    (tmp_path / "b").mkdir()
    text = record.read_text().replace('"target": 0.3', '"target": 0.3, "scoring": "phoenix2014"', 1)
    (tmp_path / "b" / "record.jsonl").write_text(text)
    other = load_results(tmp_path / "b")
    assert (two_trials.scoring, other.scoring) == ("plain", "phoenix2014")
    for results, told in ((two_trials, ""), (other, " by phoenix2014")):
        assert f"WER{told} {results.trials['wer_best'].iloc[0]:.1%}" in explain_trial(results, 0)
        assert build_data(results, {}, results.best)["metrics"][0]["title"] == f"WER on dev{told}"
    told = "counted by different rules and does not compare: phoenix2014 in b; plain in a; wer_plain"
    with pytest.warns(UserWarning, match=told):
        compare(two_trials, other, points=1)
    both = load_results([tmp_path / "a", tmp_path / "b"])
    with pytest.warns(UserWarning, match=told):
        rank_trials(both)
    assert both.scoring is None
    assert rank_trials(both, metric="dev_loss")["trial"].tolist() == [0, 0, 1, 1]  # which no rule counts
    assert rank_trials(other)["value"].tolist() == [0.5, 0.6]  # alone there is nothing to tell


def test_what_cannot_be_compared_is_refused(tmp_path, two_trials):
    with pytest.raises(SettingError, match="budget: must be one of epochs, seconds, train_seconds; got 'hours'"):
        compare(two_trials, two_trials, budget="hours")
    silent = load_results(SweepFolder(tmp_path / "silent").path)
    with pytest.raises(SettingError, match="silent: no trial has reported anything"):
        compare(two_trials, silent)


def test_equal_trials_keep_their_order(tmp_path):
    results = searched(tmp_path / "a", (1, 1, 0.5, 1), (0, 1, 0.5, 2))
    assert rank_trials(results)["trial"].tolist() == [0, 1]
    assert pd.api.types.is_integer_dtype(rank_trials(results)["rank"])


def test_whole_numbers_are_metrics_too(tmp_path):
    sweep = SweepFolder(tmp_path / "a")
    sweep.start(0)
    sweep.report(0, 1, nonfinite_steps=4)
    sweep.report(0, 2, nonfinite_steps=1)
    results = load_results(sweep.path)
    assert trace_incumbent(results, "nonfinite_steps")["incumbent"].tolist() == [4, 1]
    assert rank_trials(results, "nonfinite_steps")["value"].tolist() == [1]


def test_what_a_user_changes_later_is_no_time_of_the_sweep(tmp_path):
    sweep = SweepFolder(tmp_path / "a")
    sweep.start(0)
    sweep.report(0, 1, 10, wer=0.9)
    for event in ({"event": "visit"}, {"event": "pin", "trial": 0}):
        sweep.append(**event, time="2026-11-22T22:44:49+00:00")
    assert load_results(sweep.path).sweeps["seconds"].tolist() == [10]


def test_budgets_that_nobody_wrote_down_are_not_compared(tmp_path, two_trials):
    sweep = SweepFolder(tmp_path / "untimed")
    sweep.start(0)
    sweep.append(event="report", trial=0, epoch=1, metrics={"wer": 0.5})
    untimed = load_results(sweep.path)
    assert trace_incumbent(untimed)[["seconds", "train_seconds"]].isna().all(axis=None)
    for budget in ("seconds", "train_seconds"):
        with pytest.raises(SettingError, match=f"untimed: {budget} of its epochs are unknown"):
            compare(two_trials, untimed, budget=budget)
    assert compare(two_trials, untimed, points=1)["b"].tolist() == [0.5]


def test_parameters_named_like_columns_of_the_ranking_are_kept(tmp_path):
    sweep = SweepFolder(tmp_path / "a")
    sweep.start(0, rank=8, value="x")
    sweep.report(0, 1, wer=0.5)
    assert rank_trials(load_results(sweep.path))[["rank", "config_rank", "config_value"]].values.tolist() == [
        [1, 8, "x"]
    ]


def test_equal_trials_of_several_sweeps_keep_the_order_of_the_sweeps(tmp_path):
    folders = [searched(tmp_path / name, (0, 1, 0.5, 1)).folder for name in ("b", "a")]
    results = load_results(folders)
    assert rank_trials(results)["sweep"].tolist() == ["b", "a"]
    assert results.best["sweep"] == "b"
