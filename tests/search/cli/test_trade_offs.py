"""A sweep of several objectives, from the command line to its front."""

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from sweep_folder import SweepFolder

from glosstune.results import load_results
from glosstune.trainables.settings import CorpusSettings

Run = Callable[..., int]


def test_a_sweep_weighs_wer_size_and_time_and_shows_its_front(
    run: Run, ray_cluster: None, small_settings: CorpusSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, corpus = tmp_path / "a", [f"corpus.signers={list(small_settings.signers or ())}", "corpus.sentences=24"]
    objectives = ("search.objectives=[wer,parameters,latency_ms]", "space.width={float: [0.1, 0.4], log: true}")
    sizes = ("training.epochs=2", "halving.min_epochs=1", "training.batch_size=8", "search.samples=3")
    cache = f"corpus.cache={small_settings.cache}"
    assert run("sweep", "student", *objectives, *sizes, *corpus, cache, "--out", str(folder)) == 0
    assert any(line.startswith("front ") for line in capsys.readouterr().out.splitlines())
    results = load_results(folder)
    assert results.objectives == ("wer", "parameters", "latency_ms")
    trials = results.trials
    assert trials[["parameters", "size_mb", "latency_ms"]].notna().all(axis=None) and trials["parameters"].nunique() > 1
    assert trials["dev_frames_per_s"].isna().all()
    assert run("results", str(folder), "--front", "--format", "csv") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(results.front)
    assert run("results", str(folder), "--front") == 0
    assert "latency_ms" in capsys.readouterr().out
    assert run("resume", str(folder), "search.objectives=[wer,size_mb]") == 2
    assert "search.objectives: cannot change while a sweep goes on" in capsys.readouterr().err


def test_the_front_is_listed_with_what_was_searched(
    run: Run, weighed_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("results", str(weighed_folder), "--front") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["trial", "wer_best", "parameters", "epochs", "recipe"]
    assert [line.split() for line in lines[2:]] == [
        ["0", "20.0%", "100000", "1", "width=1"],
        ["1", "30.0%", "50000", "1", "width=0.5"],
    ]
    assert run("results", str(weighed_folder), "--front", "--columns", "trial,size_mb", "--format", "csv") == 0
    assert pd.read_csv(io.StringIO(capsys.readouterr().out))["size_mb"].to_list() == [0.4, 0.2]


def test_the_front_of_a_loss_is_listed_by_that_loss(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = SweepFolder(tmp_path / "weighed", objectives=["dev_loss", "parameters"])
    for trial, (loss, parameters) in enumerate([(2.0, 5e4), (1.0, 1e5), (3.0, 7e4)]):
        sweep.start(trial, width=parameters / 1e5, strategy="baseline")
        sweep.report(trial, 1, dev_loss=loss, wer=1.0 - trial / 10, costs={"parameters": parameters})
    assert run("results", str(sweep.path), "--front") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["trial", "dev_loss_lowest", "wer_best", "parameters", "epochs", "recipe"]
    assert [line.split()[:3] for line in lines[2:]] == [["1", "1", "90.0%"], ["0", "2", "100.0%"]]
    assert run("results", str(sweep.path), "--front", "--sort", "") == 2


@pytest.fixture
def weighed_folder(tmp_path: Path) -> Path:
    sweep = SweepFolder(tmp_path / "weighed", objectives=["wer", "parameters"])
    for trial, (wer, parameters) in enumerate([(0.2, 1e5), (0.3, 5e4), (0.4, 7e4)]):
        sweep.start(trial, width=parameters / 1e5, strategy="baseline")
        sweep.report(trial, 1, wer=wer, costs={"parameters": parameters, "size_mb": 4 * parameters / 1e6})
    return sweep.path
