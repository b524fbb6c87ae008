"""The figure of trade-offs: what every trial costs and reached, and whom no other one beats."""

import plotly.graph_objects as go

from glosstune.results.analysis.explaining import describe_parameters
from glosstune.results.reading.epoch_metrics import by_scoring
from glosstune.results.reading.frames import name_parameters
from glosstune.results.reading.loading import Results
from glosstune.results.report.curves import OTHERS, PALETTE


def draw_front(results: Results) -> go.Figure | None:
    """The lowest WER of every trial over what its recogniser costs; None where all cost the same."""
    cost = results.objectives[1]
    trials = results.trials[results.trials["wer_best"].notna() & results.trials[cost].notna()]
    if trials[cost].nunique() < 2:
        return None
    names, figure = name_parameters(results.trials), go.Figure()
    front = results.front
    for rows, marker in (
        (trials.drop(front.index, errors="ignore"), {"color": OTHERS, "size": 6, "opacity": 0.7}),
        (front, {"color": PALETTE[0], "size": 10}),
    ):
        told = [
            f"trial {row['trial']}<br>{describe_parameters(row, names).replace(' ', '<br>')}"
            for _, row in rows.iterrows()
        ]
        on_front = rows is front
        figure.add_scatter(
            x=rows[cost].astype("float64"),
            y=rows["wer_best"],
            text=told,
            mode="lines+markers" if on_front and len(results.objectives) == 2 else "markers",
            line={"shape": "hv", "color": PALETTE[0], "width": 1.5},
            marker=marker,
            name="beaten by none" if on_front else "other trials",
            hovertemplate="%{text}<br>%{x:,.4~g} " + cost + ", WER %{y:.1%}<extra></extra>",
        )
    figure.update_xaxes(title=cost.replace("_", " "), type="log")
    scored = by_scoring(results.scoring)
    figure.update_yaxes(title=f"lowest WER{scored}", tickformat=".0%", rangemode="tozero")
    return figure
