"""``glosstune results`` and what else only reads: folders as they lie about, other metrics, nothing to write to."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ray_experiment import result, write_trial
from replay import drive, sweep

from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.storage.record import Record
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep

if sys.platform == "linux":
    from read_only import read_only

Run = Callable[..., int]
Printed = pytest.CaptureFixture[str]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Of two experiments, with what else people keep there."""
    for name, accuracies in (("a", (0.5, 0.9)), ("b b=1", (0.7, 0.1))):
        for number, accuracy in enumerate(accuracies):
            rows = result(1, accuracy=0.0, trial_id=str(number)), result(2, accuracy=accuracy, trial_id=str(number))
            write_trial(tmp_path / name / f"train_{number}", *rows, lr=0.1)
    (tmp_path / "a.log").write_text("")
    (tmp_path / "a.sbatch").write_text("")
    return tmp_path


def test_what_lies_beside_sweeps_is_named_in_a_line(run: Run, runs: Path, capsys: Printed) -> None:
    everything = [str(path) for path in sorted(runs.iterdir())]
    line = f"{runs}/a.log, {runs}/a.sbatch: are not the folders of sweeps, and are left out"
    with pytest.warns(UserWarning, match=f"^{re.escape(line)}$"):
        assert run("results", *everything, "--metric", "accuracy", "--format", "json") == 0
    assert [trial["sweep"] for trial in json.loads(capsys.readouterr().out)] == ["a", "b b=1", "a", "b b=1"]
    with pytest.warns(UserWarning, match=f"^{re.escape(line)}$"):
        assert run("report", *everything, "--metric", "accuracy", "--out", str(runs / "report.html")) == 0


def test_another_metric_ranks_from_its_better_end(run: Run, runs: Path, capsys: Printed) -> None:
    folders = [str(runs / "a"), str(runs / "b b=1")]
    for options, best in (([], 0.9), (["--mode", "max"], 0.9), (["--mode", "min"], 0.0)):
        assert run("results", *folders, "--metric", "accuracy", *options, "--top", "1", "--format", "json") == 0
        printed = capsys.readouterr()
        (trial,) = json.loads(printed.out)
        assert (trial["rank"], trial["value"]) == (1, best)
        assert printed.err == ""  # whoever names a metric knows that there is no WER
    assert run("results", *folders, "--metric", "accuracy") == 0
    head, _, first, *_ = capsys.readouterr().out.splitlines()[1:]
    assert "accuracy" in head and "WER" not in head and "0.9" in first


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (["--metric", "acuracy"], "no metric 'acuracy'; did you mean 'accuracy'; metrics are epoch_s, accuracy"),
        (["--metric", "accuracy", "--mode", "best"], "Invalid value for '--mode': must be one of min, max; got 'best'"),
        (
            ["--format", "cvs"],
            "'--format': must be one of table, csv, json, parquet, markdown, latex; got 'cvs'; did you",
        ),
        (["--top", "ten"], "Invalid value for '--top': must be a whole number; got 'ten'"),
        (["--top", "0"], "Invalid value for '--top': must be at least 1; got '0'"),
        (["--mode", "max"], "--mode max: goes with --metric"),
        (["--metric", "accuracy", "--front"], "--front: weighs the objectives of the sweep"),
    ],
)
def test_what_cannot_be_ranked_by_is_told(options: list[str], rule: str, run: Run, runs: Path, capsys: Printed) -> None:
    assert run("results", str(runs / "a"), *options) == 2
    assert rule in capsys.readouterr().err


def test_a_report_by_another_metric_begins_with_it(run: Run, runs: Path) -> None:
    page = runs / "report.html"
    assert run("report", str(runs / "a"), "--metric", "accuracy", "--out", str(page)) == 0
    text = page.read_text()
    assert "highest accuracy" in text and "For the accuracy, of all" not in text  # nothing varies
    data = json.loads(text.partition('<script id="data" type="application/json">')[2].partition("</script>")[0])
    assert data["best"] == 1
    assert (data["metrics"][0]["name"], data["metrics"][0]["best"]) == ("accuracy", "max")


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    """A sweep that has ended, in a folder with a blank and an equals sign."""
    plan, folder = sweep("search.samples=3", "halving.min_epochs=2"), tmp_path / "lr=1 a"
    write_sweep(plan, SweepFolder(folder))
    record = Record(folder / "record.jsonl")
    record.append("sweep", format=1, id="abc", samples=3, epochs=18, metric="wer", target=0.3)
    drive(Scheduler(plan, record.append))
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="root is kept out by a capability of Linux")
def test_whatever_only_reads_needs_no_right_to_write(
    run: Run, searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    served: list[int] = []
    optuna_dashboard = pytest.importorskip("optuna_dashboard")
    monkeypatch.setattr(
        optuna_dashboard, "run_server", lambda storage, **_: served.append(len(storage.get_all_trials(0)))
    )
    before = sorted(searched.rglob("*"))
    with read_only(searched):
        for command in (
            ["results", str(searched)],
            ["explain", str(searched), "0"],
            ["status", str(searched)],
            ["watch", str(searched)],
            ["report", str(searched), "--out", str(tmp_path / "report.html")],
        ):
            assert run(*command) == 0, command
        with pytest.warns(UserWarning, match=r"cannot be locked: .*; the study is shown as it is now$"):
            assert run("dashboard", str(searched)) == 0
        capsys.readouterr()
        assert run("report", str(searched)) == 2
        assert "report.html: cannot be written: Permission denied; name a file elsewhere" in capsys.readouterr().err
    assert served == [3]
    assert sorted(searched.rglob("*")) == before
