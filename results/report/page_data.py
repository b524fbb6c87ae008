"""What the script of a report draws, lists, filters and tells, as plain data: the trials, their curves, their lives."""

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io

from glosstune.results.analysis.explaining import explain_trials
from glosstune.results.analysis.importance import logarithmic_parameters
from glosstune.results.analysis.incumbent import trace_incumbent
from glosstune.results.analysis.metrics import Ranking, best_of, check_mode
from glosstune.results.analysis.strategies import list_strategies
from glosstune.results.reading.columns import TRIAL_COLUMNS
from glosstune.results.reading.epoch_metrics import by_scoring
from glosstune.results.reading.frames import name_parameters
from glosstune.results.reading.indicators import INDICATORS
from glosstune.results.reading.loading import Results
from glosstune.results.report.curves import PALETTE, TARGET
from glosstune.results.report.timeline import list_segments
from glosstune.results.table import in_percent
from glosstune.results.text import printable

# In the order of PALETTE and as easy to tell apart, on a dark page: Paul Tol's "light" colours.
_DARK_PALETTE = ("#77aadd", "#ee8866", "#44bb99", "#eedd88", "#ffaabb", "#99ddff")
_DARK_TARGET = "#ff7b72"

_BY_WER = Ranking()
_HIDDEN = ("best_checkpoint", "last_checkpoint", "trial_id")
_FIRST = ("sweep", "trial", "status", "wer_best", "epoch_of_best", "epochs")
# Beside these and the parameters, columns are shown where a reader asks for them.
_SHOWN = (*_FIRST, "stop_rule", "loss_best", "train_seconds", "gpu_hours")
_NO_STRATEGY = "no strategy"

# Metric, its name on the switch, its axis, which of a trial's epochs counts for it, and whether it is a fraction.
_METRICS = (
    ("wer", "WER", "WER on dev", "min", True),
    ("train_loss", "loss", "training loss, nats a gloss", "min", False),
    ("loss_below_floor", "below floor", "training loss below the CTC floor", "max", True),
    ("epoch_s", "time", "seconds an epoch", "mean", False),
)


def build_data(
    results: Results, figures: Mapping[str, go.Figure], best: pd.Series | None, ranking: Ranking = _BY_WER
) -> dict[str, Any]:
    """JSON-able; what is not finite is None.

    Args:
        figures: see ``figures``.
        best: a row of ``results.trials``, or of a frame with the same index.
    """
    trials, ranked = _with_ranked(results, ranking)
    several = len(results.sweeps) > 1
    columns = [name for name in trials.columns if name not in _HIDDEN and _tells(results, name)]
    first = dict.fromkeys((*_FIRST[:3], ranked, *_FIRST[3:]))
    columns = [*(name for name in first if name in columns), *(name for name in columns if name not in first)]
    parameters = name_parameters(trials)
    listed = trials[columns].astype(object).where(trials[columns].notna(), None)
    metrics = _choose_metrics(results, ranking)
    data = {
        "columns": columns,
        "shown": [name for name in columns if name in _SHOWN or name in parameters or name == ranked],
        "percents": [name for name in columns if in_percent(name)],
        "fixed": ["sweep", "trial"] if several else ["trial"],
        "trials": [[_plain(value) for value in row] for row in listed.itertuples(index=False)],
        "names": [
            f"trial {trial} of {sweep}" if several else f"trial {trial}"
            for sweep, trial in zip(trials["sweep"], trials["trial"], strict=True)
        ],
        "best": None if best is None else trials.index.get_loc(best.name),
        "sort": {"column": ranked, "down": ranking.mode == "max"},
        "ranked": ranking.metric,
        "parameters": parameters,
        "logarithmic": sorted(logarithmic_parameters(results)),
        "strategies": list_strategies(trials),
        "group": _group(results),
        "metrics": metrics,
        "curves": _collect_curves(results, ["dev_loss", *(metric["name"] for metric in metrics)]),
        "segments": _collect_segments(results),
        "explained": explain_trials(results),
        "target": results.target,
        "palettes": [list(PALETTE), list(_DARK_PALETTE)],
        "targets": [TARGET, _DARK_TARGET],
        "figures": {name: _unpack(json.loads(plotly.io.to_json(figure))) for name, figure in figures.items()},
    }
    return {name: _printable(part) for name, part in data.items()}


def _with_ranked(results: Results, ranking: Ranking) -> tuple[pd.DataFrame, str]:
    """The trials with the best value of what they are ranked by, and the name of its column."""
    trials, name = results.trials, f"{ranking.metric}_best"
    if ranking == _BY_WER:
        return trials, name
    if name in trials:  # as wer_best, which is the lowest
        name = f"{ranking.metric}_{ranking.mode}"
    while name in trials:  # as a parameter of somebody's
        name += "_"
    values = best_of(results.epochs, *ranking).rename(columns={"value": name}).drop(columns="epoch")
    return trials.merge(values, on=["sweep", "trial"], how="left").set_axis(trials.index), name


