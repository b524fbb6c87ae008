"""Put the figures, the headline and the table of trials together into one HTML file."""

import html
import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import plotly.io
from plotly.offline import get_plotlyjs

from glosstune.results.analysis.confirmation import shorten_confirmation
from glosstune.results.analysis.stops import sum_costs
from glosstune.results.reading.columns import TRIAL_COLUMNS
from glosstune.results.reading.frames import name_parameters
from glosstune.results.reading.indicators import INDICATORS
from glosstune.results.reading.loading import Results
from glosstune.results.reading.names import HYPOTHESES, TRIALS
from glosstune.results.report import figures
from glosstune.results.report.confusions import count_confusions, read_hypotheses
from glosstune.results.writing import write_beside

# Title, what to know when reading it, and who draws it.
_FIGURES: Mapping[str, tuple[str, str, Callable[[Results], go.Figure | None]]] = {
    "incumbent": ("The best so far", "", figures.draw_incumbent),
    "learning": ("Learning curves", "A cross marks a trial that was stopped early or failed.", figures.draw_learning),
    "best": ("The best trial", "", figures.draw_best),
    "strategies": (
        "Strategies",
        "The search visits them unequally; glosstune confirm --per strategy does not.",
        figures.draw_strategies,
    ),
    "parallel": ("Parameters together", "Drag along an axis to keep a range.", figures.draw_parallel),
    "slices": ("Parameters one by one", "All else differs between these trials too.", figures.draw_slices),
    "importance": (
        "Importance",
        "Of {trials} trials; under ten a parameter it is mostly noise.",
        figures.draw_importance,
    ),
    "stops": ("Why trials ended", "", figures.draw_stops),
    "timeline": ("Who trained when", "", figures.draw_timeline),
}
_MOST_GLOSSES = 15
_HIDDEN = ("best_checkpoint", "last_checkpoint", "trial_id")


def write_report(results: Results, path: Path | str, confirmed: pd.DataFrame | None = None) -> None:
    """Write one HTML file that holds everything it shows: no part of it is loaded from anywhere.

    Args:
        confirmed: what ``glosstune confirm`` came to.

    Raises:
        FolderError: no trial has reported a WER yet, hypotheses that are there cannot be read, or the file cannot be
            written.
    """
    best = results.best
    drawn = {name: figure for name, (_, _, draw) in _FIGURES.items() if (figure := draw(results)) is not None}
    sections = [_section(name, len(results.trials)) for name in drawn]
    sections += [_confusions(results)]
    if confirmed is not None:
        told = shorten_confirmation(confirmed)
        sections.insert(0, f"<section><h2>Confirmed</h2><div class='wide'>{_table(told)}</div></section>")
    names = ", ".join(results.sweeps["sweep"])
    parts = {
        "title": html.escape(f"Sweep {names}"),
        "lead": html.escape(_lead(results, best)),
        "cards": _cards(results, best, confirmed),
        "sections": "\n".join(sections),
        "footer": html.escape(f"Made by glosstune from {', '.join(results.sweeps['folder'])}"),
        "style": _resource("page.css"),
        "script": _resource("page.js"),
        "plotly": get_plotlyjs(),
        "data": _data(results, drawn, best),
    }
    page = Template(_resource("page.html")).substitute(parts)
    with write_beside(Path(path)) as partial:
        partial.write_text(page, encoding="utf-8")


def _resource(name: str) -> str:
    return files("glosstune.results.report").joinpath(name).read_text(encoding="utf-8")


