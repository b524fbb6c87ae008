"""The figures of a report that need more than its trials as they are; the others the page draws itself.

A trace whose ``customdata`` holds a place in ``results.trials`` for each of its points follows the filter of the page,
and a click on a point shows its trial. ``layout.meta["note"]`` is what the page says above a figure. The colours of
``PALETTE`` and ``TARGET`` become those of the night by themselves.
"""

import warnings
from html import escape

import pandas as pd
import plotly.graph_objects as go

from glosstune.results.analysis.explaining import short
from glosstune.results.analysis.importance import EVALUATORS, rank_importance, tell_disagreement
from glosstune.results.analysis.metrics import Ranking
from glosstune.results.reading.epoch_metrics import by_scoring
from glosstune.results.reading.frames import name_parameters
from glosstune.results.reading.loading import Results
from glosstune.results.report.curves import OTHERS, PALETTE

_BY_WER = Ranking()
_NAMES = {"fanova": "fANOVA", "ped-anova": "PED-ANOVA"}
# fANOVA of a thousand trials takes half a minute.
_MOST_FOR_FANOVA = 300
_ALONE = "PED-ANOVA says what tells the best tenth from the rest; fANOVA of so many would take too long."


def draw_importance(results: Results, ranking: Ranking = _BY_WER) -> go.Figure | None:
    """Importance of each parameter by both evaluators; what only some trials have is told among those."""
    figure, frames = go.Figure(), {}
    for evaluator, colour in zip(EVALUATORS, PALETTE, strict=False):
        if evaluator == "fanova" and len(results.trials) > _MOST_FOR_FANOVA:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the page itself says how many trials there are
            frames[evaluator] = frame = rank_importance(results, evaluator, ranking.metric, mode=ranking.mode)
        frame = frame[frame["importance"].notna()]
        names = [
            escape(n) if among == "all trials" else f"{escape(n)}<br>({escape(among)})"
            for n, among in zip(frame["parameter"], frame["among"], strict=True)
        ]
        told = [
            f"{name}: {share:.0%} of {n} trials"
            for name, share, n in zip(names, frame["importance"], frame["trials"], strict=True)
        ]
        hover = {"text": told, "textposition": "none", "hovertemplate": "%{text}"}
        x = frame["importance"].tolist()
        figure.add_bar(x=x, y=names, orientation="h", name=_NAMES[evaluator], marker_color=colour, **hover)
    if not any(len(trace.x) for trace in figure.data):
        return None
    why = tell_disagreement(frames["fanova"], frames["ped-anova"]) if "fanova" in frames else _ALONE
    note = f"For the {ranking.label}, of all {len(results.trials)} trials whatever the filter keeps. {why}"
    bars = max(len(trace.x) for trace in figure.data)
    figure.update_layout(barmode="group", showlegend=True, meta={"note": note}, height=max(240, 46 * bars + 110))
    figure.update_xaxes(title="share explained", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def draw_front(results: Results, ranking: Ranking = _BY_WER) -> go.Figure | None:
    """The lowest metric of every trial over what its recogniser costs; None where all cost the same."""
    metric, cost = results.objectives[:2]
    lowest = results.lowest(metric)
    trials = results.trials[lowest.notna() & results.trials[cost].notna()]
    if trials[cost].nunique() < 2:
        return None
    title, form = ("WER", ".1%") if metric == "wer" else (metric.replace("_", " "), ".3f")
    names, figure = name_parameters(results.trials), go.Figure()
    front = results.front
    for rows, marker in (
        (trials.drop(front.index, errors="ignore"), {"color": OTHERS, "size": 6, "opacity": 0.7}),
        (front, {"color": PALETTE[0], "size": 10}),
    ):
        told = []
        for _, row in rows.iterrows():
            given = [escape(f"{name}={short(row[name])}") for name in names if not pd.isna(row[name])]
            told.append("<br>".join([f"trial {row['trial']}", *given]))
        on_front = rows is front
        figure.add_scatter(
            x=rows[cost].astype("float64"),
            y=lowest[rows.index],
            text=told,
            customdata=[results.trials.index.get_loc(index) for index in rows.index],
            mode="lines+markers" if on_front and len(results.objectives) == 2 else "markers",
            line={"shape": "hv", "color": PALETTE[0], "width": 1.5},
            marker=marker,
            name="beaten by none" if on_front else "other trials",
            hovertemplate="%{text}<br>%{x:,.4~g} " + cost + f", {title} %{{y:{form}}}<extra></extra>",
        )
    figure.update_xaxes(title=cost.replace("_", " "), type="log")
    scored = by_scoring(results.scoring) if metric == "wer" else ""
    figure.update_yaxes(
        title=escape(f"lowest {title}{scored}"), tickformat=".0%" if metric == "wer" else "", rangemode="tozero"
    )
    return figure
