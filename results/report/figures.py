"""The figures of a report, each as plotly draws it; the page gives them the colours of day or night."""

import warnings
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from glosstune.results.analysis.importance import EVALUATORS, logarithmic_parameters, rank_importance
from glosstune.results.analysis.incumbent import trace_incumbent
from glosstune.results.analysis.stops import count_stops
from glosstune.results.analysis.strategies import compare_strategies, list_strategies
from glosstune.results.reading.epoch_metrics import by_scoring
from glosstune.results.reading.events import FAILED, STOPPED
from glosstune.results.reading.frames import name_parameters
from glosstune.results.reading.loading import Results
from glosstune.results.report.curves import PALETTE, TARGET
from glosstune.results.report.timeline import list_segments

_PERCENT = ".0%"
_MOST_SLICES = 12
# fANOVA of a thousand trials takes half a minute.
_MOST_FOR_FANOVA = 300


def draw_incumbent(results: Results) -> go.Figure | None:
    """The best WER so far over the minutes of each sweep; over its epochs where nothing says when they were."""
    trace = trace_incumbent(results)
    figure, by_clock = go.Figure(), bool(trace["seconds"].notna().all())
    for place, (sweep, rows) in enumerate(trace.groupby("sweep", sort=False)):
        x = rows["seconds"] / 60 if by_clock else rows["epochs"]
        told = [f"trial {trial}, epoch {epoch}" for trial, epoch in zip(rows["trial"], rows["epoch"], strict=True)]
        line = {"shape": "hv", "color": PALETTE[place % len(PALETTE)], "width": 2.5}
        figure.add_scatter(x=x, y=rows["incumbent"], text=told, mode="lines", line=line, name=str(sweep))
    _add_target(figure, results)
    figure.update_layout(showlegend=len(results.sweeps) > 1)
    figure.update_xaxes(title="minutes of searching" if by_clock else "epochs of all trials")
    figure.update_yaxes(title=f"best WER so far{by_scoring(results.scoring)}", tickformat=_PERCENT, rangemode="tozero")
    return figure if trace["incumbent"].notna().any() else None


def draw_learning(results: Results) -> go.Figure | None:
    """The WER of every trial over its epochs, one trace a strategy, with a mark where one was stopped early."""
    epochs = results.epochs[results.epochs["wer"].notna()]
    if epochs.empty:
        return None
    figure = go.Figure()
    named = results.trials[["sweep", "trial", "status"]].itertuples(index=False, name=None)
    status = {(sweep, trial): state for sweep, trial, state in named}
    for name, colour, chosen in _groups(results.trials):
        rows = epochs.merge(chosen[["sweep", "trial"]], on=["sweep", "trial"])
        x: list[float | None] = []
        y: list[float | None] = []
        text: list[str] = []
        ends = []
        for (sweep, trial), own in rows.groupby(["sweep", "trial"], sort=False):
            x += [*own["epoch"], None]  # a gap between trials
            y += [*own["wer"], None]
            text += [f"trial {trial}"] * (len(own) + 1)
            state = status[sweep, trial]
            if state in (STOPPED, FAILED):
                ends.append((own["epoch"].iloc[-1], own["wer"].iloc[-1], f"trial {trial}, {state}"))
        line = {"color": colour, "width": 1.3}
        figure.add_scatter(x=x, y=y, text=text, mode="lines", line=line, opacity=0.7, name=name, connectgaps=False)
        if ends:
            xs, ys, told = zip(*ends, strict=True)
            marker = {"symbol": "x", "size": 7, "color": colour}
            figure.add_scatter(x=xs, y=ys, text=told, mode="markers", marker=marker, name=name, showlegend=False)
    _add_target(figure, results)
    figure.update_xaxes(title="epoch")
    title, highest = f"WER on dev{by_scoring(results.scoring)}", min(1.6, max(1.05, epochs["wer"].max()))
    figure.update_yaxes(title=title, tickformat=_PERCENT, range=[0, highest])
    return figure


