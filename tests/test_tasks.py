"""The recorded tasks that searches are compared on, and what of them comes along."""

from pathlib import Path

import pandas as pd
import pytest

from glosstune.search import load_sweep
from glosstune.search.scheduler.experience.known import packaged
from glosstune.search.scheduler.ranking import score_curve

TABLES = sorted((Path(__file__).parents[1] / "benchmarks" / "tasks").glob("*.parquet"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_task_comes_along_as_it_was_recorded(path: Path) -> None:
    sweep, table = load_sweep(path.with_suffix(".yaml")), pd.read_parquet(path)
    trunks = [
        rows[rows["branch"] == 0].sort_values("epoch").assign(wer=lambda own: own["wer_averaged"])
        for _, rows in table.groupby("configuration")
    ]
    trials = [trial for trial in packaged() if trial.task == path.stem]
    assert len(trials) == len(trunks) >= 40
    for trial, rows in zip(trials, trunks, strict=True):
        curve = rows.to_dict("records")
        assert trial.epochs == sweep.training.epochs
        sweep.space.check(trial.configuration)
        assert trial.configuration["learning_rate"] == curve[0]["learning_rate"]
        # What was stopped as stuck is held to the end.
        assert trial.scores[len(curve) - 1 :] == [trial.scores[-1]] * (trial.epochs - len(curve) + 1)
        told = [score_curve(curve[: epoch + 1], "wer") for epoch in range(len(curve))]
        assert trial.scores[: len(curve)] == pytest.approx(told, abs=1e-4)


def test_there_are_five_tasks() -> None:
    assert {path.stem for path in TABLES} == {trial.task for trial in packaged()}
    assert len(TABLES) >= 5
