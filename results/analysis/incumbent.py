"""Follow the best trial so far through a sweep, and compare sweeps at equal budgets."""

import warnings
from typing import Literal

import numpy as np
import pandas as pd

from glosstune.results.analysis.comparability import tell_differences, tell_scorings
from glosstune.results.analysis.metrics import Mode, best_of, check_metric, check_mode
from glosstune.results.reading.columns import RANK_COLUMNS
from glosstune.results.reading.loading import Results
from glosstune.spaces.errors import SettingError

Budget = Literal["epochs", "seconds", "train_seconds"]
_BY_RULE = ("wer", "best_wer", "substitution_rate", "deletion_rate", "insertion_rate")
BUDGETS: tuple[Budget, ...] = ("epochs", "seconds", "train_seconds")


def rank_trials(
    results: Results, metric: str = "wer", top: int | None = None, *, mode: Mode | None = None
) -> pd.DataFrame:
    """The trials from the best to the worst by the best value of any epoch, with ``rank`` (from 1) in front.

    ``value`` and ``value_epoch`` come after it, then all columns of ``trials``. Equal ones keep the order of the
    sweeps; trials that never reported the metric are left out. Warns where sweeps are of different corpora or splits,
    or scored by different rules.

    Args:
        top: at most so many.
        mode: which end of the metric is the best, ``min`` or ``max``; default ``max`` for what is known to be high,
            such as an accuracy, else ``min``.

    Raises:
        SettingError: there is no such metric, or mode.
    """
    _warn_of_differences(metric, results)
    best = best_of(results.epochs, metric, mode).rename(columns={"epoch": "value_epoch"})
    merged = results.trials.merge(best, on=["sweep", "trial"])
    lowest_first = check_mode(metric, mode) == "min"
    merged = merged.sort_values("value", ascending=lowest_first, kind="stable", ignore_index=True)
    merged = merged if top is None else merged.head(top)
    first = list(RANK_COLUMNS)
    merged = merged.assign(rank=np.arange(1, len(merged) + 1))
    return merged[first + [name for name in results.trials.columns if name not in first]]


def trace_incumbent(results: Results, metric: str = "wer", *, mode: Mode | None = None) -> pd.DataFrame:
    """A row an epoch, in the order in which they were reported, with the best value of the sweep so far.

    Columns: ``sweep``, ``trial``, ``epoch``, ``time``; what the sweep had used by then: ``epochs`` of all trials,
    ``seconds`` of its drivers (pauses between them not counted) and ``train_seconds`` of all trials, NaN where
    unknown; then ``value``, ``incumbent`` (NaN before the first finite value), ``incumbent_trial`` and ``improved``.

    Args:
        mode: as for ``rank_trials``.

    Raises:
        SettingError: there is no such metric, or mode.
    """
    check_metric(results.epochs, metric)
    mode = check_mode(metric, mode)
    parts = [_trace(results, str(sweep), metric, mode) for sweep in results.sweeps["sweep"]]
    return pd.concat(parts, ignore_index=True)


def compare(
    a: Results,
    b: Results,
    budget: Budget = "epochs",
    points: int = 20,
    metric: str = "wer",
    *,
    mode: Mode | None = None,
) -> pd.DataFrame:
    """The incumbents of two searches at equal budgets: ``budget``, ``a``, ``b``, ``difference`` (a less b), ``ahead``.

    The budgets are ``points`` equal steps up to what the shorter of all sweeps has used. Where a search has several
    sweeps (say, of several seeds), the median of their incumbents counts. ``ahead`` is ``a``, ``b`` or ``tie``, NA
    before both have a value. Warns where sweeps are of different corpora or splits, or scored by different rules.

    Args:
        budget: ``epochs``, ``seconds`` of the sweep's clock, or ``train_seconds`` of all its trials together.
        mode: as for ``rank_trials``.

    Raises:
        SettingError: there is no such metric, mode or budget, or a sweep that reported nothing, or not when.
    """
    if budget not in BUDGETS:
        raise SettingError(f"must be one of {', '.join(BUDGETS)}; got {budget!r}", key="budget")
    _warn_of_differences(metric, a, b)
    mode = check_mode(metric, mode)
    traces = [trace_incumbent(results, metric, mode=mode) for results in (a, b)]
    used = [trace.groupby("sweep")[budget].max() for trace in traces]
    for results, most in zip((a, b), used, strict=True):
        if silent := [name for name in results.sweeps["sweep"] if name not in most.index]:
            raise SettingError(f"{', '.join(silent)}: no trial has reported anything", key="sweep")
    for trace in traces:
        if unknown := sorted(trace.loc[trace[budget].isna(), "sweep"].unique()):
            raise SettingError(f"{', '.join(unknown)}: {budget} of its epochs are unknown", key="budget")
    limits = np.linspace(0, min(most.min() for most in used), points + 1)[1:]
    at_a, at_b = (np.array([_median_at(trace, budget, limit) for limit in limits]) for trace in traces)
    frame = pd.DataFrame({"budget": limits, "a": at_a, "b": at_b, "difference": at_a - at_b})
    lower = ["a", "b"] if mode == "min" else ["b", "a"]
    ahead = np.select([at_a < at_b, at_b < at_a, at_a == at_b], [*lower, "tie"], default="")
    frame["ahead"] = pd.Series(ahead, dtype="string").replace("", pd.NA)
    return frame


def _warn_of_differences(metric: str, *several: Results) -> None:
    scorings = tell_scorings(*several)
    for told in tell_differences(*several):
        if told != scorings or metric in _BY_RULE:
            warnings.warn(told, stacklevel=3)


def _trace(results: Results, sweep: str, metric: str, mode: Mode) -> pd.DataFrame:
    epochs = results.epochs[results.epochs["sweep"] == sweep]
    ordered = epochs.sort_values(["time", "trial", "epoch"], kind="stable").reset_index(drop=True)
    sign = -1 if mode == "max" else 1
    value = sign * ordered[metric].astype("float64")
    incumbent = value.cummin().ffill()
    improved = value.notna() & (value < incumbent.shift().fillna(np.inf))
    trial = ordered["trial"].where(improved).astype("Int64").ffill()
    return pd.DataFrame(
        {
            "sweep": ordered["sweep"],
            "trial": ordered["trial"],
            "epoch": ordered["epoch"],
            "time": ordered["time"],
            "epochs": np.arange(1, len(ordered) + 1),
            "seconds": results.clock_s(sweep, ordered["time"]),
            "train_seconds": ordered["epoch_s"].cumsum(skipna=False),
            "value": sign * value,
            "incumbent": sign * incumbent,
            "incumbent_trial": trial,
            "improved": improved.astype("bool"),
        }
    )


def _median_at(trace: pd.DataFrame, budget: str, limit: float) -> float:
    within = trace[trace[budget] <= limit + 1e-9]
    reached = within.groupby("sweep")["incumbent"].last().reindex(trace["sweep"].unique())
    return float(reached.median(skipna=False))