def draw_parallel(results: Results) -> go.Figure | None:
    """A line a trial through its parameters to its lowest WER."""
    trials = results.trials[results.trials["wer_best"].notna()]
    names = [name for name in name_parameters(trials) if trials[name].nunique() > 1]
    if len(trials) < 2 or not names:
        return None
    logarithmic = logarithmic_parameters(results)
    dimensions = [_dimension(name, trials[name], name in logarithmic) for name in names]
    dimensions.append({"label": "lowest WER", "values": trials["wer_best"].to_numpy(), "tickformat": _PERCENT})
    line = {"color": trials["wer_best"].to_numpy(), "colorscale": "Viridis", "reversescale": True, "showscale": False}
    figure = go.Figure(go.Parcoords(dimensions=dimensions, line=line))
    figure.update_layout(margin={"t": 60, "l": 90})
    return figure


def draw_importance(results: Results) -> go.Figure | None:
    """Importance of each parameter by both evaluators; what only some trials have is told among those."""
    figure = go.Figure()
    for evaluator, colour in zip(EVALUATORS, PALETTE, strict=False):
        if evaluator == "fanova" and len(results.trials) > _MOST_FOR_FANOVA:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the page itself says how many trials there are
            frame = rank_importance(results, evaluator)
        frame = frame[frame["importance"].notna()]
        names = [
            n if among == "all trials" else f"{n} ({among})"
            for n, among in zip(frame["parameter"], frame["among"], strict=True)
        ]
        figure.add_bar(x=frame["importance"], y=names, orientation="h", name=evaluator, marker_color=colour)
    if not any(len(trace.x) for trace in figure.data):
        return None
    figure.update_layout(barmode="group")
    figure.update_xaxes(title="share of what is explained", tickformat=_PERCENT, range=[0, 1])
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def draw_slices(results: Results) -> go.Figure | None:
    """The lowest WER of each trial over each of its parameters."""
    trials = results.trials[results.trials["wer_best"].notna()]
    names = [name for name in name_parameters(trials) if trials[name].nunique() > 1 and name != "strategy"][
        :_MOST_SLICES
    ]
    if not names:
        return None
    logarithmic = logarithmic_parameters(results)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = make_subplots(rows, columns, shared_yaxes=True, horizontal_spacing=0.04, vertical_spacing=0.35 / rows)
    for place, name in enumerate(names):
        at = {"row": place // columns + 1, "col": place % columns + 1}
        for group, colour, chosen in _groups(trials):
            given = chosen[chosen[name].notna()]
            told = [f"trial {trial}" for trial in given["trial"]]
            marker = {"color": colour, "size": 7, "opacity": 0.8}
            x = _numbers(given[name]) if given[name].dtype in ("Int64", "Float64") else given[name].astype(str).tolist()
            figure.add_scatter(
                x=x,
                y=given["wer_best"],
                text=told,
                mode="markers",
                marker=marker,
                name=group,
                legendgroup=group,
                showlegend=place == 0,
                **at,
            )
        figure.update_xaxes(
            title=name, type="log" if name in logarithmic else None, dtick="D2" if name in logarithmic else None, **at
        )
    figure.update_yaxes(tickformat=_PERCENT, rangemode="tozero")
    figure.update_layout(height=300 * rows)
    return figure


def draw_strategies(results: Results) -> go.Figure | None:
    """The lowest WER of each strategy, and the epochs that it cost."""
    table = compare_strategies(results.trials)
    if len(table) < 2:
        return None
    figure = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.06)
    figure.add_bar(x=table["wer_best"], y=table["strategy"], orientation="h", marker_color=PALETTE[0], row=1, col=1)
    figure.add_bar(x=table["epochs"], y=table["strategy"], orientation="h", marker_color=PALETTE[2], row=1, col=2)
    figure.update_xaxes(title="lowest WER", tickformat=_PERCENT, row=1, col=1)
    figure.update_xaxes(title="epochs of all its trials", row=1, col=2)
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_layout(showlegend=False)
    return figure