def _lead(results: Results, best: pd.Series) -> str:
    parameters = (f"{name}={_short(best[name])}" for name in name_parameters(results.trials) if not pd.isna(best[name]))
    return f"Best trial {best['trial']}, epoch {best['epoch_of_best']} of {best['epochs']}: {' '.join(parameters)}"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cards(results: Results, best: pd.Series, confirmed: pd.DataFrame | None) -> str:
    costs = sum_costs(results)
    told = [(f"{best['wer_best']:.1%}", "best WER on dev")]
    if results.target is not None:
        verdict = "reached" if best["wer_best"] < results.target else "not reached"
        told.append((f"{results.target:.0%}", f"target, {verdict}"))
    if confirmed is not None and len(confirmed):
        first = confirmed.iloc[0]
        interval = f"{first['test_low']:.1%} to {first['test_high']:.1%}"
        told.append((f"{first['test_wer']:.1%}", f"confirmed on test, {interval}"))
    told.append((str(len(results.trials)), f"trials, {(results.trials['status'] == 'finished').sum()} to their end"))
    told.append((_duration(costs["train_seconds"].sum()), f"of training, {costs['epochs'].sum()} epochs"))
    if (costs["gpu_hours"].fillna(0.0) > 0).any():
        told.append((f"{costs['gpu_hours'].sum():.1f}", "GPU hours"))
    saved = costs["saved_epochs"].sum()
    if saved:
        share = saved / (saved + costs["epochs"].sum())
        told.append((f"{share:.0%}", f"of a full search saved, {_duration(costs['saved_seconds'].sum())}"))
    return "".join(
        f"<div class='card'><b>{html.escape(big)}</b><span>{html.escape(small)}</span></div>" for big, small in told
    )


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min"
        if minutes
        else f"{seconds:.0f} s"
    )


def _section(name: str, trials: int) -> str:
    title, note, _ = _FIGURES[name]
    told = f"<p class='note'>{html.escape(note.format(trials=trials))}</p>" if note else ""
    return f"<section><h2>{title}</h2>{told}<div class='figure' id='{name}'></div></section>"


def _confusions(results: Results) -> str:
    """The glosses that the best trial misses most, and its confusions; nothing without its hypotheses."""
    best = results.best
    path = results.folders[best["sweep"]] / TRIALS / best["trial_id"] / HYPOTHESES
    if not path.is_file():
        return ""
    worst, confused = count_confusions(read_hypotheses(path))
    tables = "".join(
        f"<div>{_table(table.head(_MOST_GLOSSES))}</div>" for table in (worst[worst["missed"] > 0], confused)
    )
    return f"<section><h2>What the best trial confuses on dev</h2><div class='pair wide'>{tables}</div></section>"


def _table(frame: pd.DataFrame) -> str:
    def cell(value: Any) -> str:
        shown = "-" if pd.isna(value) else _short(value)
        kind = " class='number'" if isinstance(value, int | float) else ""
        return f"<td{kind}>{html.escape(shown)}</td>"

    heads = "".join(f"<th>{html.escape(str(name))}</th>" for name in frame.columns)
    rows = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in frame.itertuples(index=False))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _data(results: Results, drawn: Mapping[str, go.Figure], best: pd.Series) -> str:
    """What the script draws and lists, as JSON that cannot end the element it stands in."""
    for figure in drawn.values():
        margin = {"l": 60, "r": 30, "t": 30, "b": 50} | figure.layout.margin.to_plotly_json()
        figure.update_layout(template="none", margin=margin)
        figure.update_layout(legend={"orientation": "h", "y": 1.08, "yanchor": "bottom"})
    shown = [name for name in results.trials.columns if name not in _HIDDEN and _tells(results, name)]
    first = ["sweep", "trial", "status", "wer_best", "epoch_of_best", "epochs"]
    shown = [name for name in first if name in shown] + [name for name in shown if name not in first]
    trials = results.trials[shown].astype(object).where(results.trials[shown].notna(), None)
    place = results.trials.index.get_loc(best.name)
    data: dict[str, Any] = {
        "figures": {name: json.loads(plotly.io.to_json(figure)) for name, figure in drawn.items()},
        "columns": shown,
        "trials": [[_plain(value) for value in row] for row in trials.itertuples(index=False)],
        "best": place,
        "sort": "wer_best",
    }
    return json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def _tells(results: Results, name: str) -> bool:
    """Whether a column says anything of any trial; indicators are always there."""
    if name == "sweep":
        return len(results.sweeps) > 1
    return name in INDICATORS or name not in TRIAL_COLUMNS or bool(results.trials[name].notna().any())


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)