def _tells(results: Results, name: str) -> bool:
    """Whether a column says anything of any trial; indicators are always there."""
    if name == "sweep":
        return len(results.sweeps) > 1
    return name in INDICATORS or name not in TRIAL_COLUMNS or bool(results.trials[name].notna().any())


def _choose_metrics(results: Results, ranking: Ranking) -> list[dict[str, Any]]:
    """Those that some trial has reported, first what trials are ranked by, with what the sweeps rank by."""
    known = {name: (name, *more) for name, *more in _METRICS}
    metric, mode = ranking
    label, title = known[metric][1:3] if metric in known else (metric, metric)
    ranked = [name for name in results.sweeps["metric"].dropna().unique() if name not in known and name != metric]
    offered = [
        (metric, label, title, mode, in_percent(metric)),
        *(row for name, row in known.items() if name != metric),
        *((name, name, name, check_mode(name), in_percent(name)) for name in ranked),
    ]
    return [
        {
            "name": name,
            "label": label,
            "title": f"{title}{by_scoring(results.scoring)}" if name == "wer" else title,
            "best": best,
            "percent": percent,
        }
        for name, label, title, best, percent in offered
        if name in results.epochs and results.epochs[name].notna().any()
    ]


def _group(results: Results) -> dict[str, Any]:
    """What trials are coloured by: sweeps, or else strategies, where there are several; every trial is in a group."""
    trials = results.trials
    if len(results.sweeps) > 1:
        names, values = list(results.sweeps["sweep"]), trials["sweep"]
        return {"by": "sweep", "names": names, "of": [names.index(value) for value in values]}
    strategies = list_strategies(trials)
    if not strategies:
        return {"by": None, "names": ["trials"], "of": [0] * len(trials)}
    values = trials["strategy"].astype("string").fillna(_NO_STRATEGY)
    names = [*strategies, *({_NO_STRATEGY} & set(values))]
    return {"by": "strategy", "names": names, "of": [names.index(value) for value in values]}


def _collect_curves(results: Results, metrics: list[str]) -> list[dict[str, list[Any]]]:
    """Of each trial its epochs and their metrics, and what the sweep had used by then: epochs and minutes."""
    trace = trace_incumbent(results)
    used = trace[["sweep", "trial", "epoch", "epochs", "seconds"]]
    epochs = results.epochs.merge(used, on=["sweep", "trial", "epoch"])
    epochs = epochs.assign(minutes=epochs["seconds"] / 60).sort_values(["sweep", "trial", "epoch"], kind="stable")
    own = dict(list(epochs.groupby(["sweep", "trial"])))
    nothing = epochs.head(0)
    curves = []
    for key in zip(results.trials["sweep"], results.trials["trial"], strict=True):
        rows = own.get(key, nothing)
        curve = {"epoch": rows["epoch"].tolist(), "order": rows["epochs"].tolist()}
        curves.append(
            curve | {name: [_round(value) for value in rows[name].tolist()] for name in (*metrics, "minutes")}
        )
    return curves


def _round(value: float) -> float | None:
    """Five digits, which no picture shows more of."""
    return float(f"{value:.5g}") if not pd.isna(value) and math.isfinite(value) else None


def _collect_segments(results: Results) -> list[list[Any]]:
    """When each trial trained: its place, lane, beginning, milliseconds, epochs."""
    segments = list_segments(results)
    several = segments["sweep"].nunique() > 1
    keys = zip(results.trials["sweep"], results.trials["trial"], strict=True)
    places = {key: place for place, key in enumerate(keys)}
    return [
        [
            places[row["sweep"], row["trial"]],
            f"{row['sweep']}: {row['lane']}" if several else f"worker {row['lane']}",
            row["begun"].isoformat(),
            (row["ended"] - row["begun"]).total_seconds() * 1000,
            row["epochs"],
        ]
        for row in segments.to_dict("records")
    ]


def _unpack(value: Any) -> Any:
    """A figure's JSON with its arrays as lists, which plotly packs, so that the page can leave points out."""
    if isinstance(value, dict) and {"dtype", "bdata"} <= value.keys():
        numbers = np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])
        return numbers.reshape([int(n) for n in value["shape"].split(",")] if "shape" in value else -1).tolist()
    if isinstance(value, dict):
        return {name: _unpack(part) for name, part in value.items()}
    return [_unpack(part) for part in value] if isinstance(value, list) else value


def _printable(value: Any) -> Any:
    """The same without what turns text around or commands a terminal, where somebody copies it there."""
    if isinstance(value, str):
        return value if value.isprintable() else "\n".join(map(printable, value.split("\n")))
    if isinstance(value, dict):
        return {_printable(name): _printable(part) for name, part in value.items()}
    return [_printable(part) for part in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)
