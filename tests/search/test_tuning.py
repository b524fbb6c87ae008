import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from glosstune.results import load_results
from glosstune.search import load_sweep
from glosstune.search.display import Display
from glosstune.search.progress import SweepProgress
from glosstune.search.record import Record
from glosstune.search.tuning import _NumberedSearch, _Relay
from glosstune.trainables.session import METRICS


def _relay(folder: Path, time_budget_s: float | None = None) -> _Relay:
    record = Record(folder / "record.jsonl")
    record.sweep(samples=2, epochs=3, metric="wer", target=0.3)
    display = Display(SweepProgress("sweep", samples=2, epochs=3, target=0.3), Console(file=io.StringIO()))
    return _Relay(record, display, epochs=3, time_budget_s=time_budget_s)


def _trial(number: int, error_file: Path | None = None) -> Any:
    return SimpleNamespace(config={"trial": number, "learning_rate": 1e-3}, error_file=error_file)


def _result(epoch: int) -> dict[str, float]:
    return {**dict.fromkeys(METRICS, 1.0), "epoch": epoch}


def _ends(folder: Path) -> list[tuple[str, str]]:
    trials = load_results(folder).trials
    return list(zip(trials["status"], trials["stop_reason"], strict=True))


def test_a_full_trial_is_finished_and_an_earlier_end_is_halving(tmp_path: Path) -> None:
    relay = _relay(tmp_path)
    for number, epochs in ((0, 3), (1, 1)):
        relay.on_trial_start(0, [], _trial(number))
        for epoch in range(1, epochs + 1):
            relay.on_trial_result(0, [], _trial(number), _result(epoch))
        relay.on_trial_complete(0, [], _trial(number))
    relay.close()
    assert _ends(tmp_path) == [("finished", "all 3 epochs"), ("stopped", "halving at epoch 1")]


def test_what_is_left_running_was_interrupted_or_ran_out_of_time(tmp_path: Path) -> None:
    for budget, reason in ((None, "interrupted after epoch 1"), (0.0, "time budget of 0 min used up")):
        folder = tmp_path / str(budget)
        folder.mkdir()
        relay = _relay(folder, budget)
        relay.on_trial_start(0, [], _trial(0))
        relay.on_trial_result(0, [], _trial(0), _result(1))
        relay.close()
        assert _ends(folder) == [("stopped", reason)]


def test_a_trial_whose_process_could_not_start_is_told_and_the_record_stays_readable(tmp_path: Path) -> None:
    relay = _relay(tmp_path)
    (tmp_path / "error.txt").write_text("Traceback\nCorpusError: nowhere is no folder\n")
    relay.on_trial_error(0, [], _trial(0, tmp_path / "error.txt"))
    trials = load_results(tmp_path).trials
    assert trials["status"].to_list() == ["failed"]
    assert trials["error"].to_list() == ["CorpusError: nowhere is no folder"]


def test_a_trial_that_starts_or_ends_twice_is_recorded_once(tmp_path: Path) -> None:
    relay = _relay(tmp_path)
    for _ in range(2):
        relay.on_trial_start(0, [], _trial(0))
        relay.on_trial_complete(0, [], _trial(0))
    events = [json.loads(line)["event"] for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert events == ["sweep", "trial", "end"]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_suggestions_are_numbered_lie_in_the_space_and_follow_the_seed(tmp_path: Path, sampler: str) -> None:
    def suggestions(seed: int, name: str) -> list[dict[str, Any]]:
        sweep = load_sweep(None, [f"search.sampler={sampler}", f"search.seed={seed}", "search.start_points=[]"])
        searcher = _NumberedSearch(sweep, tmp_path / name)
        drawn = [searcher.suggest(str(number)) for number in range(4)]
        assert [config.pop("trial") for config in drawn if config] == [0, 1, 2, 3]
        for config in drawn:
            assert config is not None
            sweep.space.check(config)
        return [config for config in drawn if config]

    assert suggestions(0, "a") == suggestions(0, "b") != suggestions(1, "c")


def test_a_conditional_space_reaches_the_trial_under_its_own_names(tmp_path: Path) -> None:
    space = (
        "{norm: {choice: [group, batch]}, learning_rate: [{float: [1e-4, 1e-3], when: {norm: group}}, "
        "{float: [1e-3, 1e-2], when: {norm: batch}}]}"
    )
    sweep = load_sweep("student", [f"space={space}"])
    searcher = _NumberedSearch(sweep, tmp_path / "study")
    for number in range(6):
        config = searcher.suggest(str(number))
        assert config is not None and set(config) == {"trial", "norm", "learning_rate"}
        assert (config["learning_rate"] <= 1e-3) == (config["norm"] == "group")


def test_the_strategies_are_tried_first_each_with_its_authors_figures(tmp_path: Path) -> None:
    sweep = load_sweep(None)
    searcher = _NumberedSearch(sweep, tmp_path / "study")
    drawn = [searcher.suggest(str(number)) for number in range(6)]
    assert drawn[:5] == [{"trial": number, **point} for number, point in enumerate(sweep.start_points)]
    assert drawn[5] is not None
    sweep.space.check({name: value for name, value in drawn[5].items() if name != "trial"})
