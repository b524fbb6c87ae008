"""What is called from Python by the package's own name."""

from importlib.metadata import version
from pathlib import Path
from signal import Signals
from typing import Any

import pytest
from sweep_folder import SweepFolder

import glosstune
from glosstune.results import Results
from glosstune.search.driver import launching, resuming
from glosstune.spaces import SettingError
from glosstune.spaces.errors import Interrupted


def test_the_version_is_that_of_what_is_installed() -> None:
    assert glosstune.__version__ == version("glosstune")


def test_a_sweep_is_loaded_launched_drawn_and_returned(
    drawn: SweepFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def launch(sweep: glosstune.Sweep, out: object, address: str | None) -> Results:
        asked.update(samples=sweep.search.samples, out=out, address=address)
        return glosstune.load_results(drawn.path)

    monkeypatch.setattr(launching, "launch", launch)
    results = glosstune.sweep("student", "search.samples=3", out="runs/a", address="auto")
    assert asked == {"samples": 3, "out": "runs/a", "address": "auto"}
    assert results.best["trial"] == 0
    assert (drawn.path / "curves.png").is_file()
    glosstune.sweep(glosstune.load_sweep("student", "search.samples=5"))
    assert asked == {"samples": 5, "out": None, "address": None}
    glosstune.sweep("search.samples=6")
    assert asked["samples"] == 6


def test_a_sweep_that_a_signal_ended_is_drawn_too(drawn: SweepFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(*_: object, **__: object) -> Results:
        raise Interrupted(str(drawn.path), Signals.SIGTERM)

    monkeypatch.setattr(launching, "launch", launch)
    with pytest.raises(Interrupted, match="go on with"):
        glosstune.sweep("student")
    assert (drawn.path / "curves.png").is_file()


def test_a_sweep_goes_on_and_one_that_another_driver_runs_is_shown(
    drawn: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def resume(place: object, overrides: object, samples: object, address: object) -> None:
        asked.extend((place, overrides, samples, address))

    monkeypatch.setattr(resuming, "resume", resume)
    results = glosstune.resume(drawn.path, "search.time_budget_min=3", samples=8)
    assert asked == [drawn.path, ("search.time_budget_min=3",), "8", None]
    assert len(results.trials) == 2


def test_overrides_are_strings_after_the_file() -> None:
    with pytest.raises(SettingError, match=r"overrides are strings after the file.* got \['search.samples=3'\]"):
        glosstune.sweep("student", ["search.samples=3"])  # type: ignore[call-overload]
    with pytest.raises(SettingError, match="a sweep that is loaded takes no overrides; give them to load_sweep"):
        glosstune.sweep(glosstune.load_sweep("student"), "search.samples=3")


def test_a_sweep_without_a_place_and_trials_without_end_are_refused_by_name() -> None:
    with pytest.raises(SettingError, match=r"^FOLDER: is empty"):
        glosstune.resume("")
    with pytest.raises(SettingError, match=r"search\.samples: must be at most 1000000"):
        glosstune.load_sweep("student", "search.samples=1e300")


def test_one_override_need_not_be_in_a_list(drawn: SweepFolder) -> None:
    assert glosstune.load_sweep("student", "search.samples=5").search.samples == 5
    drawn.settle((Path(glosstune.search.__file__).parent / "config/sweeps/student.yaml").read_text())
    _, changes = resuming.read_changes(drawn.path, "search.samples=9", None)
    assert changes == {"search.samples": 9}