def draw_stops(results: Results) -> go.Figure | None:
    """How many trials each rule ended."""
    table = count_stops(results)
    if table.empty:
        return None
    figure = go.Figure(go.Bar(x=table["trials"], y=table["rule"], orientation="h", marker_color=PALETTE[3]))
    figure.update_xaxes(title="trials", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def draw_timeline(results: Results) -> go.Figure | None:
    """Which trial trained when, a lane for each that could run at a time."""
    segments = list_segments(results)
    if segments.empty:
        return None
    begun = segments["begun"]
    length_ms = (segments["ended"] - begun).dt.total_seconds() * 1000
    several = segments["sweep"].nunique() > 1
    lanes = [
        f"{sweep}: {lane}" if several else f"worker {lane}"
        for sweep, lane in zip(segments["sweep"], segments["lane"], strict=True)
    ]
    colours = [PALETTE[trial % len(PALETTE)] for trial in segments["trial"]]
    told = [
        f"trial {trial}, {count} epochs" for trial, count in zip(segments["trial"], segments["epochs"], strict=True)
    ]
    figure = go.Figure(
        go.Bar(base=begun, x=length_ms, y=lanes, text=told, textposition="none", orientation="h", marker_color=colours)
    )
    figure.update_xaxes(type="date", title="UTC")
    figure.update_yaxes(automargin=True, categoryorder="category descending")
    figure.update_layout(barmode="overlay")
    return figure


def draw_best(results: Results) -> go.Figure | None:
    """Losses and WER of the best trial over its epochs."""
    best = results.best
    rows = results.epochs[(results.epochs["sweep"] == best["sweep"]) & (results.epochs["trial"] == best["trial"])]
    figure = make_subplots(1, 2, horizontal_spacing=0.1, subplot_titles=("loss, nats a gloss", "WER on dev"))
    for column, name, colour in (("train_loss", "training", PALETTE[0]), ("dev_loss", "dev", PALETTE[1])):
        if rows[column].notna().any():
            figure.add_scatter(x=rows["epoch"], y=rows[column], name=name, line_color=colour, row=1, col=1)
    figure.add_scatter(
        x=rows["epoch"], y=rows["wer"], name="WER", line_color=PALETTE[2], showlegend=False, row=1, col=2
    )
    if results.target is not None:
        figure.add_hline(y=results.target, line_dash="dash", line_color=TARGET, row=1, col=2)
    figure.update_xaxes(title="epoch")
    figure.update_yaxes(tickformat=_PERCENT, rangemode="tozero", row=1, col=2)
    return figure


def _add_target(figure: go.Figure, results: Results) -> None:
    if results.target is not None:
        words = f"target {results.target:.0%}"
        figure.add_hline(y=results.target, line_dash="dash", line_color=TARGET, annotation_text=words)


def _groups(trials: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Name, colour and trials of each strategy; all trials where there is only one."""
    strategies = list_strategies(trials)
    if len(strategies) < 2:
        yield "trials", PALETTE[0], trials
        return
    for place, name in enumerate(strategies):
        yield name, PALETTE[place % len(PALETTE)], trials[(trials["strategy"] == name).fillna(False)]


def _dimension(name: str, column: pd.Series, logarithmic: bool) -> dict[str, object]:
    """An axis of the parallel coordinates; what a trial was not given stands at its foot."""
    if column.dtype in ("Int64", "Float64"):
        numbers = _numbers(column)
        logarithmic = logarithmic and bool(np.nanmin(numbers) > 0)
        values = np.log10(numbers) if logarithmic else numbers
        low, high = np.nanmin(values), np.nanmax(values)
        foot = low - 0.1 * ((high - low) or 1)
        missing = np.isnan(values)
        ticks = np.linspace(low, high, 5)
        labels = [f"{10**tick if logarithmic else tick:.3g}" for tick in ticks]
        if missing.any():
            values, ticks, labels = np.where(missing, foot, values), np.array([foot, *ticks]), ["none", *labels]
        return {"label": name, "values": values, "tickvals": ticks, "ticktext": labels}
    options = sorted(str(value) for value in column.dropna().unique())
    if column.isna().any():
        options.insert(0, "none")
    places = [options.index("none" if pd.isna(value) else str(value)) for value in column]
    return {"label": name, "values": places, "tickvals": list(range(len(options))), "ticktext": options}


def _numbers(column: pd.Series) -> npt.NDArray[np.float64]:
    return np.asarray(column.astype("Float64").to_numpy(dtype="float64", na_value=np.nan), dtype=np.float64)
