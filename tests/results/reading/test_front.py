"""The trials that no other one beats, from the record of a sweep."""

from pathlib import Path

import pytest
from sweep_folder import SweepFolder

from glosstune.results import load_results
from glosstune.spaces.errors import FolderError


def test_the_front_is_the_trials_that_no_other_one_beats(weighed: SweepFolder) -> None:
    results = load_results(weighed.path)
    assert results.objectives == ("wer", "parameters")
    assert results.sweeps["objectives"].tolist() == ["wer, parameters"]
    # Of 1 and 5, which are equal, the earlier; not 3, which writes nothing right, nor 7, whose size nobody knows.
    assert results.front["trial"].tolist() == [0, 1, 4]
    assert results.front["parameters"].tolist() == [90_000, 40_000, 20_000]
    assert results.trials["size_mb"].iloc[1] == 0.16
    assert results.trials["latency_ms"].isna().all() and results.trials["parameters"].isna().sum() == 1


def test_a_sweep_for_wer_alone_has_a_front_of_wer_and_parameters_too(weighed: SweepFolder, tmp_path: Path) -> None:
    alone = SweepFolder(tmp_path / "alone")
    alone.start(0, width=0.1)
    alone.report(0, 1, wer=0.25, costs={"parameters": 3e4})
    assert load_results(alone.path).objectives == ("wer", "parameters")
    assert load_results(alone.path).front["trial"].tolist() == [0]
    both = load_results([weighed.path, alone.path])
    assert both.objectives == ("wer", "parameters")
    assert both.front[["sweep", "trial"]].to_numpy().tolist() == [["weighed", 0], ["alone", 0], ["weighed", 4]]


def test_the_front_of_another_metric_is_by_its_lowest_value(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path / "losses", metric="dev_loss", objectives=["dev_loss", "dev_frames_per_s"])
    for trial, (loss, speed) in enumerate([(2.0, 100.0), (1.0, 50.0), (2.5, 90.0)]):
        sweep.start(trial, width=0.1)
        sweep.report(trial, 1, wer=1.0, dev_loss=loss, costs={"dev_frames_per_s": speed})
        sweep.report(trial, 2, wer=1.0, dev_loss=loss + 1)
    assert load_results(sweep.path).front["trial"].tolist() == [1, 0]


def test_a_sweep_without_trials_or_costs_has_an_empty_front(sweep: SweepFolder, tmp_path: Path) -> None:
    assert load_results(sweep.path).front.empty
    sweep.start(0, width=0.1)
    sweep.report(0, 1, wer=0.5)
    assert load_results(sweep.path).front.empty


@pytest.mark.parametrize("objectives", [["wer", "beauty"], ["parameters"], [["wer"], 3], ["wer", "wer"]])
def test_a_record_with_other_objectives_is_told_as_broken(tmp_path: Path, objectives: list[object]) -> None:
    sweep = SweepFolder(tmp_path / "demo", objectives=objectives)
    with pytest.raises(FolderError, match=r"record.jsonl:1: objectives: "):
        load_results(sweep.path)
