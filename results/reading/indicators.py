"""Say which success indicators a trial reached: WER by a deadline, training loss, and dev loss beside it."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

# Column and words, in the order in which they are shown. Levels and deadlines are those of the teacher's author.
INDICATORS: Mapping[str, str] = MappingProxyType(
    {
        "wer_below_60_by_10": "WER < 60% by epoch 10",
        "wer_below_40_by_20": "WER < 40% by epoch 20",
        "wer_below_30_by_40": "WER < 30% by epoch 40",
        "train_loss_below_3": "training loss < 3.0",
        "dev_loss_follows": "dev loss follows training loss",
    }
)

_TRIAL = ["sweep", "trial"]

_LEVELS_AND_DEADLINES = {
    "wer_below_60_by_10": (0.60, 10),
    "wer_below_40_by_20": (0.40, 20),
    "wer_below_30_by_40": (0.30, 40),
}
_TRAIN_LOSS_NATS = 3.0
# What dev loss may rise above its lowest: it does where WER still falls, so a little is no failure.
_RISE = 1.25
_RISE_NATS = 0.1


def judge_trials(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each trial that has epochs, indexed by sweep and trial, a column for each of ``INDICATORS``.

    ``wer_below_*_by_*``: True if any epoch up to the deadline has a lower WER, False once the trial has
    trained to the deadline without one, NA while it stands or has ended before it.
    ``train_loss_below_3``: of the last epoch, in nats a gloss; NA if it is not finite.
    ``dev_loss_follows``: True if the last dev loss is below the first, at most 1.25 times the lowest so far
    plus 0.1 nats, and no farther above the last training loss than below the first dev loss. NA with fewer
    than two finite dev losses or if a loss of the last epoch is not finite.

    Source: the success indicators of the teacher's author. The last rule is ours: it says False to the
    overfitting that the author met (training loss 0.015, dev loss 8.4), risen or never fallen.
    """
    ordered = epochs.sort_values([*_TRIAL, "epoch"], kind="stable")
    columns = {name: _judge_wer(ordered, level, deadline) for name, (level, deadline) in _LEVELS_AND_DEADLINES.items()}
    losses = ordered[[*_TRIAL, "train_loss", "dev_loss"]].replace([np.inf, -np.inf], np.nan)
    train_loss = losses.groupby(_TRIAL).tail(1).set_index(_TRIAL)["train_loss"]
    columns["train_loss_below_3"] = _where_decided(train_loss < _TRAIN_LOSS_NATS, train_loss.notna())
    columns["dev_loss_follows"] = _judge_dev_loss(losses)
    return pd.DataFrame({name: columns[name] for name in INDICATORS})


def _judge_wer(ordered: pd.DataFrame, level: float, deadline: int) -> "pd.Series[bool]":
    in_time = (ordered["wer"] < level) & (ordered["epoch"] <= deadline)
    reached = in_time.groupby([ordered[name] for name in _TRIAL]).any()
    return _where_decided(reached, reached | (ordered.groupby(_TRIAL)["epoch"].max() >= deadline))


def _judge_dev_loss(losses: pd.DataFrame) -> "pd.Series[bool]":
    last = losses.groupby(_TRIAL).tail(1).set_index(_TRIAL)
    dev_losses = losses.groupby(_TRIAL)["dev_loss"]
    # The first dev loss stands for where both began: it is measured after the first epoch, the first training
    # loss during it, where it is far higher.
    first, train, dev = dev_losses.first(), last["train_loss"], last["dev_loss"]
    follows = (dev < first) & (dev <= _RISE * dev_losses.min() + _RISE_NATS) & (dev - train <= first - dev)
    return _where_decided(follows, (dev_losses.count() >= 2) & train.notna() & dev.notna())


def _where_decided(verdict: "pd.Series[bool]", decided: "pd.Series[bool]") -> "pd.Series[bool]":
    return verdict.astype("boolean").where(decided)
