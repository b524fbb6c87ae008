"""Choose a metric of the epochs by its name, and say which end of it is the best."""

import re
from difflib import get_close_matches
from typing import Literal, NamedTuple

import pandas as pd

from glosstune.results.reading.columns import EPOCH_KEYS
from glosstune.spaces.errors import SettingError

Mode = Literal["min", "max"]
MODES: tuple[Mode, ...] = ("min", "max")
# What is to be high, by the words of its name.
_HIGH = {"accuracy", "acc", "auc", "auroc", "bleu", "bleu4", "f1", "precision", "recall", "reward", "rouge"}


class Ranking(NamedTuple):
    """What trials are ranked by, and which end of it is the best."""

    metric: str = "wer"
    mode: Mode = "min"

    @property
    def label(self) -> str:
        """What people call it."""
        return "WER" if self.metric == "wer" else self.metric


def check_metric(epochs: pd.DataFrame, metric: str) -> str:
    """The metric; SettingError, naming those there are, if it is none."""
    known = [name for name in epochs.columns if name not in EPOCH_KEYS]
    if metric not in known:
        known = [name for name in known if epochs[name].notna().any()]
        close = get_close_matches(metric, known, n=1)
        hint = f"did you mean {close[0]!r}; " if close else ""
        raise SettingError(f"no metric {metric!r}; {hint}metrics are {', '.join(known) or 'none yet'}", key="metric")
    return metric


def check_mode(metric: str, mode: str | None = None) -> Mode:
    """Which end of a metric is the best: as is said, else ``max`` for what is known to be high, such as an accuracy.

    Raises:
        SettingError: it is neither.
    """
    if mode is None:
        return "max" if set(re.split(r"[^a-z0-9]+", metric.lower())) & _HIGH else "min"
    if mode not in MODES:
        raise SettingError(f"must be one of {', '.join(MODES)}; got {mode!r}", key="mode")
    return mode


def best_of(epochs: pd.DataFrame, metric: str, mode: Mode | None = None) -> pd.DataFrame:
    """The best ``value`` of each trial, by sweep and trial, with its first ``epoch``; no row where all are NaN."""
    check_metric(epochs, metric)
    sign = -1 if check_mode(metric, mode) == "max" else 1
    values = sign * epochs[metric].astype("float64")
    known = epochs.assign(value=values)[values.notna()].sort_values(["sweep", "trial", "epoch"], kind="stable")
    best = known.loc[known.groupby(["sweep", "trial"])["value"].idxmin(), ["sweep", "trial", "value", "epoch"]]
    return best.assign(value=sign * best["value"]).reset_index(drop=True)
