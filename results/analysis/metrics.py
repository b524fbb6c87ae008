"""Choose a metric of the epochs by its name."""

from difflib import get_close_matches

import pandas as pd

from glosstune.results.reading.columns import EPOCH_KEYS
from glosstune.spaces.errors import SettingError


def check_metric(epochs: pd.DataFrame, metric: str) -> str:
    """The metric; SettingError, naming those there are, if it is none."""
    known = [name for name in epochs.columns if name not in EPOCH_KEYS]
    if metric not in known:
        close = get_close_matches(metric, known, n=1)
        hint = f"did you mean {close[0]!r}; " if close else ""
        raise SettingError(f"no metric {metric!r}; {hint}metrics are {', '.join(known)}", key="metric")
    return metric


def lowest_of(epochs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The lowest ``value`` of each trial, by sweep and trial, with its first ``epoch``; no row where all are NaN."""
    check_metric(epochs, metric)
    numbers = epochs.assign(**{metric: epochs[metric].astype("float64")})
    reported = numbers[numbers[metric].notna()].sort_values(["sweep", "trial", "epoch"], kind="stable")
    rows = reported.loc[reported.groupby(["sweep", "trial"])[metric].idxmin(), ["sweep", "trial", metric, "epoch"]]
    return rows.rename(columns={metric: "value"}).reset_index(drop=True)
