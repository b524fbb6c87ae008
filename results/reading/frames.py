"""Turn the records of sweeps into data frames whose columns and types depend on nothing but their spaces."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from glosstune.results.reading.columns import DECISION_COLUMNS, EPOCH_COLUMNS, RANK_COLUMNS, TIME, TRIAL_COLUMNS, dtypes
from glosstune.results.reading.events import (
    EpochReported,
    Event,
    TrialBegun,
    TrialContinued,
    TrialEnded,
    TrialEvent,
    TrialPaused,
    TrialPromoted,
    TrialRetried,
)
from glosstune.results.reading.indicators import INDICATORS, judge_trials
from glosstune.results.reading.names import BEST, LAST, TRIALS
from glosstune.results.reading.objectives import COSTS
from glosstune.results.reading.record import SweepRecord, TrialRecord
from glosstune.results.reading.remote import find_file

# The ``decision`` of an event; the first one is one of ``TrialBegun``.
BEGINS, GOES_ON, STARTS_AGAIN = "begins", "goes on", "starts again"
_DECISIONS: Mapping[type[Event], str] = {
    TrialPaused: "waits",
    TrialPromoted: GOES_ON,
    TrialContinued: "goes on after a break",
    TrialRetried: STARTS_AGAIN,
    TrialEnded: "ends",
}

_LARGEST = int(sys.float_info.max)
# No epoch takes thirty years, whatever a record from elsewhere says.
_MOST_S = 1e9

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
    return build_frame(rows, dtypes(EPOCH_COLUMNS) | others)


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
    outcome = build_frame(rows, dtypes(TRIAL_COLUMNS))
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
    """Return a row for each decision about a trial, in the order in which they were taken (see ``DECISION_COLUMNS``).

    Folders of plain Ray Tune have no rows.
    """
    rows = []
    for sweep, record in records.items():
        done: dict[int, int] = {}
        for event in record.events:
            if not isinstance(event, TrialEvent):
                continue
            begins = isinstance(event, TrialBegun) and event.trial not in done
            epoch = done.setdefault(event.trial, 0)
            if isinstance(event, EpochReported):
                done[event.trial] = max(epoch, event.epoch)
            elif begins or type(event) in _DECISIONS:
                carried = isinstance(event, TrialPromoted) and event.carried
                decision = BEGINS if begins else "is carried on" if carried else _DECISIONS[type(event)]
                rows.append({**vars(event), "sweep": sweep, "epoch": epoch, "decision": decision})
    return build_frame(rows, dtypes(DECISION_COLUMNS))


def name_parameters(trials: pd.DataFrame) -> list[str]:
    """Return the columns of a frame of trials that say what a trial was given."""
    return [name for name in trials.columns if name not in TRIAL_COLUMNS]


def _summarise(trial: TrialRecord, gpus: float | None) -> dict[str, Any]:
    wer = _by_epoch(trial, "wer")
    loss = _by_epoch(trial, "train_loss")
    sizes = _by_epoch(trial, "trainable_params")
    last = max(trial.reports, default=0)
    seconds = math.fsum(value for value in _by_epoch(trial, "epoch_s").values() if abs(value) < _MOST_S)
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
        **{name: trial.costs.get(name) for name in COSTS},
    }


def _by_epoch(trial: TrialRecord, metric: str) -> dict[int, float]:
    """Return the metric by epoch, in the order of epochs, without what is missing."""
    values = ((epoch, metrics.get(metric)) for epoch, metrics in sorted(trial.reports.items()))
    return {epoch: value for epoch, value in values if value is not None}


def _find_checkpoints(folder: Path, trial: str) -> dict[str, str | None]:
    return {
        column: find_file(folder, f"{TRIALS}/{trial}/{name}")
        for column, name in (("best_checkpoint", BEST), ("last_checkpoint", LAST))
    }


def build_frame(rows: Sequence[Mapping[str, Any]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows with exactly the columns and types of ``dtypes``; what a row does not have is missing."""
    return pd.DataFrame({name: _build_column([row.get(name) for row in rows], dtype) for name, dtype in dtypes.items()})


def _build_column(values: Sequence[Any], dtype: str) -> pd.Series:
    if dtype == TIME:
        # A time that is none is missing: a record may come from elsewhere.
        times = pd.to_datetime(pd.Series(values, dtype="object"), utc=True, format="ISO8601", errors="coerce")
        times = times.where(times.between(pd.Timestamp.min.tz_localize("UTC"), pd.Timestamp.max.tz_localize("UTC")))
        return pd.Series(times.array.as_unit("ns"), dtype=TIME)
    if dtype == "Int64":
        values = [_as_count(value) for value in values]
    return pd.Series(values, dtype=dtype)


def _as_count(value: float | None) -> int | None:
    """None too where no column holds it, for a record may come from elsewhere."""
    return None if value is None or not abs(value) < 2**63 else int(value)


def _build_parameter(values: Sequence[Any]) -> pd.Series:
    """Return a column of the narrowest type that holds all values; None, a parameter not given, is NA."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return pd.Series(values, dtype="Int64")
    if kinds and kinds <= {int, float} and not any(type(value) is int and abs(value) > _LARGEST for value in values):
        return pd.Series(values, dtype="Float64")
    texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pd.Series(texts, dtype="string")


def _free_name(parameter: str, parameters: Sequence[str]) -> str:
    """Return the parameter's column, told apart from a column of the same name in every frame of trials."""
    name = parameter
    while name in TRIAL_COLUMNS or name in RANK_COLUMNS or (name != parameter and name in parameters):
        name = f"config_{name}"
    return name
