"""Tell the life of one trial on a page: what it was given, how it learned, whom it met at each rung, why it ended."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from glosstune.results.reading.epoch_metrics import by_scoring
from glosstune.results.reading.frames import name_parameters
from glosstune.results.reading.indicators import INDICATORS
from glosstune.results.reading.loading import Results
from glosstune.results.text import align, printable

# Heading, column, and how a value is written.
_CURVE = (
    ("epoch", "epoch", "{:.0f}"),
    ("WER", "wer", "{:.1%}"),
    ("train loss", "train_loss", "{:.3f}"),
    ("below floor", "loss_below_floor", "{:.1%}"),
    ("dev loss", "dev_loss", "{:.3f}"),
    ("blank", "blank_ratio", "{:.1%}"),
    ("grad", "grad_norm", "{:.3g}"),
    ("rate", "learning_rate", "{:.2g}"),
    ("s", "epoch_s", "{:.1f}"),
)
# Column and unit.
_COSTS = (
    ("parameters", "parameters"),
    ("size_mb", "MB"),
    ("latency_ms", "ms an utterance"),
    ("dev_frames_per_s", "frames/s"),
)
_MOST_RIVALS = 8


def explain_trial(results: Results, trial: int, sweep: str | None = None) -> str:
    """A page of text about a trial.

    Losses are nats a gloss; ``below floor`` is how far the training loss has come down from the CTC floor, the lowest
    that a model reaches which ignores its input: at or below 0 % nothing has been learned from it. Rivals are those
    that had come to the rung by then, the lowest score first.
    ``grad`` is the norm of the gradient, ``s`` seconds an epoch.

    Args:
        sweep: its name; needed where there are several.

    Raises:
        SettingError: there is no such trial.
    """
    results.configuration(trial, sweep)  # refuses what is not there
    name = sweep if sweep is not None else str(results.sweeps["sweep"].iloc[0])
    trials = results.trials
    (text,) = _explain(results, trials[(trials["sweep"] == name) & (trials["trial"] == trial)])
    return text


def explain_trials(results: Results) -> list[str]:
    """The page of every trial, in the order of ``results.trials``; far quicker than one after the other."""
    return list(_explain(results, results.trials))


def _explain(results: Results, trials: pd.DataFrame) -> Iterator[str]:
    parameters, by = name_parameters(results.trials), by_scoring(results.scoring)
    epochs, decisions = (dict(list(frame.groupby(["sweep", "trial"]))) for frame in (results.epochs, results.decisions))
    rungs = results.decisions[results.decisions["rung"].notna()]
    arrivals = {
        key: rows.drop_duplicates("trial")[["trial", "score"]].sort_values("score", kind="stable")
        for key, rows in rungs.groupby(["sweep", "rung"])
    }
    for row in trials.to_dict("records"):
        key = row["sweep"], row["trial"]
        own = decisions.get(key, results.decisions.head(0))
        parts = [
            _head(row, parameters, by),
            _table(epochs.get(key, results.epochs.head(0))),
            _rungs(own, arrivals),
            _life(own),
        ]
        yield "\n\n".join("\n".join(map(printable, lines)) for part in parts if (lines := list(part)))


def describe_parameters(trial: Mapping[Any, Any] | pd.Series, parameters: Sequence[str]) -> str:
    """What a trial was given, on one line."""
    return " ".join(f"{name}={short(trial[name])}" for name in parameters if not pd.isna(trial[name]))


def short(value: object) -> str:
    """A value as it is shown to people, numbers in four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _head(row: Mapping[Any, Any], parameters: Sequence[str], by: str) -> Iterator[str]:
    source = "" if pd.isna(row["source"]) else f", suggested by: {row['source']}"
    yield f"trial {row['trial']} of {row['sweep']}: {row['status']} after {row['epochs']} epochs{source}"
    yield f"given     {describe_parameters(row, parameters)}"
    if not pd.isna(row["wer_best"]):
        best = f"{row['wer_best']:.1%} at epoch {row['epoch_of_best']}"
        yield f"best      WER{by} {best}, last {_percent(row['wer_last'])}"
        verdicts = (f"{words}: {_verdict(row[name])}" for name, words in INDICATORS.items())
        yield "success   " + "; ".join(verdicts)
    if costs := [f"{row[name]:,.6g} {unit}" for name, unit in _COSTS if not pd.isna(row[name])]:
        yield f"costs     {', '.join(costs)}"
    if not pd.isna(row["stop_reason"]):
        yield f"why       {row['stop_reason']}"
    if not pd.isna(row["error"]):
        yield f"error     {row['error']}"
    for column, words in (("best_checkpoint", "weights"), ("last_checkpoint", "last")):
        if not pd.isna(row[column]):
            yield f"{words:10}{row[column]}"


def _table(epochs: pd.DataFrame) -> list[str]:
    shown = [part for part in _CURVE if epochs[part[1]].notna().any()]
    rows: list[Sequence[str]] = [[heading for heading, *_ in shown]]
    columns = [["-" if pd.isna(value) else form.format(value) for value in epochs[name]] for _, name, form in shown]
    rows += zip(*columns, strict=True)
    return align(rows) if shown else []


def _rungs(own: pd.DataFrame, arrivals: Mapping[Any, pd.DataFrame]) -> Iterator[str]:
    for rung, events in own[own["rung"].notna()].groupby("rung"):
        first = events.iloc[0]
        everybody = arrivals[first["sweep"], rung]
        there = everybody[everybody.index <= first.name]
        rivals = [
            f"{'this one' if rival == first['trial'] else rival} {score:.3g}"
            for rival, score in zip(there["trial"], there["score"], strict=True)
        ]
        more = f", and {len(rivals) - _MOST_RIVALS} more" if len(rivals) > _MOST_RIVALS else ""
        yield (
            f"rung {rung}, epoch {first['epoch']}: score {first['score']:.3g}, {first['decision']}; "
            f"trial and score of all there: {', '.join(rivals[:_MOST_RIVALS])}{more}"
        )


def _life(decisions: pd.DataFrame) -> Iterator[str]:
    for row in decisions.to_dict("records"):
        when = "-" if pd.isna(row["time"]) else f"{row['time']:%Y-%m-%d %H:%M:%S}"
        reason = "" if pd.isna(row["reason"]) else f": {row['reason']}"
        yield f"{when}  after epoch {row['epoch']}, {row['decision']}{reason}"


def _percent(value: float) -> str:
    return "not finite" if pd.isna(value) else f"{value:.1%}"


def _verdict(value: Any) -> str:
    return "not decided" if pd.isna(value) else "yes" if value else "no"
