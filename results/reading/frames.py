"""Turn the records of sweeps into data frames whose columns and types depend on nothing but their spaces."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from glosstune.results.reading.indicators import INDICATORS, judge_trials
from glosstune.results.reading.record import SweepRecord, TrialRecord
from glosstune.results.reading.remote import find_file

TIME = "datetime64[ns, UTC]"

SWEEP_COLUMNS = {
    "sweep": "string",
    "folder": "string",
    "metric": "string",
    "target": "float64",
    "samples": "Int64",
    "epochs": "Int64",
    "cpus": "float64",
    "gpus": "float64",
    "began": TIME,
    "ended": TIME,
    "seconds": "float64",
    "over": "string",
}

EPOCH_COLUMNS = {
    "sweep": "string",
    "trial": "int64",
    "epoch": "int64",
    "time": TIME,
    "node": "string",
    "wer": "float64",
    "best_wer": "float64",
    "train_loss": "float64",
    "dev_loss": "float64",
    "loss_below_floor": "float64",
    "loss_below_floor_se": "float64",
    "blank_ratio": "float64",
    "deletion_rate": "float64",
    "insertion_rate": "float64",
    "substitution_rate": "float64",
    "grad_norm": "float64",
    "learning_rate": "float64",
    "frames_per_s": "float64",
    "epoch_s": "float64",
    "trainable_params": "Int64",
    "infeasible_utterances": "Int64",
    "nonfinite_steps": "Int64",
    "peak_gpu_mb": "float64",
}

# What ``rank_trials`` puts before a frame of trials.
RANK_COLUMNS = ("rank", "value", "value_epoch")

TRIAL_COLUMNS = {
    "sweep": "string",
    "trial": "int64",
    "trial_id": "string",
    "source": "string",
    "status": "string",
    "stop_rule": "string",
    "stop_reason": "string",
    "error": "string",
    "epochs": "int64",
    "wer_last": "float64",
    "wer_best": "float64",
    "epoch_of_best": "Int64",
    "loss_last": "float64",
    "loss_best": "float64",
    "train_seconds": "float64",
    "gpu_hours": "float64",
    "node": "string",
    "trainable_params": "Int64",
    **dict.fromkeys(INDICATORS, "boolean"),
    "best_checkpoint": "string",
    "last_checkpoint": "string",
}


DECISION_COLUMNS = {
    "sweep": "string",
    "time": TIME,
    "trial": "int64",
    "epoch": "int64",
    "decision": "string",
    "rung": "Int64",
    "rank": "Int64",
    "rivals": "Int64",
    "quota": "Int64",
    "score": "float64",
    "rule": "string",
    "reason": "string",
}

_DECISIONS = {
    "pause": "waits",
    "promote": "goes on",
    "continue": "goes on after a break",
    "retry": "starts again",
    "end": "ends",
}

Records = Mapping[str, SweepRecord]  # by the name of the sweep


def build_epochs(records: Records) -> pd.DataFrame:
    """Return a row a reported epoch: sweep, trial, epoch, when and where, then every metric; not finite is NaN."""
    rows = [
        {
            **metrics,
            "sweep": sweep,
            "trial": number,
            "epoch": epoch,
            "time": trial.times.get(epoch),
            "node": trial.nodes.get(epoch),
        }
        for sweep, record in records.items()
        for number, trial in sorted(record.trials.items())
        for epoch, metrics in sorted(trial.reports.items())
    ]
    others = {name: "float64" for row in rows for name in row if name not in EPOCH_COLUMNS}
    return build_frame(rows, EPOCH_COLUMNS | others)


def build_trials(
    records: Records, epochs: pd.DataFrame, folders: Mapping[str, Path], gpus: Mapping[str, float | None]
) -> pd.DataFrame:
    """Return a row a trial: sweep, number, its parameters, then what became of it.

    Args:
        epochs: see ``build_epochs``.
        folders: of the sweeps.
        gpus: that a trial of each sweep had.
    """
    keys = [(sweep, number) for sweep, record in records.items() for number in sorted(record.trials)]
    trials = [records[sweep].trials[number] for sweep, number in keys]
    rows = [
        {
            "sweep": sweep,
            "trial": number,
            **_summarise(trial, gpus.get(sweep)),
            **_find_checkpoints(folders[sweep], trial.id),
        }
        for (sweep, number), trial in zip(keys, trials, strict=True)
    ]
    outcome = build_frame(rows, TRIAL_COLUMNS)
    verdicts = judge_trials(epochs).reindex(pd.MultiIndex.from_frame(outcome[["sweep", "trial"]]))
    for name in INDICATORS:
        outcome[name] = verdicts[name].array  # NA where a trial has no epoch
    parameters = list(dict.fromkeys(name for trial in trials for name in trial.configuration))
    columns = {"sweep": outcome.pop("sweep"), "trial": outcome.pop("trial")}
    for name in parameters:
        values = [trial.configuration.get(name) for trial in trials]
        columns[_free_name(name, parameters)] = _build_parameter(values)
    return pd.DataFrame(columns | dict(outcome.items()))


def build_decisions(records: Records) -> pd.DataFrame:
    """Return a row for each decision about a trial, in the order in which they were taken.

    ``decision`` is ``begins``, ``waits`` (at a rung), ``goes on``, ``is carried on`` (it was the best when nobody else
    could go on), ``goes on after a break``, ``starts again`` (its process died) or ``ends``; ``epoch`` is the last that
    it had done; rung, rank (from 1), rivals, quota and score are NA where no rung was involved. Folders of plain Ray
    Tune have no rows.
    """
    rows = []
    for sweep, record in records.items():
        done: dict[int, int] = {}
        for event in record.events:
            kind, number = event["event"], event.get("trial")
            if kind == "report":
                done[event["trial"]] = max(done.get(event["trial"], 0), event["epoch"])
            elif kind == "trial" and number not in done:
                done[event["trial"]] = 0
                rows.append({**_decision(event, "begins"), "sweep": sweep, "epoch": 0})
            elif kind in _DECISIONS:
                decision = "is carried on" if event.get("carried") else _DECISIONS[kind]
                rows.append({**_decision(event, decision), "sweep": sweep, "epoch": done.get(event["trial"], 0)})
    return build_frame(rows, DECISION_COLUMNS)


def _decision(event: Mapping[str, Any], decision: str) -> dict[str, Any]:
    names = ("time", "trial", "rung", "rank", "rivals", "quota", "score", "rule", "reason")
    return {"decision": decision, **{name: event.get(name) for name in names}}


def name_parameters(trials: pd.DataFrame) -> list[str]:
    """Return the columns of a frame of trials that say what a trial was given."""
    return [name for name in trials.columns if name not in TRIAL_COLUMNS]


def _summarise(trial: TrialRecord, gpus: float | None) -> dict[str, Any]:
    wer = _by_epoch(trial, "wer")
    loss = _by_epoch(trial, "train_loss")
    sizes = _by_epoch(trial, "trainable_params")
    last = max(trial.reports, default=0)
    seconds = math.fsum(_by_epoch(trial, "epoch_s").values())
    return {
        "trial_id": trial.id,
        "source": trial.source,
        "status": trial.status,
        "stop_rule": trial.rule,
        "stop_reason": trial.reason,
        "error": trial.error,
        "epochs": len(trial.reports),
        "wer_last": wer.get(last),
        "wer_best": min(wer.values(), default=None),
        "epoch_of_best": min(wer, key=wer.__getitem__, default=None),
        "loss_last": loss.get(last),
        "loss_best": min(loss.values(), default=None),
        "train_seconds": seconds,
        "gpu_hours": None if gpus is None else seconds * gpus / 3600,
        "node": trial.nodes[max(trial.nodes)] if trial.nodes else None,
        "trainable_params": sizes[max(sizes)] if sizes else None,
    }


def _by_epoch(trial: TrialRecord, metric: str) -> dict[int, float]:
    """Return the metric by epoch, in the order of epochs, without what is missing."""
    values = ((epoch, metrics.get(metric)) for epoch, metrics in sorted(trial.reports.items()))
    return {epoch: value for epoch, value in values if value is not None}


def _find_checkpoints(folder: Path, trial: str) -> dict[str, str | None]:
    return {
        column: find_file(folder, f"trials/{trial}/{name}")
        for column, name in (("best_checkpoint", "best.pt"), ("last_checkpoint", "last.pt"))
    }


def build_frame(rows: Sequence[Mapping[str, Any]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows with exactly the columns and types of ``dtypes``; what a row does not have is missing."""
    return pd.DataFrame({name: _build_column([row.get(name) for row in rows], dtype) for name, dtype in dtypes.items()})


def _build_column(values: Sequence[Any], dtype: str) -> pd.Series:
    if dtype == TIME:
        # A time that is none is missing: a record may come from elsewhere.
        times = pd.to_datetime(pd.Series(values, dtype="object"), utc=True, format="ISO8601", errors="coerce")
        return pd.Series(times.array.as_unit("ns"), dtype=TIME)
    if dtype == "Int64":
        values = [_as_count(value) for value in values]
    return pd.Series(values, dtype=dtype)


def _as_count(value: float | None) -> int | None:
    return None if value is None else int(value)


def _build_parameter(values: Sequence[Any]) -> pd.Series:
    """Return a column of the narrowest type that holds all values; None, a parameter not given, is NA."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return pd.Series(values, dtype="Int64")
    if kinds and kinds <= {int, float}:
        return pd.Series(values, dtype="Float64")
    texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pd.Series(texts, dtype="string")


def _free_name(parameter: str, parameters: Sequence[str]) -> str:
    """Return the parameter's column, told apart from a column of the same name in every frame of trials."""
    name = parameter
    while name in TRIAL_COLUMNS or name in RANK_COLUMNS or (name != parameter and name in parameters):
        name = f"config_{name}"
    return name
