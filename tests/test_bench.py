"""What `make bench` makes of measurements."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def suite(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("suite")


@pytest.fixture
def runner(suite: ModuleType) -> ModuleType:
    return importlib.import_module("suite.__main__")


def test_ratios_are_of_the_same_round_and_their_median_is_given(suite):
    told = suite.Ratio("ours against theirs", "s", [1.0, 4.0, 3.0], [2.0, 4.0, 1.0]).to_mapping()
    assert told["ratio"] == 1.0 and told["ratio_from_to"] == [0.5, 3.0]
    assert (told["measured"], told["against"], told["rounds"]) == (3.0, 2.0, 3)
    assert told["met"] is None


@pytest.mark.parametrize(
    ("aim", "met"),
    [("ratio <= 1.05", False), ("ratio >= 2", True), ("measured <= 0.5", False), ("measured <= 3", True)],
)
def test_an_aim_is_of_the_ratio_or_of_what_was_measured(suite, aim, met):
    assert suite.Ratio("one against another", "s", [3.0], [1.5], aim).to_mapping()["met"] is met


def test_rounds_without_a_partner_are_refused(suite):
    with pytest.raises(ValueError):
        suite.Ratio("one against another", "s", [1.0, 2.0], [1.0]).to_mapping()


def test_table_replaces_what_was_between_the_marks_and_nothing_else(suite, runner):
    ratio = suite.Ratio("`a` against `b`", "s", [1.0, 1.2], [0.5, 0.5], "ratio <= 3").to_mapping()
    result = {"date": "2026-01-01", "machine": "2 cores", "ratios": [ratio]}
    start, end = runner.MARKS
    document = f"# Speed\n\n{start}\nold\n{end}\n\nProse stays.\n"
    once = runner.write_table(document, {"start_up": result})
    assert once.startswith("# Speed\n\n") and once.endswith("\n\nProse stays.\n") and "old" not in once
    assert "| `a` | `b` | 1.1 against 0.5 s | 2.2 (2 to 2.4, 2 rounds) | ratio ≤ 3 | yes |" in once
    assert "`start_up.py`: 2 cores, 2026-01-01." in once
    assert runner.write_table(once, {"start_up": result}) == once


def test_every_script_of_the_suite_is_there_and_the_document_has_its_marks(suite, runner):
    assert [name for name in suite.SCRIPTS if not (ROOT / "benchmarks" / f"{name}.py").is_file()] == []
    document = runner.DOCUMENT.read_text(encoding="utf-8")
    assert all(document.count(mark) == 1 for mark in runner.MARKS)


def test_results_of_a_script_that_is_not_run_stay(suite, runner, monkeypatch, tmp_path):
    start, end = runner.MARKS
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(runner, "DOCUMENT", tmp_path / "performance.md")
    runner.DOCUMENT.write_text(f"{start}\n{end}\n")
    ratio = suite.Ratio("`a` against `b`", "s", [1.0], [0.5]).to_mapping()
    monkeypatch.setattr(runner, "run", lambda script, short: {"date": script, "machine": "here", "ratios": [ratio]})
    for script in ("session_overhead", "start_up"):
        monkeypatch.setattr("sys.argv", ["bench", script])
        runner.main()
    assert list(json.loads(runner.RESULTS.read_text())) == ["start_up", "session_overhead"]
    written = runner.RESULTS.read_text(), runner.DOCUMENT.read_text()
    monkeypatch.setattr("sys.argv", ["bench", "start_up", "--short"])
    runner.main()
    assert (runner.RESULTS.read_text(), runner.DOCUMENT.read_text()) == written


def test_a_benchmark_that_fails_fails_the_suite_once_all_have_run(runner, monkeypatch, tmp_path):
    asked = []

    def fail(script: str, short: bool) -> None:
        asked.append(script)
        raise runner.subprocess.CalledProcessError(3, script)

    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(runner, "run", fail)
    monkeypatch.setattr("sys.argv", ["bench", "start_up", "search_overhead"])
    with pytest.raises(SystemExit, match=r"start_up\.py ended with 3\nsearch_overhead\.py ended with 3"):
        runner.main()
    assert asked == ["start_up", "search_overhead"]
