"""Say where trials stopped and why, what they cost, and what stopping them saved."""

import numpy as np
import pandas as pd

from glosstune.results.reading.events import HALVING, STOPPED
from glosstune.results.reading.frames import GOES_ON, build_frame
from glosstune.results.reading.loading import Results

RUNG_COLUMNS = {
    "sweep": "string",
    "rung": "int64",
    "epoch": "int64",
    "came": "int64",
    "went_on": "int64",
    "share": "float64",
    "best_score": "float64",
    "median_score": "float64",
}

STOP_COLUMNS = {
    "rule": "string",
    "status": "string",
    "trials": "int64",
    "epochs": "int64",
    "median_epochs": "float64",
    "wer_best": "float64",
    "train_seconds": "float64",
}

COST_COLUMNS = {
    "sweep": "string",
    "trials": "int64",
    "epochs": "int64",
    "train_seconds": "float64",
    "gpu_hours": "float64",
    "saved_epochs": "Int64",
    "saved_seconds": "float64",
    "saved_gpu_hours": "float64",
    "saved_share": "float64",
}


def count_rungs(results: Results) -> pd.DataFrame:
    """How trials survived: for each rung who came, who went on, and the scores there (see ``docs/search.md``).

    ``epoch`` is the first at which a trial came; a score above 1 means that the WER stood on its plateau. Who led as
    the best, was carried on alone at the end of the sweep, or pinned by the user, did not go on by rank and is not
    counted.
    """
    there = results.decisions[results.decisions["rung"].notna()]
    rows = []
    for (sweep, rung), events in there.groupby(["sweep", "rung"]):
        came = events.groupby("trial").first()
        # By rank: a lead and a user's pin promote too.
        promoted = (events["decision"] == GOES_ON) & events["reason"].str.startswith(HALVING).fillna(False)
        went_on = events.loc[promoted, "trial"].nunique()
        rows.append(
            {
                "sweep": sweep,
                "rung": rung,
                "epoch": came["epoch"].min(),
                "came": len(came),
                "went_on": went_on,
                "share": went_on / len(came),
                "best_score": came["score"].min(),
                "median_score": came["score"].median(),
            }
        )
    return build_frame(rows, RUNG_COLUMNS)


def count_stops(results: Results) -> pd.DataFrame:
    """Why trials ended, a row a rule, most frequent first; those that have no end are told by their status.

    ``epochs`` and ``train_seconds`` are those of all its trials together, ``wer_best`` the lowest of any of them.
    """
    trials = results.trials.assign(rule=results.trials["stop_rule"].fillna(results.trials["status"]))
    rows = [
        {
            "rule": rule,
            "status": status,
            "trials": len(group),
            "epochs": int(group["epochs"].sum()),
            "median_epochs": group["epochs"].median(),
            "wer_best": group["wer_best"].min(),
            "train_seconds": group["train_seconds"].sum(),
        }
        for (rule, status), group in trials.groupby(["rule", "status"], sort=True)
    ]
    frame = build_frame(rows, STOP_COLUMNS)
    return frame.sort_values("trials", ascending=False, kind="stable", ignore_index=True)


def sum_costs(results: Results) -> pd.DataFrame:
    """What each sweep spent, and what it saved by stopping trials, against running every one of them in full.

    A stopped trial saved the epochs that it had left, each as long as its own were on average (a trial that reported
    none, as those of its sweep were). Others count as no saving: a trial that waits at a rung may yet go on.
    ``saved_share`` is that of the epochs. NA where the epochs of a full trial are unknown.
    """
    rows = []
    for sweep in results.sweeps.to_dict("records"):
        trials = results.trials[results.trials["sweep"] == sweep["sweep"]]
        epochs = int(trials["epochs"].sum())
        row = {
            "sweep": sweep["sweep"],
            "trials": len(trials),
            "epochs": epochs,
            "train_seconds": trials["train_seconds"].sum(),
            "gpu_hours": trials["gpu_hours"].sum(min_count=1),
        }
        if not pd.isna(sweep["epochs"]):
            stopped = trials["status"] == STOPPED
            left = (sweep["epochs"] - trials["epochs"]).where(stopped, 0).clip(lower=0)
            pace = trials["train_seconds"] / trials["epochs"].replace(0, np.nan)
            typical = trials["train_seconds"].sum() / epochs if epochs else 0.0
            saved_s = float((left * pace.fillna(typical)).sum())
            saved = int(left.sum())
            row |= {"saved_epochs": saved, "saved_seconds": saved_s}
            row |= {"saved_gpu_hours": None if pd.isna(sweep["gpus"]) else saved_s * sweep["gpus"] / 3600}
            row["saved_share"] = saved / (saved + epochs) if saved + epochs else 0.0
        rows.append(row)
    return build_frame(rows, COST_COLUMNS)
