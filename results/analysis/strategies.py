"""Compare the strategies of a sweep by the best trial of each."""

from typing import Any

import pandas as pd

from glosstune.results.reading.events import FINISHED
from glosstune.results.reading.frames import build_frame
from glosstune.spaces.strategies import STRATEGIES

STRATEGY_COLUMNS = {
    "strategy": "string",
    "trials": "int64",
    "finished": "int64",
    "wer_best": "float64",
    "epoch_of_best": "Int64",
    "sweep": "string",
    "trial": "Int64",
    "epochs": "int64",
    "train_seconds": "float64",
    "gpu_hours": "float64",
    "learning_rate": "Float64",
}


def compare_strategies(trials: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each strategy that a trial was given, in the order of ``STRATEGIES``, unknown ones last.

    ``sweep``, ``trial``, ``epoch_of_best`` and ``learning_rate`` are those of the trial with the lowest WER; of equal
    ones, the earliest. They are NA where no trial has reported a WER, and ``learning_rate`` also where it was
    not searched. ``epochs``, ``train_seconds`` and ``gpu_hours`` are those of all the strategy's trials together.
    The columns are always the same; there is no row where the sweep has no parameter ``strategy``.
    """
    rows = [
        {"strategy": name, **_summarise(trials[(trials["strategy"].astype("string") == name).fillna(False)])}
        for name in list_strategies(trials)
    ]
    return build_frame(rows, STRATEGY_COLUMNS)


def list_strategies(trials: pd.DataFrame) -> list[str]:
    """Return the strategies that the trials were given, in the order of ``STRATEGIES``, unknown ones last."""
    if "strategy" not in trials:
        return []
    given = trials["strategy"].dropna().astype("string").unique().tolist()
    known = list(STRATEGIES)
    return sorted(given, key=lambda name: (known.index(name) if name in known else len(known), name))


def _summarise(trials: pd.DataFrame) -> dict[str, Any]:
    ordered = trials.sort_values(["wer_best", "trial"], kind="stable")
    best = ordered.iloc[0]
    reported = not pd.isna(best["wer_best"])
    rate = None
    if reported and "learning_rate" in ordered:
        # A record may come from elsewhere: what is no number there is no rate.
        rate = pd.to_numeric(ordered["learning_rate"], errors="coerce").iloc[0]
    return {
        "trials": len(trials),
        "finished": int((trials["status"] == FINISHED).sum()),
        "wer_best": best["wer_best"],
        "epoch_of_best": best["epoch_of_best"] if reported else None,
        "sweep": best["sweep"] if reported else None,
        "trial": best["trial"] if reported else None,
        "epochs": int(trials["epochs"].sum()),
        "train_seconds": trials["train_seconds"].sum(),
        "gpu_hours": trials["gpu_hours"].sum(min_count=1),
        "learning_rate": rate,
    }
