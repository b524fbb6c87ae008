"""What a sweep file may say of its objectives."""

import pytest

from glosstune.search import load_sweep
from glosstune.spaces import SettingError

WIDTH = "space.width.float=[0.25,1]"


def test_without_objectives_the_metric_is_the_only_one() -> None:
    assert load_sweep("student").search.objectives == ("wer",)
    search = load_sweep("student", ["search.metric=dev_loss"]).search
    assert search.objectives == ("dev_loss",) and list(search.costs) == []


def test_the_first_objective_is_the_metric() -> None:
    # The packaged file names no metric of its own here.
    search = load_sweep("student", ["search={objectives: [dev_loss, parameters]}", WIDTH]).search
    assert search.metric == "dev_loss" and list(search.costs) == ["parameters"]


def test_a_sweep_that_is_written_down_is_read_as_it_was() -> None:
    sweep = load_sweep("student", ["search.objectives=[wer,size_mb,dev_frames_per_s]", WIDTH])
    resolved = sweep.resolved()
    assert resolved["search"]["objectives"] == ["wer", "size_mb", "dev_frames_per_s"]
    assert type(sweep).model_validate(resolved) == sweep


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["search.objectives=[wer,parameters]"],
            r"search\.objectives: parameters is that of every trial alike, .*; add",
        ),
        (["search.objectives=[wer,latency_ms]"], r"the space has none of width, time_stride, norm, precision"),
        (
            [WIDTH, "search.objectives=[parameters,wer]"],
            r"search\.objectives: the first must be one of wer, train_loss",
        ),
        (
            [WIDTH, "search.objectives=[wer,dev_loss]"],
            r"search\.objectives: the others must be one of parameters, size_mb",
        ),
        ([WIDTH, "search.objectives=[wer,paramters]"], r"search\.objectives\[1\]: must be .*'parameters'"),
        ([WIDTH, "search.objectives=[wer,size_mb,size_mb]"], r"search\.objectives: must be different ones"),
        (["search.objectives=[]"], r"search\.objectives: must name the metric at least"),
        (["search.objectives=wer"], r"search\.objectives: must be a list; got 'wer'"),
        (
            [WIDTH, "search.metric=dev_loss", "search.objectives=[wer,parameters]"],
            r"search: must have its metric, dev_loss, as the first of its objectives, wer, parameters; set both",
        ),
        (
            [WIDTH, "search.objectives=[wer,parameters]", "search.stop_at_target=true"],
            r"search\.stop_at_target: ends the search at the first trial below 30%, .*; give time_budget_min",
        ),
    ],
)
def test_objectives_that_contradict_are_refused_with_the_way_out(overrides: list[str], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        load_sweep("student", overrides)


@pytest.mark.parametrize(("wrong", "meant"), [("parametres", "parameters"), ("WER", "wer"), ("latency", "latency_ms")])
def test_an_objective_that_is_misspelled_is_asked_for(wrong: str, meant: str) -> None:
    with pytest.raises(SettingError, match=rf"got '{wrong}'; did you mean '{meant}'\?$"):
        load_sweep("student", [WIDTH, f"search.objectives=[wer,{wrong}]"])
