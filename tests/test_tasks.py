"""The recorded tasks that searches are compared on, and what of them comes along."""

from pathlib import Path

import pandas as pd
import pytest

from glosstune.search import load_sweep
from glosstune.search.scheduler.experience.known import packaged

TABLES = sorted((Path(__file__).parents[1] / "benchmarks" / "tasks").glob("*.parquet"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_the_best_of_a_task_come_along_as_they_were_recorded(path: Path) -> None:
    sweep, table = load_sweep(path.with_suffix(".yaml")), pd.read_parquet(path)
    lowest = table[table["branch"] == 0].groupby("configuration")["wer_averaged"].min()
    (known,) = (each for each in packaged() if each.name == path.stem)
    assert known.model == sweep.model.kind
    assert len(lowest) >= 40 and len(known.best) == len(lowest) // 10
    rates = table.groupby("configuration")["learning_rate"].first()
    assert [one["learning_rate"] for one in known.best] == list(rates[lowest.sort_values().index[: len(known.best)]])
    for configuration in known.best:
        sweep.space.check(configuration)


def test_there_are_five_tasks() -> None:
    assert {path.stem for path in TABLES} == {each.name for each in packaged()}
    assert len(TABLES) >= 5
