"""Turn a sweep's record into two data frames whose columns and types depend on nothing but the space."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from glosstune.results.indicators import INDICATORS, judge_trials
from glosstune.results.record import SweepRecord, TrialRecord

EPOCH_COLUMNS = {
    "trial": "int64",
    "epoch": "int64",
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

TRIAL_COLUMNS = {
    "trial": "int64",
    "status": "string",
    "stop_reason": "string",
    "error": "string",
    "epochs": "int64",
    "wer_last": "float64",
    "wer_best": "float64",
    "epoch_of_best": "Int64",
    "loss_last": "float64",
    "loss_best": "float64",
    "train_seconds": "float64",
    "trainable_params": "Int64",
    **dict.fromkeys(INDICATORS, "boolean"),
    "best_checkpoint": "string",
    "last_checkpoint": "string",
}


def build_epochs(record: SweepRecord) -> pd.DataFrame:
    """Return a row a reported epoch: trial, epoch, then every metric; what was not finite is NaN."""
    rows = [
        {**metrics, "trial": number, "epoch": epoch}
        for number, trial in sorted(record.trials.items())
        for epoch, metrics in sorted(trial.reports.items())
    ]
    others = {name: "float64" for row in rows for name in row if name not in EPOCH_COLUMNS}
    return build_frame(rows, EPOCH_COLUMNS | others)


def build_trials(record: SweepRecord, epochs: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Return a row a trial: its number, a column for each parameter, then what became of it."""
    trials = sorted(record.trials.items())
    rows = [
        {"trial": number, **_summarise(trial), **_find_checkpoints(folder / "trials" / f"{number:04d}")}
        for number, trial in trials
    ]
    outcome = build_frame(rows, TRIAL_COLUMNS)
    verdicts = judge_trials(epochs).reindex(outcome["trial"])  # NA where a trial has no epoch
    for name in INDICATORS:
        outcome[name] = verdicts[name].array
    parameters = list(dict.fromkeys(name for _, trial in trials for name in trial.configuration))
    columns = {"trial": outcome.pop("trial")}
    for name in parameters:
        values = [trial.configuration.get(name) for _, trial in trials]
        columns[_free_name(name, parameters)] = _build_parameter(values)
    return pd.DataFrame(columns | dict(outcome.items()))


def name_parameters(trials: pd.DataFrame) -> list[str]:
    """Return the columns of a frame of trials that say what a trial was given."""
    return [name for name in trials.columns if name not in TRIAL_COLUMNS]


def _summarise(trial: TrialRecord) -> dict[str, Any]:
    wer = _by_epoch(trial, "wer")
    loss = _by_epoch(trial, "train_loss")
    sizes = _by_epoch(trial, "trainable_params")
    last = max(trial.reports, default=0)
    return {
        "status": trial.status,
        "stop_reason": trial.reason,
        "error": trial.error,
        "epochs": len(trial.reports),
        "wer_last": wer.get(last),
        "wer_best": min(wer.values(), default=None),
        "epoch_of_best": min(wer, key=wer.__getitem__, default=None),
        "loss_last": loss.get(last),
        "loss_best": min(loss.values(), default=None),
        "train_seconds": math.fsum(_by_epoch(trial, "epoch_s").values()),
        "trainable_params": sizes[max(sizes)] if sizes else None,
    }


def _by_epoch(trial: TrialRecord, metric: str) -> dict[int, float]:
    """Return the metric by epoch, in the order of epochs, without what is missing."""
    values = ((epoch, metrics.get(metric)) for epoch, metrics in sorted(trial.reports.items()))
    return {epoch: value for epoch, value in values if value is not None}


def _find_checkpoints(folder: Path) -> dict[str, str | None]:
    return {
        column: str(path) if (path := folder / name).is_file() else None
        for column, name in (("best_checkpoint", "best.pt"), ("last_checkpoint", "last.pt"))
    }


def build_frame(rows: Sequence[Mapping[str, Any]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows with exactly the columns and types of ``dtypes``; what a row does not have is missing."""
    return pd.DataFrame(
        {
            name: pd.Series(
                [_as_count(row.get(name)) if dtype == "Int64" else row.get(name) for row in rows], dtype=dtype
            )
            for name, dtype in dtypes.items()
        }
    )


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
    while name in TRIAL_COLUMNS or (name != parameter and name in parameters):
        name = f"config_{name}"
    return name
